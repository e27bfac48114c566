import { z } from "zod";
import { anyJson, duration, fixedText, jsonSchema, text, versionRange } from "./definition-fields.schema.ts";
import { guardedPlaces, guardrailOutcomes, type Guardrail } from "./guardrails.ts";
import { limits } from "./limits.ts";

/** What stands between a model and the rest: in `llm` and `agent` steps, and in published agents. `language/check-guardrails.ts` says what these shapes cannot. */

const common = {
  name: z
    .string()
    .max(limits.idBytesMax)
    .regex(/^[A-Za-z][A-Za-z0-9_-]*$/)
    .describe("What errors and events call it; each once."),
  on: z
    .array(z.enum(guardedPlaces))
    .min(1)
    .describe(
      "What it looks at: `input` (what the model is asked), `output` (its answer); of agents also `toolCalls` (the arguments of each call) and `toolResults` (what tools give).",
    ),
  tools: z
    .array(fixedText)
    .min(1)
    .max(limits.agentToolsMax)
    .optional()
    .describe("Of calls and results: only of these tools; a `*` at the end stands for the rest."),
  outcome: z
    .enum(guardrailOutcomes)
    .describe(
      "`retry`: the model answers again and learns what was wrong. `raise`: error `guardrail`. `fix`: what the rule says takes its place. `human`: a person decides about exactly this.",
    ),
  assignees: z.array(fixedText).max(limits.agentAssigneesMax).optional().describe("Of `human`: who may decide, such as `role:finance`."),
  expiresAfter: duration.optional().describe("Of `human`: how long they may take; then it is refused."),
};

const pattern = z.strictObject({
  ...common,
  type: z.literal("pattern").describe("A regular expression (RE2 syntax, as of `matches`)."),
  pattern: z.string().min(1).describe("What is looked for, anywhere in the text."),
  expect: z.enum(["absent", "present"]).optional().describe("Whether it must not be found (default) or must be."),
  replaceBy: z.string().max(256).optional().describe("With `fix`: stands for what was found; `[redacted]` without it."),
});

const schema = z.strictObject({
  ...common,
  type: z.literal("schema").describe("A JSON Schema that the value, or the text read as JSON, must fit."),
  schema: jsonSchema.describe("The schema."),
});

const model = z.strictObject({
  ...common,
  type: z.literal("model").describe("A model judges. Its call is recorded and paid for like any other."),
  model: fixedText.describe("An alias or `provider/model`."),
  rule: text.min(1).max(limits.guardrailRuleMax).describe("What it must keep to, in words. Expressions in it mean nothing."),
});

const custom = z.strictObject({
  ...common,
  type: z.literal("custom").describe("A tool of the workers that only reads; it gives `{passes, why, fixed}`."),
  tool: fixedText.describe("The tool's name."),
  version: versionRange.optional().describe("Its version, or a range."),
  arguments: z.record(z.string(), anyJson).optional().describe("What it gets beside `on`, `tool` and `value`."),
});

export const guardrails = z
  .array(z.discriminatedUnion("type", [pattern, schema, model, custom], { error: "`pattern`, `schema`, `model` or `custom`" }))
  .max(limits.guardrailsMax)
  .optional()
  .describe("Rules for what goes into the model and what comes out of it, held in this order.") satisfies z.ZodType<
  Guardrail[] | undefined
>;
