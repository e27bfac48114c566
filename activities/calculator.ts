import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { evaluate } from "../language/expression/evaluate.ts";
import { ExpressionSyntaxError, parseExpression } from "../language/expression/parse.ts";
import { defineTool } from "./tool-registry.ts";

/** The expressions of definitions, for whoever has none of their own: a model that is to calculate and not to guess. */
export const calculator = defineTool({
  name: "math.evaluate",
  description:
    "Evaluate a CEL expression: arithmetic, comparisons, lists, texts. Values are given by name: " +
    '{"expression": "sum(prices) * 1.19", "values": {"prices": [1, 2]}}.',
  input: z.strictObject({
    expression: z.string().min(1).max(limits.expressionBytesMax),
    values: z.record(z.string(), z.unknown()).default({}).describe("What the names in the expression stand for"),
  }),
  output: z.strictObject({ value: z.unknown() }),
  effect: "read",
  short: true,
  // Arguments came as JSON.
  run: ({ expression, values }) => ({ value: valueOf(expression, values as Record<string, Json>) }),
});

function valueOf(expression: string, values: Record<string, Json>): Json {
  const name = (wanted: string): Json | undefined => (Object.hasOwn(values, wanted) ? values[wanted] : undefined);
  try {
    return evaluate(parseExpression(expression), { name, step: () => undefined });
  } catch (error) {
    if (!(error instanceof ExpressionSyntaxError) && !(error instanceof Fault)) throw error;
    throw new Fault("tool_input", `The expression fails: ${error.message}`, { cause: error });
  }
}
