import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "@jest/globals";
import type { Json } from "../contracts/json.ts";
import { problemCodes, type DefinitionFormat } from "../contracts/definition.ts";
import { readDefinition, readDefinitionValue } from "./index.ts";
import { readSource } from "./source.ts";
import { parse } from "yaml";
import { processorTime } from "../tests/processor-time.ts";

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");
const folder = new URL("../tests/definitions/", import.meta.url);
const filesOf = (kind: "good" | "bad"): string[] => readdirSync(new URL(kind, folder)).filter((file) => !file.endsWith(".expect.json"));
const textOf = (kind: "good" | "bad", file: string): string => readFileSync(new URL(`${kind}/${file}`, folder), "utf8");
const formatOf = (file: string): DefinitionFormat => (file.endsWith(".json") ? "json" : "yaml");

/** `code line:column`, from the first comment of a YAML file or the file beside a JSON one. */
function expectedOf(file: string, text: string): string[] {
  if (file.endsWith(".json")) return JSON.parse(textOf("bad", file.replace(".json", ".expect.json"))) as string[];
  return text.split("\n")[0]!.replace("# expect: ", "").split(", ");
}

test("there are enough examples of both kinds", () => {
  expect(filesOf("bad").length).toBeGreaterThanOrEqual(110);
  expect(filesOf("good").length).toBeGreaterThanOrEqual(24);
});

test.each(filesOf("bad"))("%s is refused with all its problems at once", (file) => {
  const text = textOf("bad", file);
  const spentMs = processorTime();
  const result = readDefinition(text, formatOf(file), { hashOf });
  expect(spentMs()).toBeLessThan(2_000);
  const problems = result.ok ? [] : result.problems;
  expect(problems.map(({ code, line, column }) => `${code} ${line}:${column}`)).toEqual(expectedOf(file, text));
  for (const problem of problems) expect(problem.message).toMatch(/^.{10,}[.?]$/s);
});

test("what was refused leaves nothing in memory", () => {
  const some = filesOf("bad").filter((_, index) => index % 4 === 0);
  const texts = some.map((file) => [textOf("bad", file), formatOf(file)] as const);
  const readAll = (times: number): void => {
    for (let time = 0; time < times; time++) for (const [text, format] of texts) readDefinition(text, format, { hashOf });
  };
  readAll(10);
  const before = heapUsed();
  readAll(10);
  // What V8 keeps of code that has become hot is half of it.
  expect(heapUsed() - before).toBeLessThan(1_000_000);
});

test("every problem code has an example", () => {
  const seen = new Set(filesOf("bad").flatMap((file) => expectedOf(file, textOf("bad", file)).map((each) => each.split(" ")[0])));
  expect(Object.keys(problemCodes).filter((code) => !seen.has(code))).toEqual([]);
});

test.each(filesOf("good"))("%s gives the same plan as YAML, as JSON and as a value", (file) => {
  const fromText = readDefinition(textOf("good", file), formatOf(file), { hashOf });
  expect(fromText).toMatchObject({ ok: true });
  const value: unknown = formatOf(file) === "json" ? JSON.parse(textOf("good", file)) : parse(textOf("good", file));
  expect(readDefinition(JSON.stringify(value, null, "\t"), "json", { hashOf })).toEqual(fromText);
  expect(readDefinitionValue(value, { hashOf })).toEqual(fromText);
  expect(JSON.parse(JSON.stringify(fromText))).toEqual(fromText);
});

test("every step type of this version stands in a good example", () => {
  const types = new Set(filesOf("good").flatMap((file) => [...textOf("good", file).matchAll(/type"?: "?(\w+)/g)].map((match) => match[1])));
  const wanted = "llm tool http activity set sequence switch parallel foreach loop workflow wait listen emit approval try raise end".split(
    " ",
  );
  expect(wanted.filter((type) => !types.has(type))).toEqual([]);
});

const withSteps = (steps: Json): Json => ({ name: "a", version: "1.0.0", steps });

test("a definition above its limits is refused at once", () => {
  const long = readDefinition(`name: ${"x".repeat(600_000)}`, "yaml", { hashOf });
  expect(long).toMatchObject({ ok: false, problems: [{ code: "too_large" }] });
  const many = withSteps(Array.from({ length: 2_001 }, (_, index) => ({ id: `s${index}`, type: "set", values: 1 })));
  expect(readDefinitionValue(many, { hashOf })).toMatchObject({ ok: false, problems: [{ code: "too_large", path: "steps[2000]" }] });
});

test("a plan above its limit is refused", () => {
  const expression = `[${Array.from({ length: 300 }, () => "vars.x").join(",")}]`;
  const steps = Array.from({ length: 200 }, (_, index) => ({ id: `s${index}`, type: "set", values: `\${${expression}}` }));
  const result = readDefinitionValue({ ...(withSteps(steps) as object), vars: { x: 1 } }, { hashOf });
  expect(result).toMatchObject({ ok: false, problems: [{ code: "too_large", message: expect.stringContaining("plan") }] });
});

test.each(["[", "{", "- ", "? ", '{"a":', "a: ", "&a ", "]", ",", '"\n', "!", "|\n", "---\n", "*a ", "\t", "a: b: c\n"])(
  "half a megabyte of %j is refused without a crash",
  (part) => {
    const text = part.repeat(Math.floor(500_000 / part.length));
    for (const format of ["yaml", "json"] as const) expect(readDefinition(text, format, { hashOf }).ok).toBe(false);
  },
);

test("a value that refers to itself is refused", () => {
  const value: Record<string, unknown> = { name: "a", version: "1.0.0" };
  value["steps"] = [value, value];
  expect(readDefinitionValue(value, { hashOf })).toMatchObject({ ok: false });
  for (const odd of [undefined, null, 1n, () => 1, new Map(), new Date(), Symbol("x")])
    expect(readDefinitionValue(odd, { hashOf }).ok).toBe(false);
});

test("a byte order mark is no part of the definition", () => {
  const text = textOf("good", "needs.yaml");
  expect(readDefinition(`\uFEFF${text}`, "yaml", { hashOf })).toEqual(readDefinition(text, "yaml", { hashOf }));
});

const messagesOf = (text: string): string[] => {
  const result = readDefinition(text, "yaml", { hashOf });
  return result.ok ? [] : result.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
};

test("an expression without quotes inside braces is told apart from what follows from it", () => {
  const [first, ...others] = messagesOf("name: a\noutput: { sent: ${steps.a.output} }\nsteps:\n  - { id: a, type: set, values: 1 }\n");
  expect(first).toBe('2:18 An expression inside { } or [ ] has no quotes; put the expression in quotes: "${…}".');
  expect(others).toEqual([]);
  expect(messagesOf("name: a\nx: [${a}, ${b}]\n").map((message) => message.split(" ")[0])).toEqual(["2:6", "2:12"]);
});

test("of syntax errors that follow from each other the first three are told", () => {
  expect(messagesOf(`name: a\nsteps: [1] ${"] ".repeat(20)}\n`)).toHaveLength(3);
  expect(messagesOf("name: a\nprompt: Hello: you\n")[0]).toContain("text that holds ': ' needs quotes, or the indentation is off.");
});

test("thousands of aliases are refused in no time, and stand for the last anchor before them", () => {
  const spentMs = processorTime();
  const { findings, locator } = readSource(`base: &a {x: 1}\nother: &a {x: 2}\nsteps:\n${"- *a\n".repeat(10_000)}`, "yaml");
  expect(locator.positionOf({ code: "tag", path: ["steps", 9_000, "x"], message: "" })).toEqual({ line: 2, column: 15 });
  expect(spentMs()).toBeLessThan(2_000);
  expect(findings).toEqual([{ code: "alias", path: ["steps", 100], message: "There are more than 100 aliases; write the values out." }]);
});

/** In bytes, after garbage collection. */
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  for (let time = 0; time < 3; time++) gc();
  return process.memoryUsage().heapUsed;
}

test.each([
  [{ join: "any" }, 5_001, "at most 5000"],
  [{ until: "${size(done) > 3}" }, 5_001, "at most 5000"],
  [{}, 50_001, "at most 50000"],
  [{ join: "any" }, 5_000, undefined],
  [{}, 5_001, undefined],
])("a `foreach` with %j over %i items that stand there is refused when its run would refuse it: %s", (more, count, refusal) => {
  const items = Array.from({ length: count }, () => 1);
  const each = { id: "each", type: "foreach", items, steps: [{ id: "a", type: "set", values: 1 }], ...more };
  const read = readDefinitionValue({ name: "long-list", version: "1.0.0", steps: [each] }, { hashOf });
  const messages = read.ok ? [] : read.problems.map(({ code, message }) => `${code} ${message}`);
  expect(messages).toEqual(refusal === undefined ? [] : [expect.stringContaining(refusal)]);
});
