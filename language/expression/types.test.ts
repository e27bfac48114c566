import { expect, test } from "@jest/globals";
import type { JsonSchema } from "../../contracts/json.ts";
import { parseExpression, parseTemplate } from "./parse.ts";
import {
  anyType,
  assignable,
  booleanType,
  inferType,
  listOf,
  nameOf,
  nullType,
  numberType,
  stringType,
  typeOfSchema,
  typeOfTemplate,
  unionOf,
  type Type,
  type TypeScope,
} from "./types.ts";

const inputSchema: JsonSchema = {
  type: "object",
  required: ["text", "items"],
  properties: {
    text: { type: "string" },
    limit: { type: "integer" },
    maybe: { type: ["number", "null"] },
    flag: { type: "boolean" },
    items: { type: "array", items: { $ref: "#/$defs/item" } },
    labels: { type: "object", additionalProperties: { type: "string" } },
    either: { anyOf: [{ type: "string" }, { type: "object", properties: { a: { type: "number" } } }] },
    free: {},
  },
  $defs: {
    item: {
      type: "object",
      properties: { sku: { type: "string" }, price: { type: "number" }, parts: { type: "array", items: { $ref: "#/$defs/item" } } },
    },
  },
};

const known: Record<string, Type> = { input: typeOfSchema(inputSchema), anything: anyType };
const output = typeOfSchema({ type: "object", properties: { pages: { type: "number" } } });
const scope: TypeScope = {
  name: (name) => (Object.hasOwn(known, name) ? known[name] : undefined),
  step: (id) =>
    id === "extract"
      ? { kind: "object", fields: { output, status: stringType }, required: ["output", "status"], open: false }
      : { missing: `No step ${id}.` },
  names: () => Object.keys(known),
};

function check(text: string): { type: Type; reports: string[] } {
  const reports: string[] = [];
  return { type: inferType(parseExpression(text), scope, (message) => reports.push(message)), reports };
}

test.each<[string, Type]>([
  ["1 + 1", numberType],
  ["input.text + 'x'", stringType],
  ["input.limit / 2", numberType],
  ["input.maybe > 1", booleanType],
  ["input.maybe == null", booleanType],
  ["input.maybe + 1", numberType],
  ["input.items[0].sku", stringType],
  ["input.items[input.limit - 1].price", numberType],
  ["input.items.map(x, x.price)", listOf(numberType)],
  ["input.items.filter(x, x.price > 1)[0].sku", stringType],
  ["input.items.map(x, x.price > 1, x.sku)", listOf(stringType)],
  ["input.items.all(x, x.sku.startsWith('a'))", booleanType],
  ["input.items[0].parts[0].sku", stringType],
  ["input.labels.whatever", anyType],
  ["input.labels.map(k, k)", listOf(stringType)],
  ["input.free.what.ever + 1", numberType],
  ["input.either.a", numberType],
  ["input.?limit.orValue(0)", numberType],
  ["input.?limit.orValue('none')", unionOf([numberType, stringType])],
  ["input.?limit.hasValue()", booleanType],
  ["input.?items[0].sku.orValue('')", stringType],
  ["input.flag ? 1 : 'x'", unionOf([numberType, stringType])],
  ["has(input.limit)", booleanType],
  ["steps.extract.output.pages > input.limit", booleanType],
  ["steps['extract'].status", stringType],
  ["sum(input.items.map(x, x.price))", numberType],
  ["input.items.sortBy('price').first().sku", stringType],
  ["'a' in input.labels", booleanType],
  ["input.text in ['a', 'b']", booleanType],
  ["{'a': 1}.a", numberType],
  ["[1, 2][0]", numberType],
  ["anything && !anything", booleanType],
  ["keys(input.labels)", listOf(stringType)],
  ["anything + 1 < 3", booleanType],
  ["-anything", numberType],
])("%s is fine", (text, type) => {
  expect(check(text)).toStrictEqual({ type, reports: [] });
});

test.each<[string, string]>([
  ["inptu.text", "`inptu` is not known here. Did you mean `input`?"],
  ["zzz", "Known are steps, input, anything."],
  ["input.txet", "`input` has no `txet`; it has text, limit"],
  ["input.limt", "Did you mean `limit`?"],
  ["input.items[0].skuu", "`input.items[0]` has no `skuu`"],
  ["input.items.map(x, x.pirce)", "Did you mean `price`?"],
  ["input.?limt.orValue(1)", "has no `limt`"],
  ["has(input.limt)", "has no `limt`"],
  ["input.text.length", "only maps have members"],
  ["input.items.sku", "only maps have members"],
  ["steps.extract.output.pagez", "Did you mean `pages`?"],
  ["steps.later.output", "No step later."],
  ["steps.extract.outptu", "Did you mean `output`?"],
  ["'a' < 1", "does not work on a string and a number"],
  ["input.text - 1", "does not work on a string and a number"],
  ["input.text + 1", "convert one of them"],
  ["null + 1", "does not work on null and a number"],
  ["input.items < input.items", "does not work on a list and a list"],
  ["1 in input.text", "on its right must be a list"],
  ["1 in input.labels", "on its right must be a list"],
  ["!5", "must be true or false"],
  ["input.text && true", "`input.text` is a string, but it must be true or false"],
  ["input.limit ? 1 : 2", "must be true or false"],
  ["input.items.filter(x, x.sku)", "must be true or false"],
  ["-input.text", "needs a number"],
  ["upper(input.limit)", "`upper` needs string as `text`, but `input.limit` is a number"],
  ["sum(input.items.map(x, x.sku))", "whose items are a string"],
  ["sum(input.text)", "needs list<number>"],
  ["input.items.sortBy('pirce')", "Did you mean `price`?"],
  ["input.text.map(x, x)", "needs a list or a map"],
  ["input.text[0]", "cannot be read"],
  ["input.items['a' + 'b']", "lists take numbers"],
  ["input.?limit + 1", "end it with `.orValue(…)`"],
  ["input.limit.orValue(1)", "is no optional"],
  ["{1: 2}", "keys of a map must be strings"],
])("%s is reported: %s", (text, sentence) => {
  const { reports } = check(text);
  expect(reports).toHaveLength(1);
  expect(reports[0]).toContain(sentence);
});

test("all problems of one expression are reported", () => {
  expect(check("input.txet + nobody > 'a' - 1").reports).toHaveLength(3);
});

test("templates have types and report what their holes do wrong", () => {
  const reports: string[] = [];
  const type = typeOfTemplate(parseTemplate({ a: "${input.limit}", b: "n=${input.nope}", c: [1, "${input.?text}"] }), scope, (message) =>
    reports.push(message),
  );
  expect(type).toStrictEqual({
    kind: "object",
    fields: { a: numberType, b: stringType, c: listOf(unionOf([numberType, stringType])) },
    required: ["a", "b", "c"],
    open: false,
  });
  expect(reports).toHaveLength(2);
});

const object = (fields: Record<string, Type>, required: string[] = [], open = false): Type => ({ kind: "object", fields, required, open });

test.each<[JsonSchema | undefined, Type]>([
  [undefined, anyType],
  [{}, anyType],
  [{ type: "integer" }, numberType],
  [{ type: ["string", "null"] }, unionOf([stringType, nullType])],
  [{ type: "string", nullable: true }, unionOf([stringType, nullType])],
  [{ enum: ["a", 1, null] }, unionOf([stringType, numberType, nullType])],
  [{ const: true }, booleanType],
  [{ type: "array" }, listOf(anyType)],
  [{ type: "array", prefixItems: [{ type: "string" }, { type: "number" }], items: false }, listOf(unionOf([stringType, numberType]))],
  [{ type: "array", prefixItems: [{ type: "string" }] }, listOf(anyType)],
  [{ type: "object" }, object({}, [], true)],
  [{ type: "object", additionalProperties: false }, object({})],
  [{ type: "object", properties: { a: { type: "string" } } }, object({ a: stringType })],
  [{ type: "object", properties: { a: {} }, additionalProperties: true }, object({ a: anyType }, [], true)],
  [{ properties: { a: { type: "string" } }, required: ["a"] }, object({ a: stringType }, ["a"])],
  [
    {
      allOf: [
        { type: "object", properties: { a: { type: "string" } } },
        { properties: { b: { type: "number" } }, required: ["b"] },
      ],
    },
    object({ a: stringType, b: numberType }, ["b"]),
  ],
  [{ allOf: [{ type: "string" }, { type: "number" }] }, anyType],
  [{ type: "object", properties: { a: {} }, anyOf: [{ required: ["a"] }] }, anyType],
  [{ not: { type: "string" } }, anyType],
  [{ $ref: "https://example.org/schema" }, anyType],
  [{ $ref: "#/$defs/none" }, anyType],
  [{ $ref: "#" }, anyType],
])("schema %j", (schema, type) => {
  expect(typeOfSchema(schema)).toStrictEqual(type);
});

test("a type may be used where all it can be is wanted", () => {
  expect(assignable(numberType, unionOf([numberType, nullType]))).toBe(true);
  expect(assignable(unionOf([numberType, nullType]), numberType)).toBe(false);
  expect(assignable(anyType, stringType)).toBe(true);
  expect(assignable(listOf(numberType), listOf(stringType))).toBe(false);
  expect(assignable(object({ a: numberType }, ["a"]), object({ a: numberType }, ["a"]))).toBe(true);
  expect(assignable(object({ b: numberType }, ["b"]), object({ a: numberType }, ["a"]))).toBe(false);
  expect(assignable(object({ a: stringType }), object({ a: numberType }))).toBe(false);
  expect(assignable(object({}, [], true), object({ a: numberType }, ["a"]))).toBe(true);
});

test("a type has a name in a sentence", () => {
  expect(nameOf(unionOf([stringType, nullType]))).toBe("a string or null");
});
