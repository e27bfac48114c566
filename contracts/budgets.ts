import type { Json } from "./json.ts";

/** What an amount is counted in. Money in billionths of a dollar: whole numbers, so that a sum is what its parts were. */
export const budgetUnits = ["tokens", "nanoUsd", "modelCalls", "toolCalls"] as const;
export type BudgetUnit = (typeof budgetUnits)[number];
export type Amount = Record<BudgetUnit, number>;
export type Caps = Partial<Amount>;

/** What a call does that would go above a cap. */
export const onExceedKinds = ["pause", "fail", "downgradeModel"] as const;
export type OnExceed = (typeof onExceedKinds)[number];

/** As a definition gives it, compiled. */
export interface BudgetTerms {
  caps: Caps;
  onExceed: OnExceed;
}

/** A budget that calls fall under: of a run with its children, or of a step with what runs below it. */
export interface BudgetRef extends BudgetTerms {
  scope: string;
}

export const nothing: Amount = { tokens: 0, nanoUsd: 0, modelCalls: 0, toolCalls: 0 };
export const NANO = 1_000_000_000;

/** Rounded up; a thousandth of a billionth is the noise of sums of fractions. */
export const wholeNano = (nanoUsd: number): number => Math.ceil(nanoUsd - 0.001);

/** Scopes. `root`: of a run's idempotency keys, so that its retries and forks go on with its budgets. */
export const budgetScopes = {
  run: (root: string): string => `run:${root}`,
  step: (root: string, path: string): string => `step:${root}:${path}`,
  agent: (name: string): string => `agent:${name}`,
  tenant: "tenant",
} as const;

/** Those hold for a day in UTC each, and are set by API. */
export const isDaily = (scope: string): boolean => scope === budgetScopes.tenant || scope.startsWith("agent:");

/** Why a call was not let through, one for each cap: in the problem of `budget_exceeded`, under `budgets`. */
export type Shortage = { scope: string; unit: string; day: string | null; max: number; used: number; needed: number } & Record<
  string,
  Json
>;
