import { expect, test } from "@jest/globals";
import { z } from "zod";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { checkSchema, validateValue } from "./index.ts";

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
  const startedAt = performance.now();
  expect(validateValue({ pattern: "(a|aa)+$" }, `${"a".repeat(4_000)}b`)).toHaveLength(1);
  expect(performance.now() - startedAt).toBeLessThan(2_000);
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
