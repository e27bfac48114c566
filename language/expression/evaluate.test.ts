import { expect, test } from "@jest/globals";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { Fault } from "../../contracts/faults.ts";
import { makeReference } from "../../contracts/reference.ts";
import { evaluate, fill, ReferenceRead, type Roots } from "./evaluate.ts";
import { parseExpression, parseTemplate } from "./parse.ts";

const data: JsonObject = {
  input: {
    n: 5,
    text: "hello",
    none: null,
    on: true,
    items: [
      { sku: "b", price: 2, tags: ["x"] },
      { sku: "a", price: 10, tags: [] },
      { sku: "c", price: 2, tags: ["x", "y"] },
    ],
    map: { b: 1, a: 2 },
    "odd key": 7,
    stored: makeReference("f00d", 20_000),
    mixed: [1, makeReference("beef", 20_000)],
  },
  index: 1,
};

const steps: JsonObject = {
  extract: { status: "completed", output: { pages: 3, file: makeReference("cafe", 99) } },
  skipped: { status: "skipped", output: null },
};
const roots: Roots = { name: (name) => data[name], step: (id) => (Object.hasOwn(steps, id) ? steps[id] : undefined) };
const run = (text: string): Json => evaluate(parseExpression(text), roots);

function faultOf(text: string): Fault {
  try {
    run(text);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error(`${text} did not fail`);
}

test.each<[string, Json]>([
  // numbers are JSON's
  ["7 / 2", 3.5],
  ["6 / 2", 3],
  ["7 % 4", 3],
  ["-7 % 4", -3],
  ["1 + 1.5", 2.5],
  ["1u + 2", 3],
  ["0x1F", 31],
  ["1e3", 1000],
  ["-0", 0],
  ["0 * -1", 0],
  ["-(-3)", 3],
  ["0.1 + 0.2", 0.1 + 0.2],
  ["9007199254740991", 9007199254740991],
  // precedence
  ["1 + 2 * 3", 7],
  ["(1 + 2) * 3", 9],
  ["10 - 4 - 3", 3],
  ["2 * 3 % 4", 2],
  ["1 < 2 && 2 < 3 || false", true],
  ["true || false && false", true],
  ["!true || true", true],
  ["-input.n + 1", -4],
  ["1 + 1 == 2", true],
  ["false ? 1 : true ? 2 : 3", 2],
  ["input.n > 3 ? 'big' : 0", "big"],
  // text and lists
  ["'a' + 'b'", "ab"],
  ["[1] + ['x']", [1, "x"]],
  ["{'a': 1, 'b': [true, null]}", { a: 1, b: [true, null] }],
  ["{input.text: 1}", { hello: 1 }],
  ["'\\u00e9\\n'", "é\n"],
  ["r'\\n'", "\\n"],
  // comparing
  ["'B' < 'a'", true],
  ["false < true", true],
  ["[1, {'a': null}] == [1.0, {'a': null}]", true],
  ["{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", true],
  ["1 == '1'", false],
  ["null == 0", false],
  ["input.none == null", true],
  ["2 in [1, 2]", true],
  ["[1] in [[1]]", true],
  ["'a' in input.map", true],
  ["'z' in input.map", false],
  // access
  ["input.items[index].sku", "a"],
  ["input.items[index + 1].sku", "c"],
  ["input.items[4 / 2].sku", "c"],
  ["input['odd key']", 7],
  ["input['te' + 'xt']", "hello"],
  ["steps.extract.output.pages", 3],
  ["steps['extract'].output.pages", 3],
  ["steps['ex' + 'tract'].output.pages", 3],
  ["steps.skipped.output", null],
  // has and optionals
  ["has(input.n)", true],
  ["has(input.q)", false],
  ["has(input.none)", true],
  ["has(input.none.x)", false],
  ["has(steps.later)", false],
  ["has(steps.extract.output)", true],
  ["input.?q.orValue(1)", 1],
  ["input.?n.orValue(1)", 5],
  ["input.?none.orValue(1)", null],
  ["input.?q.w.e.orValue('d')", "d"],
  ["input.?q.?w.orValue('d')", "d"],
  ["input.?items[9].sku.orValue('d')", "d"],
  ["input.items[?9].orValue('d')", "d"],
  ["input.items[?0].sku.orValue('d')", "b"],
  ["input.map[?'a'].orValue(0)", 2],
  ["steps.skipped.output.?x.orValue('d')", "d"],
  ["steps.?later.orValue(null)", null],
  ["input.?n.hasValue()", true],
  ["input.?q.hasValue()", false],
  ["has(input.?q)", false],
  ["input.?n.value() + 1", 6],
  ["input.?q.orValue(input.?n.orValue(0))", 5],
  ["input.?n.orValue(1 / 0)", 5],
  // && and || absorb errors
  ["false && input.q", false],
  ["input.q && false", false],
  ["true || input.q", true],
  ["1 / 0 == 1 || true", true],
  // macros
  ["input.items.map(x, x.sku)", ["b", "a", "c"]],
  ["input.items.map(x, x.price > 2, x.sku)", ["a"]],
  ["input.items.filter(x, x.price == 2).size()", 2],
  ["input.items.all(x, x.price > 1)", true],
  ["input.items.exists(x, x.sku == 'c')", true],
  ["input.items.exists_one(x, x.price == 2)", false],
  ["[].all(x, x)", true],
  ["[].exists(x, x)", false],
  ["input.map.map(k, k)", ["a", "b"]],
  ["input.map.all(k, input.map[k] > 0)", true],
  ["input.items.map(x, x.tags.map(y, x.sku + y)).flatten()", ["bx", "cx", "cy"]],
  ["[1, 2].map(input, input * 2)", [2, 4]],
  ["[0, 1].exists(x, 1 / x == 1)", true],
  ["[0, 2].all(x, 1 / x == 1)", false],
])("%s", (text, expected) => {
  expect(run(text)).toStrictEqual(expected);
});

test.each<[string, string]>([
  ["steps.extract.output.pagez", "`steps.extract.output.pagez` is absent"],
  ["steps.later.output", "`steps.later` is absent"],
  ["input.q", "`input.q` is absent"],
  ["nobody", "`nobody` is absent"],
  ["input.none.x", "`input.none.x` cannot be read, because `input.none` is null"],
  ["input.text.x", "`input.text` is a string"],
  ["input.items[3]", "index 3 is outside the list of 3"],
  ["input.items[-1]", "index -1 is outside"],
  ["input.items[0.5]", "must be a whole number"],
  ["input.items.sku", "is a list, so its index must be a whole number"],
  ["input.map[0]", "is a map, so its key must be a string"],
  ["1 / 0", "divides by zero"],
  ["1 % 0", "divides by zero"],
  ["1e308 * 10", "is not a finite number"],
  ["'a' + 1", "`+` does not work on a string and a number"],
  ["'a' < 1", "`<` does not work on"],
  ["null < 1", "`<` does not work on"],
  ["[1] < [2]", "`<` does not work on"],
  ["1 in 'a'", "`in` does not work on"],
  ["!5", "must be true or false"],
  ["input.n ? 1 : 2", "must be true or false"],
  ["input.n && true", "must be true or false"],
  ["-input.text", "needs a number"],
  ["input.?q", "`input.?q` may be absent; end it with `.orValue(…)`"],
  ["input.?q + 1", "may be absent"],
  ["[input.?n]", "may be absent"],
  ["input.?q.value()", "`input.?q` is absent"],
  ["input.n.orValue(1)", "works on optionals only"],
  ["{1: 2}", "must be a string"],
  ["input.n.map(x, x)", "must be a list or a map"],
  ["[1].filter(x, x)", "must be true or false"],
  ["[0, 1].all(x, 1 / x == 1)", "divides by zero"],
  ["upper(input.n)", "`upper` needs string as `text`, but it got a number"],
])("%s fails: %s", (text, sentence) => {
  const fault = faultOf(text);
  expect(fault.code).toBe("expression");
  expect(fault.message).toContain(sentence);
});

const stored = makeReference("f00d", 20_000);

test.each<[string, Json]>([
  ["input.stored", stored],
  ["[input.stored]", [stored]],
  ["{'a': input.stored}", { a: stored }],
  ["true ? input.stored : 1", stored],
  ["steps.extract.output", { pages: 3, file: makeReference("cafe", 99) }],
  ["input.mixed[1]", makeReference("beef", 20_000)],
  ["size(input.mixed)", 2],
  ["input.mixed + [1]", [1, makeReference("beef", 20_000), 1]],
  ["[input.stored].map(x, x)", [stored]],
  ["[input.stored][0]", stored],
  ["first([input.stored])", stored],
  ["has(input.stored)", true],
  ["input.?stored.orValue(1)", stored],
  ["false && input.stored", false],
])("%s passes the stored value along", (text, expected) => {
  expect(run(text)).toStrictEqual(expected);
});

test.each([
  "input.stored.x",
  "input.stored[0]",
  "input.stored.?x.orValue(1)",
  "has(input.stored.x)",
  "input.stored == 1",
  "1 != input.stored",
  "input.mixed == [1, 2]",
  "1 in input.stored",
  "2 in input.mixed",
  "input.stored + 'x'",
  "!input.stored",
  "-input.stored",
  "input.stored ? 1 : 2",
  "input.stored && false",
  "input.stored || true",
  "size(input.stored)",
  "toJson(input.mixed)",
  "string(input.mixed)",
  "unique(input.mixed)",
  "sum(input.mixed)",
  "flatten(input.mixed)",
  "sort(input.mixed)",
  "join(input.mixed)",
  "merge(input.stored, {})",
  "input.stored.map(x, x)",
  "[input.stored].map(x, x.y)",
  "input.items[input.stored]",
  "{input.stored: 1}",
])("%s asks for the stored value", (text) => {
  expect(() => run(text)).toThrow(ReferenceRead);
});

test("a stored value that is read names its hash", () => {
  expect(() => run("input.stored.x")).toThrow(expect.objectContaining({ hash: "f00d" }));
});

test("a template keeps types, interpolates text and passes stored values", () => {
  const template = parseTemplate({
    whole: "${input.items[0].tags}",
    text: "n=${input.n} none=${input.none} on=${input.on} list=${input.items[0].tags} map=${input.map}",
    stored: "${input.stored}",
    literal: "$${input.n}",
    plain: [1, null, "x"],
  });
  expect(fill(template, roots)).toStrictEqual({
    whole: ["x"],
    text: 'n=5 none= on=true list=["x"] map={"b":1,"a":2}',
    stored,
    literal: "${input.n}",
    plain: [1, null, "x"],
  });
});

test("a stored value in the middle of text is asked for", () => {
  expect(() => fill(parseTemplate("see ${input.stored}"), roots)).toThrow(ReferenceRead);
  expect(() => fill(parseTemplate("see ${input.mixed}"), roots)).toThrow(ReferenceRead);
});

test.each(["${1 + 1}", "{{7*7}}", "$${x}", "${input.secret}", "<%= 1 %>", "#{1}", "`${1}`", "\\${1}"])(
  "%s inside a value is never evaluated",
  (hostile) => {
    const here: Roots = { name: () => ({ value: hostile }), step: () => undefined };
    expect(fill(parseTemplate("a ${input.value} b"), here)).toBe(`a ${hostile} b`);
    expect(fill(parseTemplate("${input.value}"), here)).toBe(hostile);
    expect(fill(parseTemplate({ deep: ["${input}"] }), here)).toStrictEqual({ deep: [{ value: hostile }] });
  },
);
