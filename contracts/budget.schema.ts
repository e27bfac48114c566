import { z } from "zod";
import { paged, time } from "./api.schema.ts";
import { budgetUnits, onExceedKinds, toldAs, type CapName } from "./budgets.ts";
import { duration, fixedText } from "./definition-fields.schema.ts";
import { limits } from "./limits.ts";

const whole = z.int().min(0).max(limits.budgetCountMax);

const capFields = {
  tokens: whole.optional().describe("Tokens in and out."),
  usd: z.number().min(0).max(limits.budgetUsdMax).optional().describe("US dollars. A model whose price is not known is not asked then."),
  modelCalls: whole.optional().describe("Calls of models, failed ones too."),
  toolCalls: whole.optional().describe("Calls of tools and `http` steps, each attempt."),
};

const wallTime = duration.describe("How long after its first call the budget lets calls begin; those under way are cut then.");

const onExceed = z
  .enum(onExceedKinds)
  .optional()
  .describe(
    "What becomes of a call that would go above it: `pause` (without it) waits for a person or a higher budget, `ask` waits so and asks people to raise it, `fail` is the error `budget_exceeded`, `downgradeModel` asks the first model of the step's `fallbacks` that fits, and pauses when none does.",
  );

const assignees = z
  .array(fixedText)
  .max(limits.budgetAssigneesMax)
  .optional()
  .describe("With `onExceed: ask`: who may raise it, such as `role:finance`; whoever may approve without it.");

const isCapped = (given: { [Name in CapName]?: unknown }): boolean => budgetUnits.some((unit) => given[toldAs[unit].name] !== undefined);

/** `budget` of a definition and of its steps. */
export const budget = z
  .strictObject({ ...capFields, wallTime: wallTime.optional(), onExceed, assignees })
  .refine(isCapped, { error: "names one of `tokens`, `usd`, `modelCalls`, `toolCalls`, `wallTime`" })
  .refine((given) => given.assignees === undefined || given.onExceed === "ask", {
    path: ["assignees"],
    error: "says who is asked: give `onExceed: ask` as well",
  });

const change = <Field extends z.ZodType>(field: Field) => field.nullable().optional();

export const budgetPatchSchema = z
  .strictObject({
    tokens: change(whole).meta({ description: "The cap from now on; null: none." }),
    usd: change(z.number().min(0).max(limits.budgetUsdMax)),
    modelCalls: change(whole),
    toolCalls: change(whole),
    wallTime: change(duration),
    onExceed: z.enum(onExceedKinds).optional(),
    step: z.string().max(limits.stepPathBytesMax).optional().meta({ description: "Path of a step whose own budget is meant." }),
  })
  .meta({ id: "BudgetPatch" });
export type BudgetPatch = z.output<typeof budgetPatchSchema>;

/** Of a tenant or an agent, for each day. */
export const budgetBodySchema = z
  .strictObject({
    ...capFields,
    wallTime: z
      .never({ error: "is for budgets of runs and of steps: a day has no first call from which on it could be counted" })
      .optional(),
    onExceed: z
      .enum(["fail", "pause", "downgradeModel"], {
        error: "is `pause`, `fail` or `downgradeModel`: people are asked about budgets of runs and of steps only, as their definitions say",
      })
      .optional(),
  })
  .refine(isCapped, { error: "names one of `tokens`, `usd`, `modelCalls`, `toolCalls`" })
  .meta({ id: "BudgetBody" });

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
    wallTime: amount.meta({ description: "Milliseconds. `spent`: since the budget's first call began." }),
    setBy: z.string().nullable().meta({ description: "null: as the definition says." }),
    setAt: time.nullable(),
  })
  .meta({ id: "Budget" });

export const runBudgetSchema = z
  .object({ runId: z.string(), budgets: z.array(budgetSchema) })
  .meta({ id: "RunBudget", description: "What a run's calls fall under: its own budgets, those of the runs above it, the tenant's." });

export const budgetPageSchema = paged("BudgetPage", budgetSchema);
