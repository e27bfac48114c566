import { Context } from "@temporalio/activity";
import { WorkflowNotFoundError, type WorkflowExecutionDescription, type Client, type WorkflowExecutionInfo } from "@temporalio/client";
import { eventIdentity, terminalStatuses, type EventType } from "../contracts/events.ts";
import { isProblem, makeProblem, type Problem } from "../contracts/faults.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { Holds } from "../contracts/holds.ts";
import type { RunRef } from "../contracts/activities.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { workflowTypes, type RunResult } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import type { Database } from "../prisma/client.ts";
import { tellLocks } from "./locks.ts";
import { allPauses } from "../prisma/pauses.ts";
import { defectEvent } from "./defects.ts";
import { cancel, cancelChildren, orphansAmong } from "./orphans.ts";
import { toldEnd } from "./endings.ts";
import type { Record } from "./record.ts";
import { readRunning, type IsKnownToRun } from "./running.ts";
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

/** Ended runs without a row are looked for this far back: several rounds. */
const untoldSinceMs = 10 * 60_000;

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
    // Without the list all are asked about.
    const isKnownToRun = await readRunning(deps.client).catch(() => () => false);
    for (let rows = await openRows(deps.database); rows.length > 0; rows = await openRows(deps.database, rows.at(-1))) {
      for (let at = 0; at < rows.length; at += abroad) {
        const some = rows.slice(at, at + abroad);
        const ends = await Promise.all(
          some.map((row) => healRow(deps, row, { holds: holdsOf(row.tenant, row.workflow), isKnownToRun }).catch(() => skip(row))),
        );
        const over = some.filter((_, index) => ends[index]);
        healed += over.length;
        await freeLocks(deps.client, over);
      }
      for (const row of await orphansAmong(deps.database, rows)) await cancel(deps.client, row).catch(() => skip(row));
      Context.current().heartbeat(healed);
    }
    return healed + (await tellUntold(deps));
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

/** Runs that were ended from outside before their first append: nothing is known of them but what Temporal knows. */
async function tellUntold({ database, client, record }: Deps): Promise<number> {
  const since = new Date(Date.now() - untoldSinceMs).toISOString();
  const query = `WorkflowType = "${workflowTypes.run}" AND ExecutionStatus IN ("Terminated", "TimedOut") AND CloseTime > "${since}"`;
  let told = 0;
  for await (const execution of client.workflow.list({ query })) {
    const run = refOfExecution(execution);
    if (!run || (await database.run.findUnique({ where: { id: run.id }, select: { id: true } }))) continue;
    const { type, time, data } = endWithoutWord(execution);
    await record.append(run, [{ identity: eventIdentity(type), type, time, data }]);
    told += 1;
  }
  return told;
}

/** Gives whether the run has ended. */
async function healRow(deps: Deps, row: Row, { holds, isKnownToRun }: { holds: Holds; isKnownToRun: IsKnownToRun }): Promise<boolean> {
  const end = isKnownToRun(row) ? "open" : await endOf(deps, row);
  if (end === "open" || "description" in end) {
    const defect = end === "open" ? undefined : defectEvent(row, end.description);
    if (defect) await deps.record.append(refOf(row), [defect]);
    if (!isTold(row, holds)) await hears(deps.client, row, holds);
    return false;
  }
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

type Closed = Pick<WorkflowExecutionInfo, "status" | "closeTime">;

/** How Temporal says the run ended; undefined while it is open. */
async function endOf({ client, database }: Deps, row: Row): Promise<End | { description: WorkflowExecutionDescription }> {
  const handle = client.workflow.getHandle(workflowIdOf(row.tenant, row.id));
  try {
    const description = await handle.describe();
    if (description.status.name === "RUNNING" || description.status.name === "PAUSED") return { description };
    // Read anew: a run that has ended tells no more.
    const told = await database.run.findUnique({ where: { id: row.id }, select: { ending: true } });
    return (told && toldEnd(told, description.status.name)) ?? (await endFrom(description, () => handle.result() as Promise<RunResult>));
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    return { type: "run.terminated", time: Date.now(), data: { reason: "Temporal no longer knows this run" } };
  }
}

async function endFrom(execution: Closed, result: () => Promise<RunResult>): Promise<End> {
  const { status } = execution;
  const time = timeOf(execution);
  switch (status.name) {
    case "COMPLETED": {
      const { status: ended, output, errors } = await result();
      return { type: `run.${ended}`, time, data: { output, ...(errors ? { errors: errors as Json[] } : {}) } };
    }
    case "FAILED":
      return { type: "run.failed", time, data: { error: (await problemOf(result)) as Json } };
    case "CANCELLED":
      return { type: "run.canceled", time, data: { reason: "canceled" } };
    default:
      return endWithoutWord(execution);
  }
}

function endWithoutWord(execution: Closed): End {
  const time = timeOf(execution);
  if (execution.status.name !== "TIMED_OUT") return { type: "run.terminated", time, data: { reason: "terminated" } };
  return { type: "run.timed_out", time, data: { error: makeProblem("timeout", "The run reached its execution timeout.") as Json } };
}

const timeOf = ({ closeTime }: Closed): number => closeTime?.getTime() ?? Date.now();

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

/** From what Temporal's list shows; undefined for what is no run of ours. */
function refOfExecution({ workflowId, runId, startTime, memo, typedSearchAttributes }: WorkflowExecutionInfo): RunRef | undefined {
  const of = (key: (typeof searchAttributes)["tenant" | "workflow" | "version" | "parent"]): string => typedSearchAttributes.get(key) ?? "";
  const tenant = of(searchAttributes.tenant);
  const prefix = workflowIdOf(tenant, "");
  if (!workflowId.startsWith(prefix)) return undefined;
  const parentId = of(searchAttributes.parent);
  return {
    tenant,
    id: workflowId.slice(prefix.length),
    workflow: of(searchAttributes.workflow),
    version: of(searchAttributes.version),
    planHash: "",
    temporalRunId: runId,
    startedAt: startTime.getTime(),
    startedBy: typeof memo?.["startedBy"] === "string" ? memo["startedBy"] : "",
    ...(parentId === "" ? {} : { parentId }),
  };
}
