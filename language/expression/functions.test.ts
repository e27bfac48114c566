import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import type { Json } from "../../contracts/json.ts";
import { Fault } from "../../contracts/faults.ts";
import { evaluate, type Roots } from "./evaluate.ts";
import { functions } from "./functions.ts";
import { parseExpression } from "./parse.ts";

const list: Json = [
  { id: 2, name: "b", group: "x" },
  { id: 1, name: "a", group: "y" },
  { id: 3, name: "c", group: "x" },
];
const roots: Roots = { name: (name) => ({ list })[name], step: () => undefined };
const run = (text: string): Json => evaluate(parseExpression(text), roots);

test.each<[string, Json]>([
  ["size('héllo😀')", 6],
  ["size([1, 2])", 2],
  ["size({'a': 1})", 1],
  ["int(3.9)", 3],
  ["int(-0.5)", 0],
  ["int('12')", 12],
  ["double('1.5e2')", 150],
  ["double(' .5 ')", 0.5],
  ["double(true)", 1],
  ["string(1.5)", "1.5"],
  ["string(null)", ""],
  ["string([1, 'a'])", '[1,"a"]'],
  ["bool('true')", true],
  ["'hello'.startsWith('he')", true],
  ["'hello'.endsWith('lo')", true],
  ["'hello'.contains('ell')", true],
  ["'ÄbC'.lowerAscii()", "Äbc"],
  ["'äbC'.upperAscii()", "äBC"],
  ["'ÄbC'.lower()", "äbc"],
  ["'äbc'.upper()", "ÄBC"],
  ["' a '.trim()", "a"],
  ["'a,b'.split(',')", ["a", "b"]],
  ["'a😀'.split('')", ["a", "😀"]],
  ["'a.b.c'.replace('.', '$&')", "a$&b$&c"],
  ["'a😀c'.substring(1, 2)", "😀"],
  ["'abc'.substring(1)", "bc"],
  ["[1, 'a', null, true].join('-')", "1-a--true"],
  ["['a', 'b'].join()", "ab"],
  ["[[1], {'a': 2}].join(' ')", '[1] {"a":2}'],
  ["list.keyBy('name')['a'].id", 1],
  ["list.keyBy('id')['3'].name", "c"],
  ["list.groupBy('group')['x'].map(i, i.id)", [2, 3]],
  ["{'a': 1, 'b': 1}.merge({'b': 2})", { a: 1, b: 2 }],
  ["[[1], 2, [3, [4]]].flatten()", [1, 2, 3, [4]]],
  ["list.sortBy('id').map(i, i.id)", [1, 2, 3]],
  ["[10, 9, 1].sort()", [1, 9, 10]],
  ["['b', 'B', 'a'].sort()", ["B", "a", "b"]],
  ["[].sort()", []],
  ["[1, '1', 1.0, {'a': 1, 'b': 2}, {'b': 2, 'a': 1}].unique()", [1, "1", { a: 1, b: 2 }]],
  ["[1, 2.5].sum()", 3.5],
  ["[].sum()", 0],
  ["[3, 1, 2].min()", 1],
  ["['a', 'c'].max()", "c"],
  ["[1, 2].avg()", 1.5],
  ["list.first().id", 2],
  ["list.last().id", 3],
  ["[1, 2, 3].slice(1)", [2, 3]],
  ["[1, 2, 3].slice(-2, -1)", [2]],
  ["[1, 2].reverse()", [2, 1]],
  ["range(3)", [0, 1, 2]],
  ["keys({'b': 1, 'a': 2})", ["a", "b"]],
  ["values({'b': 1, 'a': 2})", [2, 1]],
  ["entries({'a': 2})", [{ key: "a", value: 2 }]],
  ["abs(-2)", 2],
  ["round(2.5)", 3],
  ["round(-2.5)", -3],
  ["round(1.005, 2)", 1.01],
  ["round(-0.2)", 0],
  ["floor(-1.5)", -2],
  ["ceil(-0.5)", 0],
  ["toJson({'a': [1, null]})", '{"a":[1,null]}'],
  ["data('5 < 7</data>')", "<data>\n5 \\u003c 7\\u003c/data>\n</data>"],
  ["data({'a': ['</data>']})", '<data>\n{"a":["\\u003c/data>"]}\n</data>'],
  ["data(null)", "<data>\nnull\n</data>"],
  ["parseJson('{\"a\": [1]}').a", [1]],
  ["millis('1970-01-01T00:00:01Z')", 1_000],
  ["millis('2026-07-01T09:30:00.250+02:00')", Date.UTC(2026, 6, 1, 7, 30, 0, 250)],
  ["millis('0050-01-01T00:00Z') < 0", true],
  ["iso(0)", "1970-01-01T00:00:00.000Z"],
  ["iso(millis('2024-02-29T23:59:59-0100'))", "2024-03-01T00:59:59.000Z"],
  ["duration('1h30m')", 5_400_000],
  ["iso(millis('2026-07-01T00:00:00Z') + duration('2d'))", "2026-07-03T00:00:00.000Z"],
])("%s", (text, expected) => {
  expect(run(text)).toStrictEqual(expected);
});

test.each<[string, string]>([
  ["int('x')", "is not a number"],
  ["double('')", "is not a number"],
  ["bool('yes')", "neither true nor false"],
  ["'a'.replace('', 'b')", "empty one stands everywhere"],
  ["'abc'.substring(2, 1)", "outside the text of 3"],
  ["'abc'.substring(0, 4)", "outside the text of 3"],
  ["list.keyBy('nope')", "no `nope`"],
  ["list.sortBy('nope')", "no `nope`"],
  ["[{'k': [1]}].keyBy('k')", "only a string, number or boolean"],
  ["[1, 'a'].sort()", "values of one kind"],
  ["[null].sort()", "values of one kind"],
  ["[1, 'a'].sum()", "one item is a string"],
  ["[].min()", "empty list"],
  ["[].avg()", "empty list"],
  ["[].first()", "empty list"],
  ["range(-1)", "whole number from 0"],
  ["range(1.5)", "whole number from 0"],
  ["round(1, 20)", "0 to 12 digits"],
  ["millis('2026-07-01T09:30:00')", "with Z or an offset"],
  ["millis('2026-02-30T00:00:00Z')", "does not exist"],
  ["millis('tomorrow')", "is not a moment"],
  ["duration('soon')", "is not a duration"],
])("%s fails: %s", (text, sentence) => {
  expect(() => run(text)).toThrow(Fault);
  expect(() => run(text)).toThrow(sentence);
});

test.each<[string, string, boolean]>([
  ["abc", "b", true],
  ["abc", "^b", false],
  ["abc", "^abc$", true],
  ["aac", "^a+c$", true],
  ["ac", "^ab*c$", true],
  ["abbc", "^ab{2}c$", true],
  ["abbbc", "^ab{0,2}c$", false],
  ["abbbc", "^ab{2,}c$", true],
  ["x-1", "^[a-z]-\\\\d$", true],
  ["ada@example.org", "^[^@ ]+@[^@ ]+\\\\.[a-z]{2,}$", true],
  ["ada@example", "^[^@ ]+@[^@ ]+\\\\.[a-z]{2,}$", false],
  ["dog", "^(cat|dog)$", true],
  ["catdog", "^(?:cat|dog)$", false],
  ["a b", "\\\\bb\\\\b", true],
  ["ab", "\\\\bb", false],
  ["HELLO", "(?i)hello", true],
  ["😀", "^.$", true],
  ["a]", "[]]", true],
  ["a-", "[a\\\\-]$", true],
  ["", "^$", true],
  ["abc", "", true],
  ["aXb", "a(?:x|X)??b", true],
  ["\n", "^.$", false],
])("%j matches %s: %s", (text, pattern, expected) => {
  expect(run(`matches(${JSON.stringify(text)}, '${pattern}')`)).toBe(expected);
});

test("docs/expressions.md lists exactly the functions there are", () => {
  const documented = readFileSync(new URL("../../docs/expressions.md", import.meta.url), "utf8");
  const rows = [...documented.matchAll(/^\| `([a-zA-Z]+\(.*?\): [^`]+)` \| (.+) \|$/gm)].map(([, text, doc]) =>
    `${text} – ${doc}`.replaceAll("\\|", "|"),
  );
  expect(rows).toStrictEqual([...functions.values()].map(({ text, doc }) => `${text} – ${doc}`.replaceAll("\\|", "|")));
});
