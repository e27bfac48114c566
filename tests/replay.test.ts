import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import { recordings } from "./recorded-definitions.ts";
import type { Replays } from "./replay.ts";

const folder = new URL("histories/", import.meta.url);

// In a process of its own: Temporal's worker does not live in Jest's sandbox.
function replay(): Replays {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const program = fileURLToPath(new URL("replay.ts", import.meta.url));
  const output = execFileSync(process.execPath, ["--import", tsx, program], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return JSON.parse(output.split("\n").at(-1)!) as Replays;
}

describe("recorded histories", () => {
  const { today, broken, newer } = replay();

  test.each(today)("today's walk does what $file tells", ({ error }) => {
    expect(error).toBeNull();
  });

  test("one that tells of another step is refused", () => {
    expect(broken.length).toBeGreaterThan(0);
    expect(broken.filter(({ error }) => error === null)).toEqual([]);
  });

  test("of a run that a newer engine has started none is walked: a newer worker shall take it", () => {
    const words = `started with engine ${ENGINE_VERSION + 1}; this worker knows engines up to ${ENGINE_VERSION}`;
    expect(newer.length).toBeGreaterThan(0);
    expect(newer.filter(({ error }) => !error?.includes(words))).toEqual([]);
  });

  test("there are some of every engine, and of today's one for every recording", () => {
    const engines = Array.from({ length: ENGINE_VERSION }, (_, before) => `engine-${before + 1}`);
    expect(readdirSync(folder).toSorted()).toEqual(engines.toSorted());
    const names = Object.keys(recordings({ child: "", foreignQueue: "", agent: "" })).map((name) => `run-${name}.json`);
    expect(readdirSync(new URL(`engine-${ENGINE_VERSION}`, folder))).toEqual(expect.arrayContaining(names));
  });
});
