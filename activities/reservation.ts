import {
  budgetUnits,
  nothing,
  onExceedKinds,
  toldAs,
  wholeNano,
  type Amount,
  type BudgetLeft,
  type BudgetRef,
  type BudgetUnit,
  type OnExceed,
  type Shortage,
} from "../contracts/budgets.ts";
import { limits } from "../contracts/limits.ts";

/** A budget at a moment. */
export interface BudgetState extends BudgetRef {
  /** Of a budget for each day: that of its sums. */
  day: string | null;
  spent: Amount;
  reserved: Amount;
}

/** What a call may need at most. */
export interface CallSize {
  inputTokens: number;
  /** As many as it would be given without any cap. */
  outputTokens: number;
  /** null: the model's price is not known. */
  price: { inputNanoUsd: number; outputTokenNanoUsd: number } | null;
}

/** What is set aside for a call, and how long its answer may be. */
export interface Grant {
  held: Amount;
  outputTokens: number;
  /** What has made it shorter than it could be. */
  cut?: Refusal;
}

/** How much time a call has, and what refuses it more. */
export interface TimeLeft {
  ms: number;
  over: Refusal;
}

export interface Refusal {
  shortages: Shortage[];
  onExceed: OnExceed;
  /** A cap in dollars says nothing of a model without a price. */
  lacksPrice: boolean;
}

/**
 * What a call of a model is given under all of its budgets: as long an answer as the tightest leaves, which the provider is told
 * as its limit. So nothing is booked that was not set aside before.
 */
export function grant(budgets: readonly BudgetState[], size: CallSize): Grant | Refusal {
  const least = Math.min(limits.budgetOutputTokensMin, size.outputTokens);
  const needed = withTime(heldFor(size, least));
  const short = budgets.filter((budget) => budgetUnits.some((unit) => needed[unit] > left(budget, unit)));
  const lacksPrice = size.price === null;
  const unpriced = lacksPrice ? budgets.filter(({ caps }) => caps.nanoUsd !== undefined) : [];
  if (short.length + unpriced.length > 0) return refusal([...new Set([...short, ...unpriced])], needed, unpriced.length > 0);
  const outputTokens = Math.max(least, Math.min(size.outputTokens, ...budgets.map((budget) => longestAnswer(budget, size))));
  const held = heldFor(size, outputTokens);
  const whole = heldFor(size, size.outputTokens);
  const cutting = budgets.filter((budget) => longestAnswer(budget, size) < size.outputTokens);
  // What a sum of fractions is above what is left is rounding.
  const nanoUsd = Math.min(held.nanoUsd, ...budgets.map((budget) => left(budget, "nanoUsd")));
  return { outputTokens, held: { ...held, nanoUsd }, ...(cutting.length > 0 ? { cut: refusal(cutting, whole, false) } : {}) };
}

/** Something is spent at once, as a call of a tool is. */
export function spend(budgets: readonly BudgetState[], amount: Amount): BudgetState[] | Refusal {
  const short = budgets.filter((budget) => budgetUnits.some((unit) => withTime(amount)[unit] > left(budget, unit)));
  if (short.length > 0) return refusal(short, withTime(amount), false);
  return budgets.map((budget) => settled(budget, { held: nothing, spent: amount }));
}

/** Of the budget that ends first; undefined when none ends. */
export function timeLeft(budgets: readonly BudgetState[]): TimeLeft | undefined {
  const ms = Math.min(...budgets.map((budget) => left(budget, "wallTimeMs")));
  if (!Number.isFinite(ms)) return undefined;
  const ended = budgets
    .filter((budget) => left(budget, "wallTimeMs") === ms)
    .map((budget) => settled(budget, { held: nothing, spent: { ...nothing, wallTimeMs: ms } }));
  return { ms, over: refusal(ended, withTime(nothing), false) };
}

export const reserved = (budget: BudgetState, held: Amount): BudgetState => ({ ...budget, reserved: sum(budget.reserved, held, 1) });

/** What was held is given back, what it came to is spent. */
export const settled = (budget: BudgetState, { held, spent }: { held: Amount; spent: Amount }): BudgetState => ({
  ...budget,
  reserved: sum(budget.reserved, held, -1),
  spent: sum(budget.spent, spent, 1),
});

/** Infinity without a cap. */
export const left = ({ caps, spent, reserved: set }: BudgetState, unit: BudgetUnit): number => {
  const cap = caps[unit];
  return cap === undefined ? Number.POSITIVE_INFINITY : cap - spent[unit] - set[unit];
};

/** As people are shown it. */
export function leftOf(budget: BudgetState, now: number): BudgetLeft {
  const { scope, caps } = budget;
  const { wallTimeMs, ...sums } = caps;
  const amounts = (Object.keys(sums) as BudgetUnit[]).map((unit) => [unit, Math.max(0, left(budget, unit))] as const);
  const until = wallTimeMs === undefined ? {} : { until: now + left(budget, "wallTimeMs") };
  return { scope, caps, left: Object.fromEntries(amounts), ...until };
}

/** No call begins that would be cut at once. */
const withTime = (amount: Amount): Amount => ({ ...amount, wallTimeMs: limits.budgetWallTimeMinMs });

function heldFor({ inputTokens, price }: CallSize, outputTokens: number): Amount {
  const nanoUsd = price ? wholeNano(price.inputNanoUsd + price.outputTokenNanoUsd * outputTokens) : 0;
  return { tokens: inputTokens + outputTokens, nanoUsd, modelCalls: 1, toolCalls: 0, wallTimeMs: 0 };
}

function longestAnswer(budget: BudgetState, { inputTokens, price }: CallSize): number {
  const byTokens = left(budget, "tokens") - inputTokens;
  if (!price || price.outputTokenNanoUsd === 0) return byTokens;
  return Math.min(byTokens, Math.floor((left(budget, "nanoUsd") - price.inputNanoUsd) / price.outputTokenNanoUsd + 1e-6));
}

function refusal(refusing: readonly BudgetState[], needed: Amount, lacksPrice: boolean): Refusal {
  const shortages = refusing.flatMap((budget) =>
    budgetUnits
      .filter((unit) => needed[unit] > left(budget, unit))
      .map((unit) => ({
        scope: budget.scope,
        unit: toldAs[unit].name,
        day: budget.day,
        onExceed: budget.onExceed,
        max: (budget.caps[unit] ?? 0) / toldAs[unit].by,
        used: (budget.spent[unit] + budget.reserved[unit]) / toldAs[unit].by,
        needed: needed[unit] / toldAs[unit].by,
      })),
  );
  const onExceed = onExceedKinds.find((kind) => refusing.some((budget) => budget.onExceed === kind)) ?? "pause";
  return { shortages, onExceed, lacksPrice };
}

export const less = (a: Amount, b: Amount): Amount => sum(a, b, -1);

const sum = (a: Amount, b: Amount, sign: 1 | -1): Amount => ({
  tokens: a.tokens + sign * b.tokens,
  nanoUsd: a.nanoUsd + sign * b.nanoUsd,
  modelCalls: a.modelCalls + sign * b.modelCalls,
  toolCalls: a.toolCalls + sign * b.toolCalls,
  wallTimeMs: a.wallTimeMs + sign * b.wallTimeMs,
});
