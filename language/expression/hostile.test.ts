import { expect, test } from "@jest/globals";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { limits } from "../../contracts/limits.ts";
import { Fault } from "../../contracts/faults.ts";
import { evaluate, fill, Meter, type Roots } from "./evaluate.ts";
import { parseExpression, parseTemplate } from "./parse.ts";
import { processorTime } from "../../tests/processor-time.ts";

const input: JsonObject = {
  text: "a".repeat(4_096),
  long: "x".repeat(1_000_000),
  list: Array.from({ length: 1_000 }, (_, index) => index),
  json: '{"__proto__": {"polluted": true}}',
  forged: '{"file": {"$tenutoRef": "f00d", "bytes": 1}}',
  hostile: JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 1, "prototype": 2, "fine": 3}') as Json,
  keyed: [{ key: "__proto__", value: 1 }],
  forging: [{ key: "$tenutoRef", value: "f00d" }],
  deep: "[".repeat(5_000) + "]".repeat(5_000),
};
const roots: Roots = { name: (name) => (Object.hasOwn({ input }, name) ? input : undefined), step: () => undefined };
const run = (text: string): Json => evaluate(parseExpression(text), roots);

function endOf(text: string): string {
  try {
    return JSON.stringify(run(text)).slice(0, 100);
  } catch (error) {
    if (error instanceof Fault) return error.code;
    // Refusing to parse is as good as failing.
    return (error as Error).name;
  }
}

test.each([
  "input.__proto__",
  "input.constructor",
  "input.prototype",
  "input['__proto__']",
  "input['constructor']",
  "input.?constructor.orValue(1)",
  "input[?'constructor'].orValue(1)",
  "has(input.constructor)",
  "input.text.constructor",
  "input.list.constructor",
  "constructor",
  "__proto__",
  "steps.__proto__",
  "steps.constructor",
  "{'__proto__': 1}",
  "{'constructor': 1}",
  "[1].map(constructor, 1)",
  "[1].map(__proto__, 1)",
  "constructor('return 1')",
  "input.text.constructor('x')",
  "input.toString()",
  "input.hasOwnProperty('a')",
  "input.list.push(1)",
  "process.exit()",
  "require('fs')",
  "globalThis",
  "this",
  "Function('return 1')()",
  "(() => 1)()",
  "input.text = 1",
  "new Date()",
  "now()",
  "random()",
  "`x`",
  "a ?? b",
  "a?.b",
])("%s cannot be published or finds nothing", (text) => {
  expect(["ExpressionSyntaxError", "expression"]).toContain(endOf(text));
});

test.each<[string, string]>([
  ["input['__pro' + 'to__']", "expression"],
  ["input['const' + 'ructor']", "expression"],
  ["input.text['len' + 'gth']", "expression"],
  ["input.list['len' + 'gth']", "expression"],
  ["input.list['ma' + 'p']", "expression"],
  ["input[?'const' + 'ructor'].orValue(1)", "expression"],
  ["'constructor' in input.hostile", "false"],
  ["'toString' in input", "false"],
  ["{'__pro' + 'to__': 1}", "expression"],
  ["{'$tenuto' + 'Ref': 'f00d'}", "expression"],
  ["keyBy(input.keyed, 'key')", "expression"],
  ["groupBy(input.keyed, 'key')", "expression"],
  ["keyBy(input.forging, 'key')", "expression"],
  ["merge({}, input.hostile)", "expression"],
  ["keys(input.hostile)", '["fine"]'],
  ["size(input.hostile)", "1"],
  ["input.hostile.map(k, k)", '["fine"]'],
  ["parseJson(input.json)", "expression"],
  ["parseJson(input.forged)", "expression"],
  ["parseJson(input.deep)", "expression"],
  ["parseJson('{')", "expression"],
  ["parseJson('NaN')", "expression"],
  ["double('Infinity')", "expression"],
  ["double('0x10')", "expression"],
  ["double('1e999')", "expression"],
  // more work or memory than an expression may take
  ["range(1000000000)", "limit"],
  ["range(200000).map(x, x)", "limit"],
  ["input.list.map(x, input.list.map(y, x * y))", "limit"],
  ["input.list.all(x, input.list.all(y, x + y >= 0))", "limit"],
  ["input.list.map(x, input.long)", "limit"],
  ["toJson(input.list.map(x, input.long))", "limit"],
  ["join(input.list.map(x, input.long))", "limit"],
  ["join(input.list, input.long)", "limit"],
  ["replace(input.text, 'a', input.text)", "limit"],
  ["input.long + input.long", "limit"],
  ["input.list.map(x, upper(input.long))", "limit"],
  ["input.list.map(x, input.long == input.long + '')", "limit"],
  ["input.list.map(x, sort(input.list))", "limit"],
  ["input.list.map(x, unique(input.list))", "limit"],
  ["input.list.map(x, split(input.text, ''))", "limit"],
  ["range(60000).map(x, input.list)", "limit"],
  ["range(100000) + range(100000)", "limit"],
  ["input.long.matches('a')", "limit"],
  ["iso(1e300)", "expression"],
  ["duration('99999999999999999d')", "expression"],
  ["false && range(1000000000).size() > 0", "false"],
  ["range(1000000000).size() > 0 || true", "limit"],
])("%s ends with %s", (text, end) => {
  expect(endOf(text)).toBe(end);
});

test.each([
  "(a+)+$",
  "(a*)*b",
  "(a|a)*b",
  "(a|aa)+$",
  "a*a*a*a*b",
  "(.*a){20}",
  "a?".repeat(20) + "b",
  "(||||||||)(||||||||)(||||||||)b",
  "([a-z]+)*!",
  "(x+x+)+y",
])("pattern %s takes no longer than others", (pattern) => {
  const spentMs = processorTime();
  endOf(`matches(input.text, '${pattern}')`);
  expect(spentMs()).toBeLessThan(1_000);
});

test("nothing that an expression does changes a prototype or its input", () => {
  const before = JSON.stringify(input);
  for (const text of [
    "merge(input.hostile, input.hostile)",
    "sort(input.list)",
    "reverse(input.list)",
    "input.list + [1]",
    "parseJson(input.json)",
  ])
    endOf(text);
  expect(({} as JsonObject)["polluted"]).toBeUndefined();
  expect(JSON.stringify(input)).toBe(before);
});

test("a template cannot build a stored value from parts", () => {
  expect(() => parseTemplate({ a: [{ $tenutoRef: "${input.text}" }] })).toThrow("reserved");
  expect(() => fill({ map: [["$tenutoRef", { lit: "f00d" }]] }, roots)).toThrow("reserved");
});

test("interpolated text is bounded", () => {
  expect(() => fill(parseTemplate("${input.long}${input.long}"), roots)).toThrow("more than 1048576 characters");
});

test("the expressions of one field share their steps", () => {
  const third = `\${range(${Math.floor(limits.expressionStepsMax / 3)}).size()}`;
  expect(fill(parseTemplate([third, third]), roots)).toHaveLength(2);
  expect(() => fill(parseTemplate([third, third, third]), roots)).toThrow("take more than");
});

test("what an expression costs beside its nodes counts: errors it absorbs, letters, members of its value", () => {
  const spent = (text: string): number => {
    const meter = new Meter();
    evaluate(parseExpression(text), roots, meter);
    return meter.spent;
  };
  expect(spent("range(100).exists(x, input.none == 1 || x == 99)")).toBeGreaterThan(100 * 30);
  expect(spent("input.long.upperAscii()")).toBeGreaterThan(100_000);
  expect(spent("range(100).map(x, input.list)")).toBeGreaterThan(1_000);
});
