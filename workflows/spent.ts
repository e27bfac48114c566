import { isOfRun, NANO, type BudgetLeft, type BudgetRef, type Caps } from "../contracts/budgets.ts";
import { isObject, type Json } from "../contracts/json.ts";
import type { Spending } from "../contracts/run-end.ts";

/**
 * What a run, and the children that it waited for, have asked of models, and what its budgets have left: for people to see. What counts is
 * in the record.
 */
export class Spent {
  readonly #budgets: readonly BudgetRef[];
  #models: Spending | undefined;
  /** As the last call under it told, by scope: others may have spent since. */
  readonly #left = new Map<string, BudgetLeft>();

  /** `budgets`: its own last, before it those of the runs above. */
  constructor(budgets: readonly BudgetRef[] = [], sum?: Spending) {
    this.#budgets = budgets.filter(({ scope }) => isOfRun(scope)).slice(-shownMax);
    this.add(sum as unknown as Json);
  }

  get sum(): Spending | undefined {
    const budgets = [...this.#left.values()];
    return budgets.length === 0 ? this.#models : { ...(this.#models ?? nothing), budgets };
  }

  /** Of a step's usage, or of a child's sum. */
  add(more: Json | undefined): void {
    if (!isObject(more) || typeof more["calls"] !== "number") return;
    const { calls, inputTokens, outputTokens, costUsd, isPartial } = more as { [Field in keyof Spending]?: number | boolean | null };
    this.see(more["budgets"] as BudgetLeft[] | undefined);
    const sum = this.#models ?? nothing;
    if (this.#models === undefined && calls === 0 && more["budgets"] !== undefined) return;
    this.#models = {
      calls: sum.calls + Number(calls),
      inputTokens: sum.inputTokens + Number(inputTokens),
      outputTokens: sum.outputTokens + Number(outputTokens),
      costUsd: sum.costUsd + Number(costUsd ?? 0),
      ...(sum.isPartial || isPartial === true || costUsd === null ? { isPartial: true as const } : {}),
    };
  }

  /** What a call, or a child, has told of budgets: those that are this run's too. */
  see(budgets: readonly BudgetLeft[] = []): void {
    for (const budget of budgets) if (this.#budgets.some(({ scope }) => scope === budget.scope)) this.#left.set(budget.scope, budget);
  }

  /** One of what was asked, none before the first call; one of each budget. */
  lines(): string[] {
    return [...(this.#models ? [modelsLine(this.#models)] : []), ...this.#budgets.flatMap((budget) => this.#budgetLine(budget))];
  }

  #budgetLine({ scope, caps }: BudgetRef): string[] {
    const told = this.#left.get(scope);
    const amounts = told ? leftAmounts(told) : capAmounts(caps);
    return amounts.length === 0 ? [] : [`budget ${scope.slice("run:".length)}: ${amounts.join(", ")}`];
  }
}

/** The nearest: each run above may have one. */
const shownMax = 3;

const nothing: Spending = { calls: 0, inputTokens: 0, outputTokens: 0, costUsd: 0 };

function modelsLine({ calls, inputTokens, outputTokens, costUsd, isPartial }: Spending): string {
  const cost = `${isPartial ? "at least " : ""}${dollars(costUsd)}`;
  return `models: ${cost}, ${grouped(calls)} ${calls === 1 ? "call" : "calls"}, ${grouped(inputTokens + outputTokens)} tokens`;
}

/** Before the first call of this run nobody has told it what others have spent. */
const capAmounts = ({ wallTimeMs, ...caps }: Caps): string[] => [
  ...units(caps).map(([cap, unit]) => unit(cap)),
  ...(wallTimeMs === undefined ? [] : [`calls for ${grouped(wallTimeMs / 1_000)} s from the first one on`]),
];

function leftAmounts({ caps, left, until }: BudgetLeft): string[] {
  const { wallTimeMs: _, ...sums } = caps;
  const amounts = units(sums).map(
    ([cap, unit, name]) => `${unit(left[name] ?? 0)} left of ${name === "nanoUsd" ? dollars(cap / NANO) : grouped(cap)}`,
  );
  return until === undefined ? amounts : [...amounts, `calls until ${new Date(until).toISOString().slice(0, 16).replace("T", " ")} UTC`];
}

type Unit = Exclude<keyof Caps, "wallTimeMs">;

const units = (caps: Caps): [cap: number, text: (amount: number) => string, name: Unit][] =>
  (Object.keys(named) as Unit[]).flatMap((name) => (caps[name] === undefined ? [] : [[caps[name], named[name], name]]));

const named: Record<Unit, (amount: number) => string> = {
  nanoUsd: (amount) => dollars(amount / NANO),
  tokens: (amount) => `${grouped(amount)} tokens`,
  modelCalls: (amount) => `${grouped(amount)} calls of models`,
  toolCalls: (amount) => `${grouped(amount)} calls of tools`,
};

const dollars = (amount: number): string => `$${amount.toFixed(4).replace(/(\.\d\d)00$/, "$1")}`;

// Not by the host's locale: what is shown is part of the history.
const grouped = (count: number): string => String(count).replaceAll(/\B(?=(\d{3})+$)/g, ",");
