import { expect, test } from "@jest/globals";
import { z } from "zod";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { checkSchema, validateValue } from "./index.ts";
import { processorTime } from "../tests/processor-time.ts";

const person: JsonSchema = {
  type: "object",
  required: ["name"],
  properties: { name: { type: "string" }, age: { type: "number" } },
  additionalProperties: false,
};

test("a value that fits has no mismatch", () => {
  expect(validateValue(person, { name: "Ada", age: 36 })).toEqual([]);
});

test("every mismatch is named with its pointer", () => {
  expect(validateValue(person, { age: "old", "a/b": 1 })).toEqual([
    { pointer: "/name", message: "is missing" },
    { pointer: "/a~1b", message: "is not allowed here" },
    { pointer: "/age", message: "must be number" },
  ]);
});

test("formats are checked", () => {
  expect(validateValue({ type: "string", format: "email" }, "nobody")).toHaveLength(1);
  expect(validateValue({ type: "string", format: "date-time" }, "2026-01-01T00:00:00Z")).toEqual([]);
});

test("a schema that zod made is accepted, whatever its formats", () => {
  const { $schema: _, ...schema } = z.toJSONSchema(z.object({ mail: z.email(), id: z.uuid(), at: z.iso.datetime() }));
  expect(checkSchema(schema as JsonSchema)).toEqual([]);
  expect(validateValue(schema as JsonSchema, { mail: "a@example.com", id: "x", at: "2026-01-01T00:00:00Z" })).toMatchObject([
    { pointer: "/id" },
  ]);
});

test("a pattern never blocks the process", () => {
  const spentMs = processorTime();
  expect(validateValue({ pattern: "(a|aa)+$" }, `${"a".repeat(4_000)}b`)).toHaveLength(1);
  expect(spentMs()).toBeLessThan(2_000);
  expect(validateValue({ pattern: "^a+$", allOf: [{ pattern: "^b+$" }] }, "aa")).toHaveLength(1);
});

test.each<[string, Json]>([
  ["$ref", { $ref: "https://example.com/x" }],
  ["itself", { $ref: "#" }],
  ["itself", { allOf: [{ $ref: "#" }] }],
  ["resolve", { $ref: "#/$defs/nope" }],
  ["/type", { type: "objekt" }],
  ["bytes", { pattern: "a".repeat(65) }],
  ["lookahead", { pattern: "(?=a)b" }],
  ["bytes", { patternProperties: { ["a".repeat(65)]: {} } }],
  ["$async", { $async: true }],
  ["maxItems", { uniqueItems: true }],
  ["refers to no schema", { $ref: "#/other", other: { anyOf: [{ items: { $ref: "#/other" } }] } }],
  ["refers to no schema", { $ref: "#/$defs/a/const", $defs: { a: { const: { pattern: "x" } } } }],
  ["refers to no schema", { $ref: "#here", other: { $anchor: "here" } }],
  ["`$id`", { $defs: { a: { $id: "other", $ref: "#/other" } } }],
  ["2020-12", { $schema: "http://json-schema.org/draft-07/schema#" }],
  ["at most 65536", { description: "x".repeat(70_000) }],
  ["levels", Array.from({ length: 40 }).reduce<Json>((inner) => ({ items: inner }), {})],
])("a schema is refused, naming %s", (word, schema) => {
  expect(checkSchema(schema as JsonSchema).join(" ")).toContain(word);
  expect(validateValue(schema as JsonSchema, {}).length).toBeGreaterThan(0);
});

test("a recursive schema is fine, and a value too deep for it is a mismatch", () => {
  const list: JsonSchema = { type: "object", properties: { next: { $ref: "#" } } };
  expect(checkSchema(list)).toEqual([]);
  const deep = Array.from({ length: 100_000 }).reduce<Json>((next) => ({ next }), {});
  expect(validateValue(list, deep)).toHaveLength(1);
});

test("keywords inside data are not taken for schemas", () => {
  expect(
    checkSchema({
      const: { $ref: "https://example.com", pattern: "(" },
      properties: { pattern: { type: "string" }, $ref: { type: "string" } },
    }),
  ).toEqual([]);
});

test("two schemas may carry the same $id", () => {
  expect(validateValue({ $id: "same", type: "string" }, 1)).toHaveLength(1);
  expect(validateValue({ $id: "same", type: "number" }, 1)).toEqual([]);
});

const twice = (inner: Json): JsonSchema => ({ $ref: "#/$defs/a", $defs: { a: { anyOf: [inner, inner] } } });
const lists = Array.from({ length: 2_000 }, (_, index): Json => [index]);
const patterned: JsonSchema = { type: "string", pattern: "(a?b?c?d?){5}z" };

test.each<[string, JsonSchema, Json]>([
  [
    "refers to itself twice",
    twice({ type: "array", items: { $ref: "#/$defs/a" } }),
    Array.from({ length: 60 }).reduce<Json>((v) => [v], 1),
  ],
  ["compares every item with every other", { uniqueItems: true, maxItems: 1_000 }, Array.from({ length: 100 }, () => lists).flat()],
  ["compares the items of many lists", { items: { uniqueItems: true, maxItems: 1_000 } }, Array.from({ length: 500 }, () => lists)],
  ["has many choices", { items: { anyOf: Array.from({ length: 2_000 }, (_, index) => ({ const: index })) } }, lists],
  ["looks for a pattern in many texts", { items: patterned }, Array.from({ length: 500 }, () => "abcd".repeat(1_000))],
])("checking against a schema that %s comes to an end", (_, schema, value) => {
  const spentMs = processorTime();
  expect(validateValue(schema, value)).toMatchObject([{ pointer: "", message: expect.stringMatching(/takes more than/) }]);
  expect(spentMs()).toBeLessThan(8_000);
});

test("a large value that a schema takes is checked whole", () => {
  const tree: JsonSchema = { type: "object", properties: { children: { type: "array", items: { $ref: "#" } } } };
  const leaves = Array.from({ length: 100_000 }, (): Json => ({ children: [] }));
  expect(validateValue(tree, { children: leaves })).toEqual([]);
  expect(validateValue(tree, { children: [...leaves, 1] })).toEqual([{ pointer: "/children/100000", message: "must be object" }]);
});
