import { z } from "zod";
import { paged, time } from "./api.schema.ts";
import { budgetUnits, NANO, onExceedKinds, type BudgetTerms, type Caps } from "./budgets.ts";
import { limits } from "./limits.ts";

const whole = z.int().min(0).max(limits.budgetCountMax);

const capFields = {
  tokens: whole.optional().describe("Tokens in and out."),
  usd: z.number().min(0).max(limits.budgetUsdMax).optional().describe("US dollars. A model whose price is not known is not asked then."),
  modelCalls: whole.optional().describe("Calls of models, failed ones too."),
  toolCalls: whole.optional().describe("Calls of tools, each attempt."),
};

const onExceed = z
  .enum(onExceedKinds)
  .optional()
  .describe(
    "What becomes of a call that would go above it: `pause` (without it) waits for a person or a higher budget, `fail` is the error `budget_exceeded`, `downgradeModel` asks the first model of the step's `fallbacks` that fits, and pauses when none does.",
  );

/** `budget` of a definition and of its steps. */
export const budget = z
  .strictObject({ ...capFields, onExceed })
  .refine((given) => capsOf(given) !== undefined, { error: "names one of `tokens`, `usd`, `modelCalls`, `toolCalls`" });

export type BudgetFields = Partial<Record<"tokens" | "usd" | "modelCalls" | "toolCalls", number | undefined>>;

/** Undefined when there is none. */
function capsOf({ tokens, usd, modelCalls, toolCalls }: BudgetFields): Caps | undefined {
  const given = { tokens, nanoUsd: usd === undefined ? undefined : Math.round(usd * NANO), modelCalls, toolCalls };
  const caps = Object.fromEntries(budgetUnits.flatMap((unit) => (given[unit] === undefined ? [] : [[unit, given[unit]]])));
  return Object.keys(caps).length === 0 ? undefined : caps;
}

export const termsOf = (given: z.output<typeof budget>): BudgetTerms => ({
  caps: capsOf(given) ?? {},
  onExceed: given.onExceed ?? "pause",
});

const change = <Field extends z.ZodType>(field: Field) => field.nullable().optional();

export const budgetPatchSchema = z
  .strictObject({
    tokens: change(whole).meta({ description: "The cap from now on; null: none." }),
    usd: change(z.number().min(0).max(limits.budgetUsdMax)),
    modelCalls: change(whole),
    toolCalls: change(whole),
    onExceed: z.enum(onExceedKinds).optional(),
    step: z.string().max(limits.stepPathBytesMax).optional().meta({ description: "Path of a step whose own budget is meant." }),
  })
  .meta({ id: "BudgetPatch" });
export type BudgetPatch = z.output<typeof budgetPatchSchema>;

export const budgetBodySchema = budget.meta({ id: "BudgetBody" });

const amount = z
  .object({
    max: z.number().nullable().meta({ description: "null: no cap." }),
    spent: z.number(),
    reserved: z.number().meta({ description: "By calls that are under way." }),
    left: z.number().nullable(),
  })
  .meta({ id: "BudgetAmount" });

export const budgetSchema = z
  .object({
    scope: z.string(),
    day: z.string().nullable().meta({ description: "Of a budget per day: the day in UTC that the sums are of." }),
    onExceed: z.enum(onExceedKinds),
    tokens: amount,
    usd: amount,
    modelCalls: amount,
    toolCalls: amount,
    setBy: z.string().nullable().meta({ description: "null: as the definition says." }),
    setAt: time.nullable(),
  })
  .meta({ id: "Budget" });

export const runBudgetSchema = z
  .object({ runId: z.string(), budgets: z.array(budgetSchema) })
  .meta({ id: "RunBudget", description: "What a run's calls fall under: its own budgets, those of the runs above it, the tenant's." });

export const budgetPageSchema = paged("BudgetPage", budgetSchema);
