import type { Problem } from "./faults.ts";
import type { Json } from "./json.ts";

/**
 * What an amount is counted in. Money in billionths of a dollar: whole numbers, so that a sum is what its parts were. Of wall time, which
 * passes by itself, nothing is booked: what is spent is how long ago the budget's first call began.
 */
export const budgetUnits = ["tokens", "nanoUsd", "modelCalls", "toolCalls", "wallTimeMs"] as const;
export type BudgetUnit = (typeof budgetUnits)[number];
export type Amount = Record<BudgetUnit, number>;
export type Caps = Partial<Amount>;

/** What a call does that would go above a cap, the strictest first: of several budgets that refuse it, its word counts. */
export const onExceedKinds = ["fail", "pause", "ask", "downgradeModel"] as const;
export type OnExceed = (typeof onExceedKinds)[number];

/** As a definition gives it, compiled. */
export interface BudgetTerms {
  caps: Caps;
  onExceed: OnExceed;
  /** Who may raise it when `ask` asks; absent: whoever may approve. */
  assignees?: string[];
}

/** A budget that calls fall under: of a run with its children, or of a step with what runs below it. */
export interface BudgetRef extends BudgetTerms {
  scope: string;
}

/** What a run's budget allows, and what it left as a call under it ended: for people to see. */
export interface BudgetLeft {
  scope: string;
  caps: Caps;
  /** Of each cap but wall time, which goes on passing. */
  left: Caps;
  /** Until when its wall time lets calls begin, in milliseconds since 1970. */
  until?: number;
}

/** An amount as people name it, as a cap. */
export function capOf(name: string, amount: number): Caps {
  const unit = budgetUnits.find((each) => toldAs[each].name === name);
  return unit ? { [unit]: Math.min(Number.MAX_SAFE_INTEGER, Math.round(amount * toldAs[unit].by)) } : {};
}

export const told = (caps: Caps): { [Name in CapName]?: number } =>
  Object.fromEntries(Object.entries(caps).map(([unit, cap]) => [toldAs[unit as BudgetUnit].name, cap / toldAs[unit as BudgetUnit].by]));

export const nothing: Amount = { tokens: 0, nanoUsd: 0, modelCalls: 0, toolCalls: 0, wallTimeMs: 0 };
export const NANO = 1_000_000_000;

export type CapName = "tokens" | "usd" | "modelCalls" | "toolCalls" | "wallTime";

/** A unit as people name it, and how much of ours one of theirs is. */
export const toldAs: Record<BudgetUnit, { name: CapName; by: number }> = {
  tokens: { name: "tokens", by: 1 },
  nanoUsd: { name: "usd", by: NANO },
  modelCalls: { name: "modelCalls", by: 1 },
  toolCalls: { name: "toolCalls", by: 1 },
  wallTimeMs: { name: "wallTime", by: 1 },
};

/** Rounded up; a thousandth of a billionth is the noise of sums of fractions. */
export const wholeNano = (nanoUsd: number): number => Math.ceil(nanoUsd - 0.001);

/** Scopes. `root`: the id of the run, or of the run it goes on from, so that retries and forks go on with its budgets; of a child by its step. */
export const budgetScopes = {
  run: (root: string): string => `run:${root}`,
  step: (root: string, path: string): string => `step:${root}:${path}`,
  agent: (name: string): string => `agent:${name}`,
  tenant: "tenant",
} as const;

/** Those of runs, whose details show what is left. */
export const isOfRun = (scope: string): boolean => scope.startsWith("run:");

/** Those hold for a day in UTC each, and are set by API. */
export const isDaily = (scope: string): boolean => scope === budgetScopes.tenant || scope.startsWith("agent:");

/** Why a call was not let through, one for each cap: in the problem of `budget_exceeded`, under `budgets`. */
export type Shortage = {
  scope: string;
  unit: string;
  day: string | null;
  onExceed: OnExceed;
  max: number;
  used: number;
  needed: number;
} & Record<string, Json>;

/** What a person is asked to raise: what it lacks, and the cap that is proposed. */
export type Raise = Pick<Shortage, "scope" | "unit" | "max" | "used" | "needed"> & { cap: number };

/** The budgets that a problem names. */
export const scopesOf = ({ budgets }: Problem): string[] => [...new Set(((budgets ?? []) as Shortage[]).map(({ scope }) => scope))];
