import { afterAll, expect, test } from "@jest/globals";
import type { Guardrail } from "../contracts/guardrails.ts";
import type { Json } from "../contracts/json.ts";
import { judgeByPattern } from "./guard-rules.ts";
import { IsolatedSchemas } from "./isolated-schema.ts";

const schemas = new IsolatedSchemas();
afterAll(() => schemas.close());
const checks = { schemas, tenant: "default" };

const numbers: Extract<Guardrail, { type: "pattern" }> = {
  name: "numbers",
  type: "pattern",
  pattern: "\\d+",
  on: ["output"],
  outcome: "fix",
};

test("what a pattern finds in texts, numbers and names has something else in its place", async () => {
  expect(await judgeByPattern(checks, numbers, { a: ["x 1", 2], "3": true })).toEqual({
    passes: false,
    why: "its pattern was found.",
    fixed: { a: ["x [redacted]", "[redacted]"], "[redacted]": true },
  });
});

test.each<Json>([{ "1": "a", "2": "b" }, { list: [{ "[redacted]": "a", "7": "b" }] }])(
  "no member is lost: there is no fix of %j, whose names would be the same",
  async (value) => {
    expect(await judgeByPattern(checks, numbers, value)).toEqual({ passes: false, why: "its pattern was found." });
  },
  30_000,
);
