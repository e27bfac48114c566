import { expect, test } from "@jest/globals";
import type { Json } from "../../contracts/json.ts";
import type { Expression, Template } from "../plan.ts";
import { ExpressionSyntaxError, parseCondition, parseExpression, parseTemplate } from "./parse.ts";
import { render } from "./render.ts";

test.each<[string, Expression]>([
  ["input.a", ["get", ["name", "input"], "a"]],
  ["input['a']", ["get", ["name", "input"], "a"]],
  ["input[i]", ["at", ["name", "input"], ["name", "i"]]],
  ["input.?a", ["optional", ["name", "input"], ["lit", "a"]]],
  ["input[?0]", ["optional", ["name", "input"], ["lit", 0]]],
  ["has(input.a)", ["has", ["name", "input"], "a"]],
  ["-5", ["lit", -5]],
  ["5u", ["lit", 5]],
  ["-a", ["negate", ["name", "a"]]],
  ["a.size()", ["call", "size", ["name", "a"]]],
  ["size(a)", ["call", "size", ["name", "a"]]],
  ["a.map(x, x)", ["each", "map", ["name", "a"], "x", ["name", "x"]]],
  ["a.map(x, true, x)", ["each", "map", ["name", "a"], "x", ["lit", true], ["name", "x"]]],
  ["a // comment }", ["name", "a"]],
])("%s becomes a tree", (text, tree) => {
  expect(parseExpression(text)).toStrictEqual(tree);
});

test.each([
  "a.b.c",
  'a["odd key"]',
  'a["in"].b',
  "a[b + 1]",
  "a.?b.c.orValue(1)",
  "a[?b].hasValue()",
  "has(a.b)",
  "-(-a)",
  "!(a && b)",
  "!a && b",
  "(a || b) && c",
  "a || b && c",
  "a || (b || c)",
  "a - (b - c)",
  "a - b - c",
  "a * (b + c)",
  "(a ? b : c) ? d : e",
  "a ? b : c ? d : e",
  "(a == b) == c",
  "(a in b) && c < d",
  "(a + b).size",
  'a.map(x, x.b > 1, x + "\\n\\"")',
  '{"a": [1, -2.5, 1e-7, 1e+21], b: null}',
  "size(a) == 1",
])("%s survives parse, render and parse", (text) => {
  const tree = parseExpression(text);
  expect(parseExpression(render(tree))).toStrictEqual(tree);
});

test.each(
  [
    ["", "empty"],
    ["  ", "empty"],
    ["a +", "not CEL at character"],
    ["a b", "not CEL"],
    ["a = b", "not CEL"],
    ["'open", "Unterminated string"],
    ["siz(a)", "Did you mean `size`?"],
    ["a.sise()", "Did you mean `size`?"],
    ["eval('1')", "There is no function `eval`"],
    ["size()", "takes 1 argument"],
    ["size(a, b)", "takes 1 argument, but 2 are given"],
    ["round(1, 2, 3)", "takes 1 to 2 arguments"],
    ["a.?b.orValue()", "takes 1 argument"],
    ["orValue(a, 1)", "written behind an optional"],
    ["has(a)", "`has` takes one member"],
    ["has(a[b])", "`has` takes one member"],
    ["has(a.b, c)", "`has` takes one member"],
    ["a.map(x)", "`map` is written"],
    ["a.filter(x, true, x)", "`filter` is written"],
    ["a.map(steps, 1)", "cannot name a macro's variable"],
    ["map(a, x)", "written behind a list"],
    ["b'bytes'", "Bytes"],
    ["9007199254740993", "too large for a JSON number"],
    ["18446744073709551615u", "too large"],
    ["cel.bind(x, 1, x)", "There is no function `bind`"],
    ["Type{a: 1}", "not CEL"],
    ["a.matches(b)", "must be a literal string"],
    ["a.matches('" + "x".repeat(65) + "')", "longer than 64 bytes"],
    ["a.matches('(')", "`(` without its `)`"],
    ["a.matches(')')", "`)` too much"],
    ["a.matches('[a')", "`[` without its `]`"],
    ["a.matches('(?=a)')", "no lookahead"],
    ["a.matches('(?<n>a)')", "named groups"],
    ["a.matches(r'(a)\\1')", "back references"],
    ["a.matches('a**')", "two quantifiers"],
    ["a.matches('+')", "nothing to repeat"],
    ["a.matches('a{3,1}')", "first count"],
    ["a.matches('(a{99}){99}')", "repeats too much"],
    ["a.matches('((((){999}){999}){999}){999}')", "repeats too much"],
    ["a".repeat(4_097), "longer than 4096 bytes"],
    ["é".repeat(2_049), "longer than 4096 bytes"],
    ["[".repeat(40) + "]".repeat(40), "nested deeper than 32"],
    ["a" + ".b".repeat(40), "nested deeper than 32"],
    ["1" + "+1".repeat(1_000), "nested deeper than 32"],
    ["!".repeat(4_000) + "a", "nested deeper than 32"],
    ["-".repeat(4_000) + "a", "nested deeper than 32"],
    ["(".repeat(2_000) + "a" + ")".repeat(2_000), "maxDepth"],
    ["a.map(x, b.map(y, c.map(z, z)))", "Macros stand more than 2 deep"],
  ].map(([text, sentence]) => ({ text: text!, sentence: sentence!, name: text!.slice(0, 40) })),
)("$name is refused: $sentence", ({ text, sentence }) => {
  expect(() => parseExpression(text)).toThrow(ExpressionSyntaxError);
  expect(() => parseExpression(text)).toThrow(sentence);
});

test("macros behind each other are not inside each other", () => {
  expect(() => parseExpression("a.map(x, x).map(x, x).map(x, x).filter(y, y.map(z, z))")).not.toThrow();
});

test("a syntax error knows its offset", () => {
  expect(() => parseExpression("input.a + + b")).toThrow(expect.objectContaining({ offset: 10 }));
});

const x: Expression = ["name", "x"];

test.each<[Json, Template]>([
  ["plain", { lit: "plain" }],
  ["", { lit: "" }],
  ["${x}", { expr: x }],
  ["${ x }", { expr: x }],
  [" ${x}", { text: [" ", x] }],
  ["${x}${x}", { text: [x, x] }],
  ["a $${x} b", { lit: "a ${x} b" }],
  ["$${${x}", { text: ["${", x] }],
  ["$5 and {x}", { lit: "$5 and {x}" }],
  ["${'}'}", { expr: ["lit", "}"] }],
  ['${"\\"}"}', { expr: ["lit", '"}'] }],
  ["${'''it's }'''}", { expr: ["lit", "it's }"] }],
  [
    "${{'a': {'b': x}}}",
    {
      expr: [
        "map",
        [
          [
            ["lit", "a"],
            ["map", [[["lit", "b"], x]]],
          ],
        ],
      ],
    },
  ],
  ["${x // }\n}", { expr: x }],
  [{ a: [1, "b"], c: {} }, { lit: { a: [1, "b"], c: {} } }],
  [
    { a: 1, b: "${x}" },
    {
      map: [
        ["a", { lit: 1 }],
        ["b", { expr: x }],
      ],
    },
  ],
  [[1, "${x}"], { list: [{ lit: 1 }, { expr: x }] }],
  [{ "${x}": 1 }, { lit: { "${x}": 1 } }],
])("template %j", (value, template) => {
  expect(parseTemplate(value)).toStrictEqual(template);
});

test("all problems of a template are collected with where they stand", () => {
  const problems: [string, string][] = [];
  const value: Json = { a: ["ok", "${1 +}"], b: { c: "${open" }, $tenutoRef: "f00d", d: "${nope()}" };
  parseTemplate(value, (pointer, message) => problems.push([pointer.join("/"), message]));
  expect(problems.map(([pointer]) => pointer)).toStrictEqual(["a/1", "b/c", "$tenutoRef", "d"]);
  expect(problems[0]![1]).toContain("${1 +}: This is not CEL");
  expect(problems[1]![1]).toContain("no closing }");
});

test("without a reporter the first problem is thrown", () => {
  expect(() => parseTemplate({ a: "${" })).toThrow(ExpressionSyntaxError);
  expect(() => parseTemplate({ $tenutoRef: "f00d" })).toThrow("reserved");
});

test("a template that is nested without end is refused", () => {
  let value: Json = "x";
  for (let depth = 0; depth < 10_000; depth++) value = [value];
  expect(() => parseTemplate(value)).toThrow("nested deeper than");
});

test("a condition is bare CEL or one whole expression", () => {
  const condition = parseExpression("x > 1");
  expect(parseCondition("x > 1")).toStrictEqual(condition);
  expect(parseCondition(" ${x > 1}\n")).toStrictEqual(condition);
  expect(() => parseCondition("${x} > 1")).toThrow("one expression");
  expect(() => parseCondition("${x > 1")).toThrow("one expression");
  expect(() => parseCondition("")).toThrow("empty");
});
