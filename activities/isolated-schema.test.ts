import { afterAll, expect, test } from "@jest/globals";
import type { Json, JsonSchema } from "../contracts/json.ts";
import type { Mismatch } from "../language/index.ts";
import { IsolatedSchemas } from "./isolated-schema.ts";

const schemas = new IsolatedSchemas();
afterAll(() => schemas.close());
const tenant = { tenant: "default" };

/** Each level of the value asks for the one below twice: 2^60 comparisons. */
const level: Json = { type: "array", items: { $ref: "#/$defs/level" } };
const endless: JsonSchema = { $ref: "#/$defs/level", $defs: { level: { anyOf: [level, level] } } };
const deep = Array.from({ length: 60 }).reduce<Json>((inner) => [inner], 1);

// In steps, or on a slow machine in time.
const givenUp = /takes (more|longer) than/;
const whyNot = (check: Promise<Mismatch[]>): Promise<string> =>
  check.then(
    ([first]) => first?.message ?? "",
    (error: Error) => error.message,
  );

test("a value is held against a schema in another thread", async () => {
  expect(await schemas.check(tenant, { type: "object", required: ["a"] }, { a: 1 })).toEqual([]);
  expect(await schemas.check(tenant, { type: "object", required: ["a"] }, {})).toEqual([{ pointer: "/a", message: "is missing" }]);
});

test("a schema that asks for endless work is given up, and the next one is checked", async () => {
  const ticks: number[] = [];
  const ticking = setInterval(() => ticks.push(Date.now()), 50);
  expect(await whyNot(schemas.check(tenant, endless, deep))).toMatch(givenUp);
  clearInterval(ticking);
  expect(ticks.length).toBeGreaterThan(1);
  expect(await schemas.check(tenant, { type: "string" }, "x")).toEqual([]);
});

test("one that asks for endless memory ends its thread and nothing else", async () => {
  const strings: JsonSchema = { items: { anyOf: [{ type: "string" }, { type: "boolean" }, { type: "object" }] } };
  const numbers = Array.from({ length: 500_000 }, (_, n) => n);
  await expect(schemas.check(tenant, strings, numbers)).rejects.toMatchObject({ code: "limit" });
  expect(await schemas.check(tenant, { type: "string" }, "x")).toEqual([]);
});

test("a stranger's schema that is none of ours lets everything pass; of a definition only references cost a thread", async () => {
  expect(await schemas.check(tenant, { type: "string", pattern: "x".repeat(100) }, 1)).toEqual([]);
  expect(await schemas.checkPublished(tenant, { type: "string" }, 1)).toMatchObject([{ pointer: "" }]);
  expect(await whyNot(schemas.checkPublished(tenant, endless, deep))).toMatch(givenUp);
});

test("a pattern is looked for at once in a short text, and in another thread in a long one", async () => {
  expect(await schemas.findSpans(tenant, "\\d+", "a 12 b")).toEqual([{ from: 2, to: 4 }]);
  const long = `${"x ".repeat(35_000)}12`;
  expect(await schemas.findSpans(tenant, "\\d+", long)).toEqual([{ from: 70_000, to: 70_002 }]);
  await expect(schemas.findSpans(tenant, "(x?y?x?y?){40}z", "x".repeat(900_000))).rejects.toMatchObject({ code: "limit" });
});

test("tenants have their checks by turns", async () => {
  const done: string[] = [];
  const ask = async (name: string): Promise<void> => {
    await schemas.check({ tenant: name.slice(0, 1) }, { type: "number" }, 2);
    done.push(name);
  };
  await Promise.all(["a1", "a2", "a3", "a4", "b1", "b2", "c1"].map(ask));
  expect(done).toEqual(["a1", "a2", "b1", "c1", "a3", "b2", "a4"]);
});

test("who has waited too long is told so, unless something has happened already", async () => {
  const own = new IsolatedSchemas(300);
  const slow = expect(own.findSpans(tenant, "(x?y?x?y?){40}z", "x".repeat(900_000))).rejects.toMatchObject({ code: "limit" });
  const before = expect(own.check({ tenant: "b" }, { type: "number" }, 2)).rejects.toMatchObject({ code: "unavailable" });
  expect(await own.check({ tenant: "b", hasHappened: true }, { type: "number" }, 2)).toEqual([]);
  await Promise.all([slow, before]);
  expect(await own.check({ tenant: "b" }, { type: "number" }, 2)).toEqual([]);
  await own.close();
});
