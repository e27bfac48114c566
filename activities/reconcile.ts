import { Context } from "@temporalio/activity";
import { WorkflowNotFoundError, type WorkflowExecutionDescription, type Client, type WorkflowExecutionInfo } from "@temporalio/client";
import { eventIdentity, terminalStatuses, type EventType, type RunEvent } from "../contracts/events.ts";
import { makeProblem } from "../contracts/faults.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { Holds } from "../contracts/holds.ts";
import type { RunRef } from "../contracts/activities.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { workflowTypes } from "../contracts/messages.ts";
import { isUnderWay } from "../contracts/run-end.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import type { Database } from "../prisma/client.ts";
import { removeExpiredMemories } from "../prisma/memories.ts";
import { removeOld } from "../prisma/retention.ts";
import { tellLocks } from "./locks.ts";
import { allPauses } from "../prisma/pauses.ts";
import { UNTOLD } from "../prisma/plans.ts";
import { defectEvent } from "./defects.ts";
import type { Embeddings } from "./embeddings.ts";
import { endBudgetWaits } from "./budget-waits.ts";
import type { ModelCalls } from "./model-calls.ts";
import { cancel, cancelChildren, orphansAmong } from "./orphans.ts";
import { deliverForgotten } from "./forgotten-messages.ts";
import { endOf } from "./endings.ts";
import type { Record } from "./record.ts";
import { readRunning, type IsKnownToRun } from "./running.ts";
import { hears, isTold } from "./spread-pause.ts";
import { allParts, lotsOf, sweep, type Beat } from "./sweep.ts";

interface Deps {
  database: Database;
  record: Record;
  client: Client;
  autoPause: (beat: Beat) => Promise<void>;
  modelCalls: Pick<ModelCalls, "healLost">;
  embeddings: Pick<Embeddings, "catchUp">;
}

/** Rows looked at in one go; the schedule comes again soon. */
const batch = 500;

type Row = Awaited<ReturnType<typeof openRows>>[number];

/** Ended runs without a row are looked for this far back: several rounds. */
const untoldSinceMs = 10 * 60_000;

/**
 * Close the rows of runs that ended without a word (terminated, timed out, lost), and cancel the children they left.
 * Temporal is right: nothing is written about a run that it says is open. Open runs that have missed what their
 * definition or tenant is paused for (it was paused while they started) are told again.
 */
export function createReconcile(deps: Deps): () => Promise<number> {
  const forget = forgetting(deps.database);
  return () => {
    const context = Context.current();
    const beat = (): void => {
      context.cancellationSignal.throwIfAborted();
      context.heartbeat();
    };
    return allParts({
      "open runs": () => healRows(deps, beat),
      "ends without a row": () => tellUntold(deps, beat),
      "lost model calls": () => deps.modelCalls.healLost(beat),
      "auto-pauses": () => deps.autoPause(beat).then(none),
      "forgotten messages": () => deliverForgotten(deps, beat).then(none),
      "expired memories": () => removeExpiredMemories(deps.database).then(none),
      "what nobody can come back to": () => forget().then(none),
      // Last: it waits for a model.
      "memories to embed": () => deps.embeddings.catchUp(beat).then(none),
    });
  };
}

/** What counts as healed is what differed. */
const none = (): number => 0;

/** Old rows, once in a while; at once again while there may be more. */
function forgetting(database: Database): () => Promise<void> {
  let nextAt = 0;
  return async () => {
    if (Date.now() < nextAt) return;
    if ((await removeOld(database)) < limits.forgottenRowsMax) nextAt = Date.now() + limits.forgetEveryMs;
  };
}

async function healRows(deps: Deps, beat: Beat): Promise<number> {
  let healed = 0;
  const holdsOf = await allPauses(deps.database);
  // Without the list all are asked about.
  const isKnownToRun = await readRunning(deps.client, beat).catch(() => () => false);
  for (let rows = await openRows(deps.database); rows.length > 0; rows = await openRows(deps.database, rows.at(-1))) {
    for await (const lot of lotsOf(rows, beat)) {
      const heal = (row: Row): Promise<boolean> =>
        healRow(deps, row, { holds: holdsOf(row.tenant, row.workflow), isKnownToRun, beat }).catch(() => skip(row));
      const ends = await Promise.all(lot.map(heal));
      const over = lot.filter((_, index) => ends[index]);
      healed += over.length;
      await freeLocks(deps.client, over, beat);
    }
    await sweep(await orphansAmong(deps.database, rows), { beat, work: (row) => cancel(deps.client, row), skip });
    await endBudgetWaits(deps, rows, beat);
  }
  return healed;
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
async function tellUntold({ database, client, record }: Deps, beat: Beat): Promise<number> {
  const since = new Date(Date.now() - untoldSinceMs).toISOString();
  const query = `WorkflowType = "${workflowTypes.run}" AND ExecutionStatus IN ("Terminated", "TimedOut") AND CloseTime > "${since}"`;
  let told = 0;
  const tell = async (execution: WorkflowExecutionInfo): Promise<void> => {
    const run = refOfExecution(execution);
    if (!run || (await database.run.findUnique({ where: { id: run.id }, select: { id: true } }))) return;
    await record.append(run, [endWithoutWord(execution)]);
    told += 1;
  };
  const failed: unknown[] = [];
  await sweep(client.workflow.list({ query }), { beat, work: tell, skip: (_, error) => failed.push(error) });
  if (failed.length > 0) throw failed[0];
  return told;
}

/** Gives whether the run has ended. */
async function healRow(
  deps: Deps,
  row: Row,
  { holds, isKnownToRun, beat }: { holds: Holds; isKnownToRun: IsKnownToRun; beat: Beat },
): Promise<boolean> {
  const end = isKnownToRun(row) ? "open" : await endNow(deps, row);
  if (end === "open" || "description" in end) {
    const defect = end === "open" ? undefined : defectEvent(row, end.description);
    if (defect) await deps.record.append(refOf(row), [defect]);
    if (!isTold(row, holds)) await hears(deps.client, row, holds);
    return false;
  }
  // Before the row is closed: after it nobody would look at this run again.
  if (end.type === "run.terminated" || end.type === "run.timed_out") await cancelChildren(deps, row, beat);
  await deps.record.append(refOf(row), [end]);
  return true;
}

/** A run that ended without its walk has given nothing back. */
async function freeLocks(client: Client, over: Row[], beat: Beat): Promise<void> {
  for (const tenant of new Set(over.map((row) => row.tenant))) {
    const runs = over.filter((row) => row.tenant === tenant).map(({ id }) => id);
    await tellLocks(client, { tenant, runs }, beat).catch(() => Context.current().log.warn("locks were not told", { tenant }));
  }
}

type Closed = Pick<WorkflowExecutionInfo, "status" | "closeTime">;

/** How Temporal says the run ended; its description while it is open. */
async function endNow({ client }: Deps, row: Row): Promise<RunEvent | { description: WorkflowExecutionDescription }> {
  const handle = client.workflow.getHandle(workflowIdOf(row.tenant, row.id));
  try {
    const description = await handle.describe();
    if (isUnderWay(description.status)) return { description };
    const closedBy = Date.now() + limits.endingFollowedMs;
    const end = await client.connection.withDeadline(closedBy, () => endOf(handle, () => timeOf(description)));
    return end ?? endWithoutWord(description);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    return eventOf("run.terminated", Date.now(), { reason: "Temporal no longer knows this run" });
  }
}

function endWithoutWord(execution: Closed): RunEvent {
  const time = timeOf(execution);
  if (execution.status.name !== "TIMED_OUT") return eventOf("run.terminated", time, { reason: "terminated" });
  return eventOf("run.timed_out", time, { error: makeProblem("timeout", "The run reached its execution timeout.") as Json });
}

const eventOf = (type: EventType, time: number, data: JsonObject): RunEvent => ({ identity: eventIdentity(type), type, time, data });

const timeOf = ({ closeTime }: Closed): number => closeTime?.getTime() ?? Date.now();

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
    planHash: UNTOLD,
    temporalRunId: runId,
    startedAt: startTime.getTime(),
    startedBy: typeof memo?.["startedBy"] === "string" ? memo["startedBy"] : "",
    ...(parentId === "" ? {} : { parentId }),
  };
}
