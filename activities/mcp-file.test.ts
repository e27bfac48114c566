import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readOperatorServers } from "./mcp-file.ts";

let folder: string;
beforeAll(async () => (folder = await mkdtemp(path.join(tmpdir(), "tenuto-mcp-"))));
afterAll(() => rm(folder, { recursive: true }));

async function read(timeout: unknown) {
  const file = path.join(folder, "servers.json");
  await writeFile(file, JSON.stringify({ ci: { command: "ci", tools: { run_tests: { timeout } } } }));
  return readOperatorServers(file);
}

test("the time for a tool's calls is taken as it stands", async () => {
  expect((await read("5m"))["ci"]!.tools["run_tests"]).toEqual({ effect: "write", idempotent: false, timeout: "5m" });
});

test.each(["soon", "0s", 0, -1])("%j, which is no time, ends the worker with its place", async (timeout) => {
  await expect(read(timeout)).rejects.toThrow("ci.tools.run_tests.timeout: a duration above 0");
});
