import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { nodeArguments } from "../../cli/programs.ts";
import type { BuildsOf } from "./two-builds.ts";

test("a run stays with the build that it began on when another becomes the current one; a lock goes over to it", async () => {
  const program = fileURLToPath(new URL("two-builds.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, nodeArguments(program));
  const builds = JSON.parse(stdout.split("\n").at(-1)!) as BuildsOf;
  expect(builds).toEqual({ before: ["none", "1"], first: ["1"], second: ["2"], lock: ["none", "1", "2"] });
}, 300_000);
