import { Context } from "@temporalio/activity";
import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from "@temporalio/client";
import { eventIdentity, terminalStatuses, type EventType } from "../contracts/events.ts";
import { isProblem, makeProblem, type Problem } from "../contracts/faults.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { Holds } from "../contracts/holds.ts";
import type { RunRef } from "../contracts/activities.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { RunResult } from "../contracts/messages.ts";
import type { Database } from "../prisma/client.ts";
import { tellLocks } from "./locks.ts";
import { allPauses } from "../prisma/pauses.ts";
import type { Record } from "./record.ts";
import { hears, isTold } from "./spread-pause.ts";

interface Deps {
  database: Database;
  record: Record;
  client: Client;
  autoPause: () => Promise<void>;
}

/** Rows looked at in one go; the schedule comes again soon. */
const batch = 500;
const abroad = 20;

type Row = Awaited<ReturnType<typeof openRows>>[number];

/**
 * Close the rows of runs that ended without a word (terminated, timed out, lost), and cancel the children they left.
 * Temporal is right: nothing is written about a run that it says is open. Open runs that have missed what their
 * definition or tenant is paused for (it was paused while they started) are told again.
 */
export function createReconcile(deps: Deps): () => Promise<number> {
  return async () => {
    let healed = 0;
    await deps.autoPause();
    const holdsOf = await allPauses(deps.database);
    for (let rows = await openRows(deps.database); rows.length > 0; rows = await openRows(deps.database, rows.at(-1))) {
      for (let at = 0; at < rows.length; at += abroad) {
        const some = rows.slice(at, at + abroad);
        const ends = await Promise.all(some.map((row) => healRow(deps, row, holdsOf(row.tenant, row.workflow)).catch(() => skip(row))));
        const over = some.filter((_, index) => ends[index]);
        healed += over.length;
        await freeLocks(deps.client, over);
      }
      Context.current().heartbeat(healed);
    }
    return healed;
  };
}

const openRows = (database: Database, after?: { id: string }) =>
  database.run.findMany({
    where: { status: { notIn: [...terminalStatuses] } },
    orderBy: [{ startedAt: "asc" }, { id: "asc" }],
    take: batch,
    ...(after ? { cursor: { id: after.id }, skip: 1 } : {}),
  });

// One that cannot be asked about must not keep the others from being healed; the next round asks again.
function skip(row: Row): false {
  Context.current().log.warn("a run could not be reconciled", { run: row.id });
  return false;
}

async function healRow(deps: Deps, row: Row, holds: Holds): Promise<boolean> {
  const end = await endOf(deps.client, row);
  if (!end) return isTold(row, holds) ? false : hears(deps.client, row, holds);
  // Before the row is closed: after it nobody would look at this run again.
  if (end.type === "run.terminated" || end.type === "run.timed_out") await cancelChildren(deps, row);
  await deps.record.append(refOf(row), [{ identity: eventIdentity(end.type), type: end.type, time: end.time, data: end.data }]);
  return true;
}

/** A run that ended without its walk has given nothing back. */
async function freeLocks(client: Client, over: Row[]): Promise<void> {
  for (const tenant of new Set(over.map((row) => row.tenant))) {
    const runs = over.filter((row) => row.tenant === tenant).map(({ id }) => id);
    await tellLocks(client, tenant, runs).catch(() => Context.current().log.warn("locks were not told", { tenant }));
  }
}

interface End {
  type: EventType;
  time: number;
  data: JsonObject;
}

/** How Temporal says the run ended; undefined while it is open. */
async function endOf(client: Client, row: Row): Promise<End | undefined> {
  const handle = client.workflow.getHandle(workflowIdOf(row.tenant, row.id));
  try {
    const description = await handle.describe();
    if (description.status.name === "RUNNING" || description.status.name === "PAUSED") return undefined;
    return await endFrom(description, () => handle.result() as Promise<RunResult>);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    return { type: "run.terminated", time: Date.now(), data: { reason: "Temporal no longer knows this run" } };
  }
}

async function endFrom({ status, closeTime }: WorkflowExecutionDescription, result: () => Promise<RunResult>): Promise<End | undefined> {
  const time = closeTime?.getTime() ?? Date.now();
  switch (status.name) {
    case "COMPLETED": {
      const { status: ended, output } = await result();
      return { type: `run.${ended}`, time, data: { output } };
    }
    case "FAILED":
      return { type: "run.failed", time, data: { error: (await problemOf(result)) as Json } };
    case "CANCELLED":
      return { type: "run.canceled", time, data: { reason: "canceled" } };
    case "TIMED_OUT":
      return { type: "run.timed_out", time, data: { error: makeProblem("timeout", "The run reached its execution timeout.") as Json } };
    case "TERMINATED":
      return { type: "run.terminated", time, data: { reason: "terminated" } };
    default:
      return undefined;
  }
}

async function problemOf(result: () => Promise<RunResult>): Promise<Problem> {
  try {
    await result();
  } catch (error) {
    const details =
      error instanceof Error && error.cause && typeof error.cause === "object" && "details" in error.cause ? error.cause.details : [];
    const [problem] = Array.isArray(details) ? details : [];
    if (isProblem(problem)) return problem;
    return makeProblem("defect", error instanceof Error && error.cause instanceof Error ? error.cause.message : "The run failed.");
  }
  return makeProblem("defect", "The run failed.");
}

/** A run that ended without its walk cannot have cancelled its children itself, nor have let go of those that outlive it. */
async function cancelChildren({ database, client }: Deps, row: Row): Promise<void> {
  const [rows, started] = await Promise.all([
    database.run.findMany({ where: { parentId: row.id, status: { notIn: [...terminalStatuses] } }, select: { id: true } }),
    database.event.findMany({ where: { runId: row.id, type: "child.started" }, select: { data: true } }),
  ]);
  const told = started.map(({ data }) => data as JsonObject);
  const abandoned = new Set(told.filter((child) => child["parentClosePolicy"] === "abandon").map((child) => child["runId"]));
  const ids = new Set([...rows.map(({ id }) => id), ...told.map((child) => child["runId"] as string)]);
  for (const id of ids) {
    if (abandoned.has(id)) await hears(client, { ...row, id }, released);
    else await client.workflow.getHandle(workflowIdOf(row.tenant, id)).cancel().catch(ignoreEnded);
  }
}

// The last word of a parent that can say nothing any more.
const released: Holds = { source: "parent", version: Number.MAX_SAFE_INTEGER, by: "reconcile", holds: [] };

function ignoreEnded(error: unknown): void {
  if (!(error instanceof WorkflowNotFoundError)) throw error;
}

const refOf = (row: Row): RunRef => ({
  tenant: row.tenant,
  id: row.id,
  workflow: row.workflow,
  version: row.version,
  planHash: row.planHash,
  temporalRunId: row.temporalRunId,
  startedAt: row.startedAt.getTime(),
  startedBy: row.startedBy,
  ...(row.parentId === null ? {} : { parentId: row.parentId }),
});
