import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { limits } from "../contracts/limits.ts";
import { endChild, startChild, untilReady, saysReady, type Child } from "./child.ts";
import { signal } from "./orphans.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "tenuto-child-"));
});

afterEach(async () => {
  jest.useRealTimers();
  await rm(folder, { recursive: true, force: true });
});

async function started(program: string): Promise<Child> {
  const spec = {
    name: "child",
    command: process.execPath,
    args: ["-e", program],
    env: process.env,
    ipc: true,
    endWith: "SIGTERM" as const,
  };
  const child = startChild({ ...spec, logFile: path.join(folder, "child.log") });
  await untilReady(child, () => saysReady(child));
  return child;
}

test("a child that lets its calls end is not killed as long as a worker may take for that", async () => {
  const child = await started(`
    process.on("message", () => undefined).on("SIGTERM", () => process.send("asked"));
    process.send({ ready: true });`);
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] });
  const asked = new Promise((heard) => child.process.once("message", heard));
  const ended = endChild(child);
  await asked;
  const kill = jest.spyOn(child.process, "kill");
  jest.advanceTimersByTime(limits.workerGraceMs + 5_000);
  expect(kill).not.toHaveBeenCalled();
  jest.advanceTimersByTime(limits.endingFollowedMs);
  await ended;
  expect(await child.exited).toBe("SIGKILL");
});

test("a process that has ended in the meantime can be told to end", async () => {
  const child = await started("process.send({ ready: true }, () => process.exit(0))");
  await child.exited;
  expect(() => signal(child.pid, "SIGTERM")).not.toThrow();
  expect(() => signal(-1_000_000_000, "NOTHING" as NodeJS.Signals)).toThrow();
});
