import { budgetScopes, isOfRun, nothing, toldAs, type Amount, type BudgetLeft, type BudgetRef } from "../contracts/budgets.ts";
import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { dayOf, isCapped, lockBudgets, openBudgets, saveSums, type BudgetRow, type Transaction } from "../prisma/budgets.ts";
import type { Database } from "../prisma/client.ts";
import { Lately } from "../prisma/lately.ts";
import {
  grant,
  leftOf,
  reserved,
  settled,
  spend,
  timeLeft,
  type BudgetState,
  type CallSize,
  type Grant,
  type Refusal,
} from "./reservation.ts";

/** On whose account something is spent. */
export interface Spender {
  tenant: string;
  budgets?: readonly BudgetRef[] | undefined;
  agent?: string | undefined;
  /** Told what it leaves. */
  showBudgets?: ((left: BudgetLeft[]) => void) | undefined;
}

/** When a call is cut by its budgets, in milliseconds since 1970, and what it fails with then. */
export interface Until {
  at: number;
  problem: Problem;
}

/** As it is kept with the call: what is set aside for it, and in which budgets. */
export interface Reservation extends Omit<Grant, "cut"> {
  /** What an answer that needs more than it was given fails with. */
  cut?: Problem;
  until?: Until;
  /** With the day that it is of, where the budget is for a day. */
  scopes: [scope: string, day: string | null][];
}

/** What runs, agents and tenants may spend. Reserved before a call, settled after it, each under the locks of all its budgets. */
export class Budgets {
  readonly #database: Database;
  /** Rows that are there, as far as this process knows: they stay. */
  readonly #opened = new Set<string>();
  readonly #standing = new Lately<Set<string>>({ knownMs: limits.budgetsKnownMs, keysMax: limits.budgetTenantsKnownMax });

  constructor(database: Database) {
    this.#database = database;
  }

  /** The budgets that a call falls under. */
  async scopesOf({ tenant, budgets = [], agent }: Spender): Promise<string[]> {
    await this.#open(tenant, budgets);
    const standing = await this.#standing.get(tenant, () => this.#standingOf(tenant));
    const set = [budgetScopes.tenant, ...(agent === undefined ? [] : [budgetScopes.agent(agent)])].filter((scope) => standing.has(scope));
    return [...new Set([...budgets.map(({ scope }) => scope), ...set])];
  }

  /** Fault `budget_exceeded` when one of them does not leave enough. */
  async reserve(
    transaction: Transaction,
    tenant: string,
    { scopes, size, label }: { scopes: string[]; size: CallSize; label: string },
  ): Promise<Reservation> {
    const budgets = await this.#lock(transaction, tenant, scopes);
    const granted = grant(budgets, size);
    if ("shortages" in granted) throw exceeded(granted, label);
    const after = budgets.map((budget) => reserved(budget, granted.held));
    await saveSums(transaction, tenant, after);
    const { cut, ...kept } = granted;
    return {
      ...kept,
      ...untilOf(budgets, label),
      scopes: budgets.map(({ scope, day }) => [scope, day]),
      ...(cut ? { cut: exceeded(cut, `a longer answer of ${label}`).problem } : {}),
    };
  }

  /** Gives what is left. `held`: what nobody has given back yet. `spent` below nothing: less than was booked. A day that is over is not written to. */
  async settle(
    transaction: Transaction,
    tenant: string,
    { reservation, held, spent }: { reservation: Reservation; held: Amount; spent: Amount },
  ): Promise<BudgetLeft[]> {
    const scopes = reservation.scopes.filter(([scope, day]) => day === dayOf(scope)).map(([scope]) => scope);
    const budgets = await lockBudgets(transaction, tenant, scopes);
    const after = budgets.map((budget) => settled(budget, { held, spent }));
    await saveSums(transaction, tenant, after);
    return shown(after);
  }

  /** A call of a tool: it counts when it begins, whatever comes of it. */
  async spendToolCall(spender: Spender, tool: string): Promise<{ until?: Until }> {
    const scopes = await this.scopesOf(spender);
    if (scopes.length === 0) return {};
    const { after, ...until } = await this.#database.$transaction(async (transaction) => {
      const budgets = await this.#lock(transaction, spender.tenant, scopes);
      const after = spend(budgets, { ...nothing, toolCalls: 1 });
      if ("shortages" in after) throw exceeded(after, tool);
      await saveSums(transaction, spender.tenant, after);
      return { after, ...untilOf(budgets, tool) };
    });
    spender.showBudgets?.(shown(after));
    return until;
  }

  async #open(tenant: string, budgets: readonly BudgetRef[]): Promise<void> {
    const unknown = budgets.filter(({ scope }) => !this.#opened.has(`${tenant} ${scope}`));
    await openBudgets(this.#database, tenant, unknown);
    if (this.#opened.size > limits.budgetsOpenedMax) this.#opened.clear();
    for (const { scope } of unknown) this.#opened.add(`${tenant} ${scope}`);
  }

  /** All of them: a row that is gone must not stand for a budget without caps. */
  async #lock(transaction: Transaction, tenant: string, scopes: string[]): Promise<BudgetRow[]> {
    const budgets = await lockBudgets(transaction, tenant, scopes);
    if (budgets.length === scopes.length) return budgets;
    this.#opened.clear();
    throw new Fault("unavailable", "A budget was removed at this moment; ask again.");
  }

  async #standingOf(tenant: string): Promise<Set<string>> {
    const rows = await this.#database.budget.findMany({
      where: { tenant, ...isCapped, OR: [{ scope: budgetScopes.tenant }, { scope: { startsWith: budgetScopes.agent("") } }] },
      select: { scope: true },
    });
    return new Set(rows.map(({ scope }) => scope));
  }
}

const shown = (budgets: readonly BudgetState[]): BudgetLeft[] =>
  budgets.filter(({ scope }) => isOfRun(scope)).map((budget) => leftOf(budget, Date.now()));

function untilOf(budgets: readonly BudgetState[], label: string): { until?: Until } {
  const time = timeLeft(budgets);
  return time ? { until: { at: Date.now() + time.ms, problem: exceeded(time.over, label).problem } } : {};
}

function exceeded({ shortages, onExceed, lacksPrice }: Refusal, label: string): Fault {
  const extra: JsonObject = { onExceed, budgets: shortages as unknown as Json };
  if (lacksPrice && shortages.length === 0) {
    const detail = `The price of ${label} is not known, and a budget in dollars applies: set it (PUT /api/v2/model-prices), or ask another model.`;
    return new Fault("budget_exceeded", detail, { extra });
  }
  const reasons = shortages.map(({ scope, unit, max, used, needed }) =>
    unit === toldAs.wallTimeMs.name
      ? `${scope} lets calls take ${max / 1_000} s from its first one on, and that was ${used / 1_000} s ago`
      : `${scope} has ${used} of ${max} ${unit} spent or reserved, ${label} may need ${needed}`,
  );
  const where = "PATCH /api/v2/runs/{id}/budget, or PUT /api/v2/budgets/{scope} for a tenant or an agent";
  return new Fault("budget_exceeded", `${reasons.join("; ")}. Raise it (${where}).`, { extra });
}
