import {
  budgetUnits,
  NANO,
  nothing,
  wholeNano,
  type Amount,
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
  const needed = heldFor(size, least);
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
  const short = budgets.filter((budget) => budgetUnits.some((unit) => amount[unit] > left(budget, unit)));
  if (short.length > 0) return refusal(short, amount, false);
  return budgets.map((budget) => settled(budget, { held: nothing, spent: amount }));
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

function heldFor({ inputTokens, price }: CallSize, outputTokens: number): Amount {
  const nanoUsd = price ? wholeNano(price.inputNanoUsd + price.outputTokenNanoUsd * outputTokens) : 0;
  return { tokens: inputTokens + outputTokens, nanoUsd, modelCalls: 1, toolCalls: 0 };
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
        unit: unit === "nanoUsd" ? "usd" : unit,
        day: budget.day,
        max: told(unit, budget.caps[unit] ?? 0),
        used: told(unit, budget.spent[unit] + budget.reserved[unit]),
        needed: told(unit, needed[unit]),
      })),
  );
  // The strictest word counts.
  const words = refusing.map(({ onExceed }) => onExceed);
  const onExceed = words.includes("fail") ? "fail" : words.includes("pause") ? "pause" : "downgradeModel";
  return { shortages, onExceed, lacksPrice };
}

const told = (unit: BudgetUnit, amount: number): number => (unit === "nanoUsd" ? amount / NANO : amount);

const sum = (a: Amount, b: Amount, sign: 1 | -1): Amount => ({
  tokens: a.tokens + sign * b.tokens,
  nanoUsd: a.nanoUsd + sign * b.nanoUsd,
  modelCalls: a.modelCalls + sign * b.modelCalls,
  toolCalls: a.toolCalls + sign * b.toolCalls,
});
