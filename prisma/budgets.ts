import { eventIdentity } from "../contracts/events.ts";
import { limits } from "../contracts/limits.ts";
import {
  budgetScopes,
  isDaily,
  nothing,
  type Amount,
  type BudgetRef,
  type BudgetUnit,
  type Caps,
  type OnExceed,
} from "../contracts/budgets.ts";
import type { Database, Prisma } from "./client.ts";

/** A budget as it is kept; its sums are those of today. */
export interface BudgetRow extends BudgetRef {
  day: string | null;
  spent: Amount;
  reserved: Amount;
  setBy: string | null;
  setAt: Date | null;
}

export type Transaction = Prisma.TransactionClient;

/** Make those that are not there yet, as the definition gives them. One that is there keeps its caps. */
export async function openBudgets(database: Database | Transaction, tenant: string, refs: readonly BudgetRef[]): Promise<void> {
  if (refs.length === 0) return;
  await database.budget.createMany({
    skipDuplicates: true,
    // In one order everywhere, so that two never wait for each other.
    data: inOrder(refs).map(({ scope, caps, onExceed }) => ({ tenant, scope, caps, onExceed })),
  });
}

/** Lock them until the transaction ends, in one order everywhere. */
export async function lockBudgets(transaction: Transaction, tenant: string, scopes: readonly string[]): Promise<BudgetRow[]> {
  const rows = await transaction.$queryRaw<(Kept & { now: Date })[]>`
    SELECT scope, caps, on_exceed AS "onExceed", day, spent, reserved, began_at AS "beganAt", set_by AS "setBy", set_at AS "setAt",
      clock_timestamp() AS now FROM budgets
    WHERE tenant = ${tenant} AND scope = ANY(${scopes}) ORDER BY scope COLLATE "C" FOR UPDATE`;
  return rows.map((row) => rowOf(row, row.now));
}

/** Caps that are below what is given are raised to it; where there is none, there will be none. Gives what was raised, and from what. */
export async function raiseCaps(
  transaction: Transaction,
  tenant: string,
  { caps: wanted, by }: { caps: ReadonlyMap<string, Caps>; by: string },
): Promise<{ scope: string; from: Caps; to: Caps }[]> {
  const raised: { scope: string; from: Caps; to: Caps }[] = [];
  for (const { scope, caps } of await lockBudgets(transaction, tenant, [...wanted.keys()])) {
    const higher = Object.entries(wanted.get(scope)!).filter(([unit, cap]) => cap > (caps[unit as BudgetUnit] ?? Number.POSITIVE_INFINITY));
    if (higher.length === 0) continue;
    const to: Caps = { ...caps, ...Object.fromEntries(higher) };
    await transaction.budget.update({ where: { tenant_scope: { tenant, scope } }, data: { caps: to, setBy: by, setAt: new Date() } });
    raised.push({ scope, from: caps, to });
  }
  return raised;
}

/** Write the sums of locked budgets. */
export async function saveSums(
  transaction: Transaction,
  tenant: string,
  budgets: readonly Pick<BudgetRow, "scope" | "spent" | "reserved">[],
): Promise<void> {
  if (budgets.length === 0) return;
  // How long ago the first call began follows from the moment.
  const sums = budgets.map(({ scope, spent, reserved }) => ({ scope, spent: { ...spent, wallTimeMs: 0 }, reserved, day: dayOf(scope) }));
  await transaction.$executeRaw`
    UPDATE budgets SET spent = given.spent, reserved = given.reserved, day = given.day, began_at = coalesce(began_at, clock_timestamp())
    FROM jsonb_to_recordset(${JSON.stringify(sums)}::jsonb) AS given(scope text, spent jsonb, reserved jsonb, day text)
    WHERE budgets.tenant = ${tenant} AND budgets.scope = given.scope`;
}

export async function findBudgets(database: Database, tenant: string, scopes: readonly string[]): Promise<BudgetRow[]> {
  const rows = await database.budget.findMany({ where: { tenant, scope: { in: [...scopes] } }, orderBy: { scope: "asc" } });
  return rows.map((row) => rowOf(row as unknown as Kept));
}

/** One that was removed is kept without caps. */
export const isCapped = { NOT: { caps: { equals: {} } } } satisfies Prisma.BudgetWhereInput;

/** null for what lasts. */
export const dayOf = (scope: string): string | null => (isDaily(scope) ? today() : null);

const today = (): string => new Date().toISOString().slice(0, 10);

interface Kept {
  scope: string;
  caps: Caps;
  onExceed: OnExceed;
  day: string | null;
  spent: Partial<Amount>;
  reserved: Partial<Amount>;
  beganAt: Date | null;
  setBy: string | null;
  setAt: Date | null;
}

export function rowOf({ scope, caps, onExceed, day, spent, reserved, beganAt, setBy, setAt }: Kept, now = new Date()): BudgetRow {
  const today = dayOf(scope);
  const isOver = day !== today;
  const wallTimeMs = beganAt ? Math.max(0, now.getTime() - beganAt.getTime()) : 0;
  return {
    scope,
    caps,
    onExceed,
    day: today,
    spent: { ...nothing, ...(isOver ? {} : spent), wallTimeMs },
    reserved: isOver ? nothing : { ...nothing, ...reserved },
    setBy,
    setAt,
  };
}

const inOrder = (refs: readonly BudgetRef[]): BudgetRef[] => refs.toSorted((a, b) => (a.scope < b.scope ? -1 : a.scope > b.scope ? 1 : 0));

/** By run: the root of its budgets' scopes. Its first event says which it is, where it is not the root of its keys. */
export async function budgetRoots(
  database: Database,
  runs: readonly { id: string; effectRoot: string | null }[],
): Promise<Map<string, string>> {
  const told = await database.$queryRaw<{ id: string; root: string }[]>`
    SELECT run_id AS id, data ->> 'budgetRoot' AS root FROM events
    WHERE run_id = ANY(${runs.map(({ id }) => id)}) AND identity = ${eventIdentity("run.started")} AND data ? 'budgetRoot'`;
  return new Map([
    ...runs.map(({ id, effectRoot }) => [id, effectRoot ?? id] as const),
    ...told.map(({ id, root }) => [id, root] as const),
  ]);
}

/** Of the steps of a run: those that some call has fallen under. */
export async function stepBudgets(database: Database, tenant: string, root: string): Promise<BudgetRow[]> {
  const rows = await database.budget.findMany({
    where: { tenant, scope: { startsWith: budgetScopes.step(root, "") } },
    orderBy: { scope: "asc" },
    take: limits.budgetsListedMax,
  });
  return rows.map((row) => rowOf(row as unknown as Kept));
}

/** Steps that wait for this budget, of runs that are under way. */
export const stepsOverBudget = (database: Database, tenant: string, scope: string): Promise<{ runId: string; path: string }[]> =>
  database.$queryRaw`
    SELECT steps.run_id AS "runId", steps.path FROM runs JOIN steps ON steps.run_id = runs.id
    WHERE runs.tenant = ${tenant} AND runs.status IN ('needs_attention', 'paused') AND steps.status = 'needs_attention'
      AND steps.error ->> 'code' = 'budget_exceeded' AND steps.error -> 'budgets' @> ${JSON.stringify([{ scope }])}::jsonb
    ORDER BY runs.started_at, steps.path LIMIT ${limits.budgetsResumedMax}`;

/**
 * Of these runs the steps that wait for budgets which are others now: all are of a day that is over, or one was changed lately, and
 * whoever changed it may not have come to tell them. A change counts that came shortly before the step began to wait: it may just have missed it.
 */
export const stepsToTryAgain = (database: Database, runs: readonly string[]): Promise<{ runId: string; path: string }[]> =>
  database.$queryRaw`
    SELECT run_id AS "runId", path FROM steps
    WHERE run_id = ANY(${[...runs]}) AND status = 'needs_attention' AND error ->> 'code' = 'budget_exceeded'
      AND jsonb_array_length(error -> 'budgets') > 0 AND (
        NOT EXISTS (SELECT FROM jsonb_array_elements(error -> 'budgets') AS short WHERE coalesce(short ->> 'day', '9') >= ${today()})
        OR EXISTS (
          SELECT FROM jsonb_array_elements(error -> 'budgets') AS short JOIN budgets ON budgets.tenant = steps.tenant AND scope = short ->> 'scope'
          WHERE set_at > now() - ${limits.budgetToldMs} * interval '1 ms' AND set_at > (
            SELECT max(time) FROM events WHERE events.run_id = steps.run_id AND step = path AND events.type = 'step.parked'
          ) - interval '5 s'
        ))
    ORDER BY path LIMIT ${limits.budgetsResumedMax}`;
