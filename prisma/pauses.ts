import { holdReasons, type Hold, type Holds, type Timers } from "../contracts/holds.ts";
import type { JsonObject } from "../contracts/json.ts";
import { audit } from "./audit.ts";
import type { Database, Prisma } from "./client.ts";

/** A definition or, without `workflow`, a whole tenant is paused or goes on. */
export interface PauseChange {
  tenant: string;
  workflow?: string;
  isPaused: boolean;
  by: string;
  timers?: Timers;
  why?: string;
  requestId?: string;
}

/** Write the change and its audit row. Gives false when all of it was so before. Runs are told afterwards. */
export async function changePause(database: Database, change: PauseChange): Promise<boolean> {
  return database.$transaction(async (transaction) => {
    // Revisions of a tenant must grow in commit order: runs heed the highest.
    await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`pauses ${change.tenant}`}, 0))`;
    const { tenant, workflow = wholeTenant, isPaused, by: changedBy, timers = "run", why = null } = change;
    const where = { tenant_workflow: { tenant, workflow } };
    const before = await transaction.pause.findUnique({ where });
    const isSame = isPaused ? before?.isPaused && before.timers === timers && before.why === why : !before?.isPaused;
    if (isSame) return false;
    const revision = await audit(transaction, entryOf(change));
    const state = { isPaused, timers, why, changedBy, changedAt: new Date(), revision };
    await transaction.pause.upsert({ where, create: { tenant, workflow, ...state }, update: state });
    return true;
  });
}

/** What the platform holds the runs of a definition for. */
export async function platformHolds(database: Database, tenant: string, workflow: string): Promise<Holds> {
  return holdsFrom(
    await database.pause.findMany({ where: { tenant, workflow: { in: [wholeTenant, workflow] } }, orderBy: { workflow: "asc" } }),
  );
}

/** The same for many runs, from one reading. */
export async function allPauses(database: Database): Promise<(tenant: string, workflow: string) => Holds> {
  const rows = await database.pause.findMany();
  const byScope = new Map(rows.map((row) => [JSON.stringify([row.tenant, row.workflow]), row]));
  return (tenant, workflow) =>
    holdsFrom([wholeTenant, workflow].map((scope) => byScope.get(JSON.stringify([tenant, scope]))).filter((row) => row !== undefined));
}

export const wholeTenant = "";

type Row = Prisma.PauseGetPayload<object>;

function holdsFrom(rows: Row[]): Holds {
  const latest = rows.toSorted((a, b) => Number(b.revision - a.revision))[0];
  return {
    source: "platform",
    version: Number(latest?.revision ?? 0),
    by: latest?.changedBy ?? "",
    holds: rows.filter(({ isPaused }) => isPaused).map(holdOf),
  };
}

const holdOf = ({ workflow, changedBy, changedAt, timers, why }: Row): Hold => ({
  reason: workflow === wholeTenant ? holdReasons.tenant : holdReasons.definition(workflow),
  by: changedBy,
  at: changedAt.toISOString(),
  timers: timers as Timers,
  ...(why === null ? {} : { why }),
});

function entryOf({ tenant, workflow, isPaused, by, timers, why, requestId }: PauseChange) {
  const data: JsonObject = { ...(timers === undefined ? {} : { timers }), ...(why === undefined ? {} : { why }) };
  return {
    tenant,
    actor: by,
    action: `${workflow === undefined ? "tenant" : "definition"}.${isPaused ? "paused" : "resumed"}`,
    object: workflow ?? wholeTenant,
    data,
    ...(requestId === undefined ? {} : { requestId }),
  };
}
