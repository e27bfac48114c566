import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { recordings } from "./recorded-definitions.ts";
import type { Replayed } from "./replay.ts";

// In a process of its own: Temporal's worker does not live in Jest's sandbox.
function replay(...options: string[]): Replayed[] {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const program = fileURLToPath(new URL("replay.ts", import.meta.url));
  const output = execFileSync(process.execPath, ["--import", tsx, program, ...options], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return JSON.parse(output.split("\n").at(-1)!) as Replayed[];
}

describe("recorded histories", () => {
  test.each(replay())("today's walk does what $file tells", ({ error }) => {
    expect(error).toBeNull();
  });

  test("one that tells of another step is refused", () => {
    const passed = replay("--broken").filter(({ error }) => error === null);
    expect(passed).toEqual([]);
  });

  test("there is one for every recording", () => {
    const names = Object.keys(recordings({ child: "", foreignQueue: "" })).map((name) => `run-${name}.json`);
    expect(readdirSync(new URL("histories", import.meta.url)).toSorted()).toEqual(expect.arrayContaining(names));
  });
});
