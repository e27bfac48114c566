import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { testContext } from "../tests/work-context.ts";
import { shortTools } from "../contracts/short-tools.ts";
import { createBuiltinTools } from "./builtin-tools.ts";
import { performTool } from "./tool.ts";
import { createToolRegistry, defineTool, loadTools, type Tool } from "./tool-registry.ts";

async function run(tools: Tool[], name: string, args: Json, more = {}): Promise<Json> {
  const tool = createToolRegistry(tools).get(name);
  return performTool(tool, tool.parse(args), testContext(more));
}

const simple = (work: Tool["run"], more: Partial<Tool> = {}): Tool => ({
  ...defineTool({ name: "t.do", description: "", input: z.object({}), effect: "read", run: () => null }),
  run: work,
  ...more,
});

test("a tool that changes something cannot be short", () => {
  const tool = { name: "a.b", description: "", input: {}, run: () => null };
  expect(() => defineTool({ ...tool, effect: "write", short: true })).toThrow("a.b cannot be short");
});

describe("a tool", () => {
  const add = defineTool({
    name: "math.add",
    description: "Adds",
    input: z.strictObject({ a: z.number(), b: z.number().default(1), deep: z.object({ "x/y": z.string() }).optional() }),
    output: z.number(),
    effect: "read",
    run: ({ a, b }) => a + b,
  });

  test("gets checked arguments with their defaults", async () => {
    expect(await run([add], "math.add", { a: 2 })).toBe(3);
    expect(add.input).toMatchObject({ type: "object", required: ["a"] });
  });

  test("refuses arguments with the pointer of what is wrong", async () => {
    const work = run([add], "math.add", { a: "2", deep: { "x/y": 1 } });
    await expect(work).rejects.toMatchObject({
      problem: { code: "tool_input", pointer: "/a", errors: [{ pointer: "/a" }, { pointer: "/deep/x~1y" }] },
    });
  });

  test("may say its arguments as JSON Schema", async () => {
    const greet = defineTool({
      name: "greet",
      description: "",
      input: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
      effect: "read",
      run: (args) => `Hi ${JSON.stringify(args["name"])}`,
    });
    expect(await run([greet], "greet", { name: "Ada" })).toBe('Hi "Ada"');
    await expect(run([greet], "greet", { name: 1 })).rejects.toMatchObject({ problem: { code: "tool_input", pointer: "/name" } });
  });

  test("that nobody knows is refused with the nearest name", async () => {
    await expect(run([add], "math.ad", {})).rejects.toMatchObject({ problem: { code: "tool_input", near: ["math.add"] } });
    await expect(run([], "x", {})).rejects.toMatchObject({ code: "tool_input" });
  });

  test("that throws is a fault of the tool, its own faults pass", async () => {
    await expect(
      run(
        [
          simple(() => {
            throw new Error("disk full");
          }),
        ],
        "t.do",
        {},
      ),
    ).rejects.toMatchObject({ code: "tool", message: "t.do: disk full" });
    await expect(
      run(
        [
          simple(async () => {
            throw new Fault("policy", "no");
          }),
        ],
        "t.do",
        {},
      ),
    ).rejects.toMatchObject({ code: "policy" });
  });

  test("that ignores its signal is left at the timeout", async () => {
    await expect(run([simple(() => new Promise(() => {}))], "t.do", {}, { timeoutMs: 30 })).rejects.toMatchObject({ code: "timeout" });
  });

  test("gives JSON of a bounded size", async () => {
    expect(await run([simple(() => undefined)], "t.do", {})).toBeNull();
    expect(await run([simple(() => ({ at: new Date(0), gone: undefined }))], "t.do", {})).toEqual({ at: "1970-01-01T00:00:00.000Z" });
    await expect(run([simple(() => 1n)], "t.do", {})).rejects.toMatchObject({ problem: { code: "tool", retryable: false } });
    await expect(run([simple(() => "x".repeat(limits.toolAnswerBytesMax))], "t.do", {})).rejects.toMatchObject({ code: "limit" });
    const nested = (depth: number): Json => JSON.parse("[".repeat(depth) + "]".repeat(depth)) as Json;
    expect(await run([simple(() => nested(limits.valueDepthMax))], "t.do", {})).toEqual(nested(limits.valueDepthMax));
    for (const depth of [limits.valueDepthMax + 2, 3_000])
      await expect(run([simple(() => nested(depth))], "t.do", {})).rejects.toMatchObject({ code: "limit" });
    await expect(run([simple(() => ({ $tenutoRef: "00" }))], "t.do", {})).rejects.toMatchObject({ code: "reserved_key" });
    await expect(run([simple(() => 1, { output: { type: "string" } })], "t.do", {})).rejects.toMatchObject({
      problem: { code: "tool", retryable: false },
    });
  });

  test("that has not been released is had by its version only", () => {
    const versions = ["1.0.0", "2.0.0-rc.1", "1.1.0"].map((version) => ({ ...add, version }));
    const registry = createToolRegistry(versions);
    expect([undefined, "2.0.0-rc.1", "^2.0.0-rc.1"].map((range) => registry.get("math.add", range).version)).toEqual([
      "1.1.0",
      "2.0.0-rc.1",
      "2.0.0-rc.1",
    ]);
  });

  test("has a name of its own", () => {
    expect(() => createToolRegistry([add, add])).toThrow("Two tools");
    expect(() => defineTool({ ...add, name: "no spaces please", run: () => null })).toThrow("no tool name");
    for (const timeout of ["soon", 0]) expect(() => defineTool({ ...add, timeout, run: () => null })).toThrow("no time for a call");
  });
});

describe("files", () => {
  let base: string;
  let root: string;
  let tools: Tool[];
  beforeEach(async () => {
    base = await mkdtemp(path.join(tmpdir(), "tenuto-files-"));
    root = path.join(base, "root");
    await mkdir(path.join(root, "in/deep"), { recursive: true });
    await mkdir(path.join(base, "root-sibling"));
    await writeFile(path.join(base, "secret.txt"), "secret");
    await writeFile(path.join(base, "root-sibling/secret.txt"), "secret");
    await writeFile(path.join(root, "a.txt"), "héllo");
    await writeFile(path.join(root, "in/b.json"), '\uFEFF{"b":1}');
    await writeFile(path.join(root, "in/deep/c.txt"), "c");
    await symlink("../secret.txt", path.join(root, "link.txt"));
    await symlink("..", path.join(root, "up"));
    await symlink("in", path.join(root, "inner"));
    await mkdir(path.join(root, "in/.git"));
    await writeFile(path.join(root, ".env"), "KEY=secret");
    await writeFile(path.join(root, "in/.git/config"), "secret");
    await symlink("in/.git", path.join(root, "hidden"));
    await symlink("../new-outside", path.join(root, "dangling"));
    tools = createBuiltinTools({ filesRoot: root, mainTenant: "default", httpAllow: [], sql: {} });
  });
  afterEach(() => rm(base, { recursive: true }));

  test("are read as text and JSON", async () => {
    expect(await run(tools, "files.readText", { path: "a.txt" })).toEqual({ text: "héllo", bytes: 6, truncated: false });
    expect(await run(tools, "files.readText", { path: "a.txt", maxBytes: 2 })).toEqual({ text: "h", bytes: 2, truncated: true });
    expect(await run(tools, "files.readJson", { path: "inner/b.json" })).toEqual({ b: 1 });
    await expect(run(tools, "files.readJson", { path: "a.txt" })).rejects.toMatchObject({ code: "tool_input" });
    await expect(run(tools, "files.readText", { path: "none.txt" })).rejects.toMatchObject({ code: "tool_input" });
    await expect(run(tools, "files.readText", { path: "in" })).rejects.toMatchObject({ code: "tool_input" });
  });

  test("too large to be read as a whole are refused", async () => {
    await writeFile(path.join(root, "big.txt"), Buffer.alloc(limits.toolAnswerBytesMax + 1, "x"));
    await expect(run(tools, "files.readText", { path: "big.txt" })).rejects.toMatchObject({ code: "limit" });
    expect(await run(tools, "files.readText", { path: "big.txt", maxBytes: 3 })).toMatchObject({ text: "xxx", truncated: true });
  });

  test("are listed in order, without links", async () => {
    expect(await run(tools, "files.list", {})).toEqual({ files: [{ path: "a.txt", bytes: 6 }], truncated: false });
    const paths = async (args: Json) =>
      ((await run(tools, "files.list", args)) as { files: { path: string }[] }).files.map((file) => file.path);
    expect(await paths({ recursive: true })).toEqual(["a.txt", "in/b.json", "in/deep/c.txt"]);
    expect(await paths({ recursive: true, pattern: "**/*.txt" })).toEqual(["a.txt", "in/deep/c.txt"]);
    expect(await paths({ recursive: true, pattern: "*/?.json" })).toEqual(["in/b.json"]);
    expect(await paths({ path: "in", pattern: "*.json" })).toEqual(["in/b.json"]);
    expect(await run(tools, "files.list", { recursive: true, max: 1 })).toMatchObject({ truncated: true, files: [{ path: "a.txt" }] });
  });

  test("are written as a whole, with their directories, leaving no rest", async () => {
    await run(tools, "files.writeText", { path: "new/dir/x.txt", text: "1" });
    await run(tools, "files.writeText", { path: "new/dir/x.txt", text: "2" });
    expect(await readFile(path.join(root, "new/dir/x.txt"), "utf8")).toBe("2");
    expect(await readdir(path.join(root, "new/dir"))).toEqual(["x.txt"]);
    expect(createToolRegistry(tools).get("files.writeText").effect).toBe("write");
  });

  test("are each tenant's own", async () => {
    const other = { tenant: "other" };
    await run(tools, "files.writeText", { path: "in/x.txt", text: "other's" }, other);
    expect(await run(tools, "files.readText", { path: "in/x.txt" }, other)).toMatchObject({ text: "other's" });
    expect(await run(tools, "files.exists", { path: "a.txt" }, other)).toEqual({ exists: false, kind: null });
    expect(await run(tools, "files.exists", { path: "in/x.txt" })).toEqual({ exists: false, kind: null });
    expect(await run(tools, "files.list", { recursive: true }, { tenant: "third" })).toEqual({ files: [], truncated: false });
    await expect(run(tools, "files.readText", { path: "../other/in/x.txt" }, { tenant: "third" })).rejects.toMatchObject({
      code: "policy",
    });
  });

  test("are called short by a Plan exactly when they say so", () => {
    const declared = tools.filter(({ short }) => short).map(({ name }) => name);
    expect(declared.toSorted()).toEqual([...shortTools].toSorted());
  });

  test("are there or not", async () => {
    expect(await run(tools, "files.exists", { path: "a.txt" })).toEqual({ exists: true, kind: "file" });
    expect(await run(tools, "files.exists", { path: "in" })).toEqual({ exists: true, kind: "directory" });
    expect(await run(tools, "files.exists", { path: "none" })).toEqual({ exists: false, kind: null });
    expect(await run(tools, "files.exists", { path: "a.txt/x" })).toEqual({ exists: false, kind: null });
  });

  test.each([
    "../secret.txt",
    "in/../../secret.txt",
    "/etc/passwd",
    "link.txt",
    "up/secret.txt",
    "..",
    "up",
    "in\\..\\..\\secret.txt",
    "a\0.txt",
    "../root-sibling/secret.txt",
    ".env",
    ".tenants/other/x.txt",
    "in/.git/config",
    "hidden/config",
  ])("outside the root cannot be reached as %j", async (name) => {
    for (const [tool, args] of [
      ["files.readText", {}],
      ["files.readJson", {}],
      ["files.exists", {}],
      ["files.list", {}],
      ["files.writeText", { text: "x" }],
    ] as const)
      await expect(run(tools, tool, { path: name, ...args })).rejects.toMatchObject({ code: "policy" });
    expect(await readFile(path.join(base, "secret.txt"), "utf8")).toBe("secret");
  });

  test("are not made outside through a link", async () => {
    for (const name of ["up/x.txt", "dangling/x.txt", "dangling", "up/y/z.txt"])
      await expect(run(tools, "files.writeText", { path: name, text: "x" })).rejects.toMatchObject({ code: "policy" });
    expect((await readdir(base)).toSorted()).toEqual(["root", "root-sibling", "secret.txt"]);
  });
});

test("text.lines and time.now", async () => {
  const tools = createBuiltinTools({ filesRoot: ".", mainTenant: "default", httpAllow: [], sql: {} });
  expect(await run(tools, "text.lines", { text: "a\r\n\nb" })).toEqual(["a", "b"]);
  expect(await run(tools, "text.lines", { text: "a\n\nb", keepEmpty: true })).toEqual(["a", "", "b"]);
  expect(await run(tools, "time.now", {})).toMatchObject({ ms: expect.any(Number) });
});

test("tools of people's own modules are loaded, anything else is refused by name", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "tenuto-tools-"));
  const good = path.join(folder, "good.mjs");
  const bad = path.join(folder, "bad.mjs");
  await writeFile(
    good,
    'export const tools = [{ name: "own.tool", description: "", input: { type: "object" }, effect: "read", parse: (args) => args, run: () => "own" }];',
  );
  await writeFile(bad, "export const tools = [1];");
  expect(await run(await loadTools([good]), "own.tool", {})).toBe("own");
  await expect(loadTools([bad])).rejects.toThrow("bad.mjs must export `tools`");
  await rm(folder, { recursive: true });
});
