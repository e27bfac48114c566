import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { validateValue } from "../language/validate.ts";
import { fillSchema } from "./local-fill.ts";
import { createLocalModel } from "./model-local.ts";
import type { Message } from "./model-port.ts";
import { casesOf } from "../tests/cases.ts";
import { processorTime } from "../tests/processor-time.ts";

async function answer(prompt: string, outputSchema?: JsonSchema): Promise<string> {
  const messages: Message[] = [{ role: "user", content: prompt }];
  const request = { model: "extractive", messages, signal: new AbortController().signal, idempotencyKey: "k", headers: {} };
  return (await createLocalModel().chat({ ...request, ...(outputSchema ? { outputSchema } : {}) })).text;
}

const fill = async (prompt: string, schema: JsonSchema): Promise<Json> => JSON.parse(await answer(prompt, schema)) as Json;

const report =
  "The harbour bridge closed on Monday after engineers found cracks in two cables. Traffic over the bridge is led through the old tunnel. " +
  "A bakery nearby sold more bread. Engineers say the cables of the bridge must be replaced before trucks may cross the bridge again. It rained.";

describe("the local model", () => {
  test("says what it is and takes its words from the text", async () => {
    const text = await answer(`Summarise in two sentences: ${report}`);
    expect(text).toMatch(/^Local model \(extractive, no reasoning\): /);
    expect(text).toContain("harbour bridge closed");
    expect(text).not.toContain("It rained");
    expect(text).not.toContain("Summarise");
  });

  test("answers other inputs otherwise, and the same input the same way", async () => {
    expect(await answer("Cats sleep.")).not.toBe(await answer("Dogs bark."));
    expect(await answer(report)).toBe(await answer(report));
    expect(await answer("")).toContain("no text");
  });

  test.each([
    ["I was charged twice, please refund my invoice.", "billing"],
    ["The app crashes with an error after login.", "technical"],
    ["Where is my parcel? The courier never came.", "shipping"],
    ["Do you like the weather?", "other"],
  ])("classifies by keywords: %s", async (text, expected) => {
    const schema: JsonSchema = {
      type: "object",
      properties: { category: { enum: ["billing", "technical", "shipping", "other"] } },
      required: ["category"],
    };
    expect(await fill(`Classify this ticket: ${text}`, schema)).toEqual({ category: expected });
  });

  test("takes stated facts and finds numbers, dates and addresses", async () => {
    const schema: JsonSchema = {
      type: "object",
      properties: {
        customer: { type: "string" },
        amount: { type: "number" },
        pages: { type: "integer" },
        due: { type: "string", format: "date" },
        email: { type: "string", format: "email" },
        isUrgent: { type: "boolean" },
      },
      required: ["customer", "amount", "pages", "due", "email", "isUrgent"],
    };
    const text =
      "Extract:\n\nCustomer: ACME Ltd\nAmount: 1,250.50 EUR\nThe file has 12 pages.\nDue 2026-12-01, ask bob@acme.example. This is urgent.";
    expect(await fill(text, schema)).toEqual({
      customer: "ACME Ltd",
      amount: 1250.5,
      pages: 12,
      due: "2026-12-01",
      email: "bob@acme.example",
      isUrgent: true,
    });
    expect(await fill(text.replace("is urgent", "is not urgent"), schema)).toMatchObject({ isUrgent: false });
  });

  test("takes the first line of a form for a fact, not for what to do", async () => {
    const schema: JsonSchema = { type: "object", properties: { customer: { type: "string" } }, required: ["customer"] };
    expect(await fill("Customer: ACME Ltd\nAmount: 12", schema)).toEqual({ customer: "ACME Ltd" });
  });

  test("derives a score that grows with what the text says", async () => {
    const schema: JsonSchema = { type: "object", properties: { risk: { type: "number", minimum: 0, maximum: 1 } }, required: ["risk"] };
    const [calm, grave] = await Promise.all([
      fill("Assess: All is well and paid.", schema),
      fill("Assess: Fraud suspected, the invoice is overdue and urgent.", schema),
    ]);
    expect((grave as { risk: number }).risk).toBeGreaterThan((calm as { risk: number }).risk);
  });

  test("makes a list of the items of the text", async () => {
    const schema: JsonSchema = {
      type: "object",
      properties: { tasks: { type: "array", items: { type: "object", properties: { title: { type: "string" } }, required: ["title"] } } },
      required: ["tasks"],
    };
    expect(await fill("List:\n\n- Buy milk\n- Call Ada\n- Ship the parcel", schema)).toEqual({
      tasks: [{ title: "Buy milk" }, { title: "Call Ada" }, { title: "Ship the parcel" }],
    });
  });

  test("fills definitions that refer to themselves", async () => {
    const schema: JsonSchema = {
      type: "object",
      properties: { node: { $ref: "#/$defs/node" } },
      required: ["node"],
      $defs: {
        node: {
          type: "object",
          properties: { name: { type: "string" }, children: { type: "array", items: { $ref: "#/$defs/node" } } },
          required: ["name"],
        },
      },
    };
    expect(validateValue(schema, await fill(report, schema))).toEqual([]);
  });

  test("is fast on long texts", async () => {
    const spentMs = processorTime();
    await answer(report.repeat(2_000));
    await fill(report.repeat(500), {
      type: "object",
      properties: {
        summary: { type: "string" },
        risk: { type: "number", minimum: 0, maximum: 1 },
        kind: { enum: ["bridge", "bread", "rain"] },
      },
    });
    expect(spentMs()).toBeLessThan(5_000);
  });
});

describe("whatever the schema asks", () => {
  const name = fc.constantFrom(
    "title",
    "summary",
    "risk",
    "amount",
    "isUrgent",
    "tags",
    "items",
    "category",
    "email",
    "count",
    "x y",
    "constructor",
  );
  const bounds = fc.tuple(fc.integer({ min: -1_000, max: 1_000 }), fc.integer({ min: 1, max: 500 }));

  const text: fc.Arbitrary<JsonSchema> = fc.oneof(
    fc.constant({ type: "string" }),
    fc.tuple(fc.nat(300), fc.nat(300)).map(([low, more]) => ({ type: "string", minLength: low, maxLength: low + more })),
    fc.constantFrom("date", "date-time", "time", "email", "uri", "uuid", "ipv4").map((format) => ({ type: "string", format })),
  );
  const number: fc.Arbitrary<JsonSchema> = fc.oneof(
    fc.constantFrom<JsonSchema>({ type: "number" }, { type: "integer" }),
    bounds.map(([low, more]) => ({ type: "integer", minimum: low, maximum: low + more })),
    bounds.map(([low, more]) => ({ type: "number", exclusiveMinimum: low, exclusiveMaximum: low + more })),
    bounds.map(([low, more]) => ({ type: "integer", exclusiveMinimum: low, maximum: low + more + 7, multipleOf: 7 })),
    fc.integer({ min: -20, max: 20 }).map((low) => ({ type: "number", minimum: low, multipleOf: 0.5 })),
  );
  const label: fc.Arbitrary<JsonSchema> = fc
    .uniqueArray(fc.oneof(fc.string(), fc.integer(), fc.constantFrom("low", "high", "bridge")), { minLength: 1, maxLength: 6 })
    .map((labels) => ({ enum: labels }));
  const leaf = fc.oneof(
    text,
    number,
    label,
    fc.constantFrom<JsonSchema>({ type: "boolean" }, { type: "null" }, {}, { const: "fixed" }, { type: ["string", "null"] }),
  );

  const { schema } = fc.letrec<{ schema: JsonSchema }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      fc
        .record({ items: tie("schema"), low: fc.nat(3), more: fc.nat(4) })
        .map(({ items, low, more }) => ({ type: "array", items, minItems: low, maxItems: low + more })),
      fc.uniqueArray(fc.tuple(name, tie("schema"), fc.boolean()), { selector: ([key]) => key, maxLength: 5 }).map((members) => ({
        type: "object",
        properties: Object.fromEntries(members.map(([key, member]) => [key, member])),
        required: members.filter(([, , isRequired]) => isRequired).map(([key]) => key),
        additionalProperties: false,
      })),
      fc.tuple(tie("schema"), tie("schema")).map((choices) => ({ anyOf: choices })),
      tie("schema").map((inner) => ({ $defs: {}, allOf: [inner] })),
    ),
  }));

  test("the answer fits it", () => {
    fc.assert(
      fc.property(schema, fc.oneof(fc.constant(report), fc.lorem({ mode: "sentences" }), fc.string()), (wanted, given) => {
        expect(validateValue(wanted, fillSchema(wanted, { text: given, instruction: "" }))).toEqual([]);
      }),
      { numRuns: casesOf(150) },
    );
  });

  test("schemas that multiply end soon", () => {
    const lists = Array.from({ length: 6 }).reduce<JsonSchema>((items) => ({ type: "array", items, minItems: 1_000 }), { type: "string" });
    const choices = Array.from({ length: 6 }).reduce<JsonSchema>((inner) => ({ anyOf: [inner, inner, inner] }), {
      type: "string",
      minLength: 1_000_000_000,
    });
    const spentMs = processorTime();
    for (const wanted of [lists, choices]) fillSchema(wanted, { text: report, instruction: "" });
    expect(spentMs()).toBeLessThan(5_000);
  });

  test("unique items are unique", () => {
    for (const items of [
      { enum: ["a", "b", "c"] },
      { type: "integer" },
      { type: "boolean" },
      { type: "object", properties: { n: { type: "integer" } }, required: ["n"] },
    ] as JsonSchema[]) {
      const wanted: JsonSchema = { type: "array", items, minItems: 2, maxItems: 9, uniqueItems: true };
      expect(validateValue(wanted, fillSchema(wanted, { text: "Nothing here.", instruction: "" }))).toEqual([]);
    }
  });
});
