import { z } from "zod";
import { json, paged, problemSchema, time } from "./api.schema.ts";
import { modelCallStatuses } from "./model-calls.ts";

/** What models were asked and what that has cost, as the HTTP API tells it. */

const totals = {
  calls: z.int().meta({ description: "Calls that were made, failed ones too; not those that a stored answer stood in for." }),
  openCalls: z.int().meta({ description: "Of them under way, or begun by a worker that went away with its run." }),
  inputTokens: z.int().meta({ description: "What was read from and written to a provider's cache included." }),
  outputTokens: z.int().meta({ description: "Reasoning included." }),
  cacheReadTokens: z.int(),
  cacheWriteTokens: z.int(),
  reasoningTokens: z.int(),
  costUsd: z.number().nullable().meta({ description: "null when the price or the size of one call is not known." }),
  knownCostUsd: z.number().meta({ description: "The sum over the calls whose cost is known." }),
  unpricedCalls: z.int().meta({ description: "Ended calls whose cost is not known." }),
};

export const runUsageSchema = z
  .object({
    runId: z.string(),
    run: z.object(totals).meta({ description: "The run's own steps." }),
    tree: z.object(totals).meta({ description: "The run and its child runs, however deep." }),
    models: z.array(z.object({ model: z.string(), ...totals })).meta({ description: "The tree, by `provider/model`." }),
  })
  .meta({ id: "RunUsage", description: "What a run has asked of models." });

const usageRowSchema = z
  .object({
    agent: z.string().nullable().optional().meta({
      description: "A published agent, or `{workflow}/{path}` of a step that describes its own; null: no agent's.",
      example: "researcher",
    }),
    model: z.string().optional().meta({ description: "`provider/model`" }),
    day: z.string().optional().meta({ description: "In UTC.", example: "2026-01-31" }),
    ...totals,
  })
  .meta({ id: "UsageRow", description: "A group; it holds the fields it was grouped by." });

export const usagePageSchema = paged("UsagePage", usageRowSchema);

const modelCallSchema = z
  .object({
    step: z.string(),
    attempt: z.int().meta({ description: "Rounds that a person asked for." }),
    index: z.int().meta({ description: "From 0, within the step." }),
    provider: z.string(),
    model: z.string(),
    wanted: z.string().meta({ description: "What the step asked for: an alias or `provider/model`." }),
    status: z.enum(modelCallStatuses),
    inputTokens: z.int().nullable().meta({ description: "null: not known, since the answer did not arrive." }),
    outputTokens: z.int().nullable(),
    cacheReadTokens: z.int().nullable(),
    cacheWriteTokens: z.int().nullable(),
    reasoningTokens: z.int().nullable(),
    isEstimated: z.boolean().meta({ description: "The provider did not count the tokens." }),
    costUsd: z.number().nullable(),
    route: json.meta({ description: "Of an alias: its candidates, each with the reason it was or was not taken." }),
    error: problemSchema.nullable(),
    startedAt: time,
    endedAt: time.nullable(),
  })
  .meta({ id: "ModelCall", description: "One call of a model." });

export const modelCallPageSchema = paged("ModelCallPage", modelCallSchema);

const perMillion = z.number().min(0).max(1_000_000);

export const modelPriceBodySchema = z
  .strictObject({
    model: z
      .string()
      .max(255)
      .regex(/^[a-z]+\/.+$/, "is provider/model")
      .meta({ example: "openai/gpt-5.4-mini" }),
    input: perMillion.meta({ description: "USD per million tokens." }),
    output: perMillion,
    cacheRead: perMillion.optional().meta({ description: "Of tokens read from the provider's cache; as other input without it." }),
    cacheWrite: perMillion.optional(),
  })
  .meta({ id: "ModelPriceBody" });

const modelPriceSchema = z
  .object({
    model: z.string(),
    input: z.number(),
    output: z.number(),
    cacheRead: z.number().nullable(),
    cacheWrite: z.number().nullable(),
    setBy: z.string(),
    setAt: time,
  })
  .meta({ id: "ModelPrice", description: "What the tenant pays for a model, in USD per million tokens." });

export { modelPriceSchema };
export const modelPricePageSchema = paged("ModelPricePage", modelPriceSchema);
