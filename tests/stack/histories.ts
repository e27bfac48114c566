import { randomBytes, randomUUID } from "node:crypto";
import { Client, Connection, WorkflowNotFoundError, type WorkflowHandle } from "@temporalio/client";
import type { Duration } from "@temporalio/common";
import { historyToJSON } from "@temporalio/common/lib/proto-utils.js";
import { ENGINE_VERSION } from "../../contracts/engine.ts";
import { messageSignals } from "../../contracts/agent-messages.ts";
import { lockWorkflowId, mailboxWorkflowId, queues, scheduleIds, workflowIdOf } from "../../contracts/ids.ts";
import type { Json } from "../../contracts/json.ts";
import { lockSignals } from "../../contracts/locks.ts";
import {
  queries,
  signals,
  updates,
  workflowTypes,
  type Origin,
  type RunArguments,
  type UpdateArguments,
} from "../../contracts/messages.ts";
import { replay, type Replays } from "./replays.ts";

export interface Histories {
  sizeOf(tenant: string, run: string): Promise<{ events: number; bytes: number }>;
  decide(tenant: string, run: string, decision: UpdateArguments["decide"]): Promise<unknown>;
  settle(tenant: string, run: string): Promise<void>;
  fillMailbox(tenant: string, run: string, count: number): Promise<void>;
  startContinuing(workflow: string, input: Json, events: number, origin?: Origin): Promise<string>;
  startPlan(plan: Json, taskTimeout?: Duration): Promise<string>;
  executions(tenant: string, run: string): Promise<number>;
  listed(query: string): Promise<string[]>;
  details(tenant: string, run: string): Promise<string>;
  forget(tenant: string, run: string): Promise<void>;
  jsonOf(tenant: string, run: string, isOfFirst?: boolean): Promise<unknown>;
  /** Walk the histories of ended runs, and of their children, again. */
  replays(tenant: string, runs: string[]): Promise<Replays>;
  reset(tenant: string, run: string): Promise<void>;
  wearLock(tenant: string, key: string): Promise<number>;
  /** The same for an agent's mailbox. */
  wearMailbox(tenant: string, agent: string): Promise<number>;
  /** End an agent's mailbox as an operator can, and have it missed. */
  loseMailbox(tenant: string, agent: string): Promise<void>;
  /** Compare Temporal with the record now. */
  reconcile(): Promise<void>;
  /** Of any workflow of the type. */
  ofType(type: string): Promise<unknown>;
  close(): Promise<void>;
}

export async function openHistories(address: string, stateDir: string): Promise<Histories> {
  const connection = await Connection.connect({ address });
  const client = new Client({ connection });
  const { workflow, schedule } = client;
  const handleOf = (tenant: string, run: string) => workflow.getHandle(workflowIdOf(tenant, run));
  const reconcile = (): Promise<void> => schedule.getHandle(scheduleIds.reconcile).trigger();
  return {
    reconcile,
    ...startsOf(workflow),
    ...lossesOf(workflow, reconcile),
    ...looksOf(connection, workflow),
    async sizeOf(tenant, run) {
      const { historyLength, historySize } = await handleOf(tenant, run).describe();
      return { events: historyLength, bytes: historySize ?? 0 };
    },
    decide: (tenant, run, decision) => handleOf(tenant, run).executeUpdate(updates.decide, { args: [decision] }),
    async settle(tenant, run) {
      // A query is answered after all that came before it; what that began shows in the next description.
      for (let quiet = 0; quiet < 2;) {
        const handle = handleOf(tenant, run);
        await handle.query(queries.state);
        const { raw } = await handle.describe();
        quiet = !raw.pendingWorkflowTask && (raw.pendingActivities ?? []).length === 0 ? quiet + 1 : 0;
      }
    },
    async fillMailbox(tenant, run, count) {
      const events = Array.from({ length: count }, (_, n) => ({ event: "filler", data: n, id: `filler-${n}`, at: Date.now() }));
      const handle = handleOf(tenant, run);
      for (let at = 0; at < count; at += 50)
        await Promise.all(events.slice(at, at + 50).map((event) => handle.signal(signals.deliver, event)));
    },
    reset: (tenant, run) => reset(connection, handleOf(tenant, run)),
    async jsonOf(tenant, run, isOfFirst = false) {
      const handle = handleOf(tenant, run);
      // The record knows the end a moment before Temporal does.
      await handle.result().catch(() => undefined);
      const first = isOfFirst ? (await handle.describe()).raw.workflowExecutionInfo?.firstRunId : undefined;
      return toJson(await workflow.getHandle(workflowIdOf(tenant, run), first ?? undefined).fetchHistory());
    },
    async replays(tenant, runs) {
      await Promise.allSettled(runs.map((run) => handleOf(tenant, run).result()));
      return replay(
        client,
        stateDir,
        runs.map((run) => workflowIdOf(tenant, run)),
      );
    },
    async ofType(type) {
      if (type === workflowTypes.maintenance) await reconcile();
      // Some live on; the others are looked at when they have ended.
      const livesOn = ([workflowTypes.lock, workflowTypes.delivery, workflowTypes.mailbox] as string[]).includes(type);
      const query = `WorkflowType = "${type}"${livesOn ? "" : ' AND ExecutionStatus = "Completed"'}`;
      for (;;) {
        for await (const { workflowId, runId } of workflow.list({ query }))
          return toJson(await workflow.getHandle(workflowId, runId).fetchHistory());
      }
    },
    close: () => connection.close(),
  };
}

const tenant = "default";

/** Begin an execution anew behind its first workflow task. */
async function reset({ workflowService }: Connection, handle: WorkflowHandle): Promise<void> {
  const { events } = await handle.fetchHistory();
  const first = events?.find(({ workflowTaskCompletedEventAttributes }) => workflowTaskCompletedEventAttributes);
  const { workflowId, runId } = await handle.describe();
  await workflowService.resetWorkflowExecution({
    namespace: "default",
    workflowExecution: { workflowId, runId },
    reason: "test",
    workflowTaskFinishEventId: first!.eventId!,
    requestId: randomUUID(),
  });
}

/** Starts that no route of the API makes. */
const startsOf = (workflow: Client["workflow"]): Pick<Histories, "startContinuing" | "startPlan"> => ({
  async startContinuing(name, input, continueAfterEvents, origin) {
    const id = `r_${randomBytes(13).toString("hex")}`;
    const from = origin ? { origin } : {};
    const args: RunArguments = { ...argumentsOf(tenant, id), workflow: name, input, continueAfterEvents, ...from };
    await workflow.start(workflowTypes.run, { workflowId: workflowIdOf(tenant, id), taskQueue: queues.runs, args: [args] });
    return id;
  },
  async startPlan(plan, taskTimeout) {
    const id = `r_${randomBytes(13).toString("hex")}`;
    const args: RunArguments = { ...argumentsOf(tenant, id), workflow: "broken", input: {}, plan };
    const lasts = taskTimeout === undefined ? {} : { workflowTaskTimeout: taskTimeout };
    await workflow.start(workflowTypes.run, { workflowId: workflowIdOf(tenant, id), taskQueue: queues.runs, args: [args], ...lasts });
    return id;
  },
});

/** What becomes of workflows that live for ever. */
const lossesOf = (
  workflow: Client["workflow"],
  reconcile: Histories["reconcile"],
): Pick<Histories, "wearLock" | "wearMailbox" | "loseMailbox"> => ({
  wearLock: (tenant, key) =>
    wear(workflow, lockWorkflowId(tenant, "step", key)!, { signal: lockSignals.release, argument: { run: "r_nobody", ticket: "none" } }),
  wearMailbox: (tenant, agent) => wear(workflow, mailboxWorkflowId(tenant, agent), { signal: messageSignals.receive, argument: [] }),
  async loseMailbox(tenant, agent) {
    await workflow.getHandle(mailboxWorkflowId(tenant, agent)).terminate();
    await reconcile();
  },
});

/** What people see in the Temporal Web UI. */
const looksOf = (
  connection: Connection,
  workflow: Client["workflow"],
): Pick<Histories, "executions" | "listed" | "details" | "forget"> => ({
  executions: (of, run) => countExecutions(workflow, workflowIdOf(of, run)),
  async listed(query) {
    const found: string[] = [];
    for await (const { workflowId } of workflow.list({ query })) found.push(workflowId.split(".").slice(2).join("."));
    return found;
  },
  async details(tenant, run) {
    const metadata = await workflow.getHandle(workflowIdOf(tenant, run)).query<{ currentDetails?: string }>("__temporal_workflow_metadata");
    return metadata.currentDetails ?? "";
  },
  async forget(tenant, run) {
    const workflowId = workflowIdOf(tenant, run);
    await connection.workflowService.deleteWorkflowExecution({ namespace: "default", workflowExecution: { workflowId } });
    // Deleted by a task of the server's own.
    while (
      await workflow
        .getHandle(workflowIdOf(tenant, run))
        .describe()
        .then(Boolean, () => false)
    )
      await new Promise((later) => setTimeout(later, 100));
  },
});

// In proto3 JSON: plain JSON.stringify gives something that does not load again.
const toJson = (history: Parameters<typeof historyToJSON>[0]): unknown => JSON.parse(historyToJSON(history)) as unknown;

/** Counted from the first one on: a list learns of the last ones a little later. */
async function countExecutions(workflow: Client["workflow"], workflowId: string): Promise<number> {
  let count = 0;
  for (let runId = await firstExecution(workflow, workflowId); runId; count += 1) {
    const { events } = await workflow.getHandle(workflowId, runId).fetchHistory();
    runId = events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId;
  }
  return count;
}

/** Undefined when there is none. */
async function firstExecution(workflow: Client["workflow"], workflowId: string): Promise<string | null | undefined> {
  try {
    return (await workflow.getHandle(workflowId).describe()).raw.workflowExecutionInfo?.firstRunId;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** By signals that mean nothing, as many as it takes. Gives how many executions it has had then. */
async function wear(
  workflow: Client["workflow"],
  workflowId: string,
  { signal, argument }: { signal: string; argument: Json },
): Promise<number> {
  for (;;) {
    // In the moment in which it continues as new, the server says of the old execution that it is over; a busy one takes some only.
    await Promise.allSettled(Array.from({ length: 100 }, () => workflow.getHandle(workflowId).signal(signal, argument)));
    const { count } = await workflow.count(`WorkflowId = "${workflowId}"`);
    if (count > 1) return count;
  }
}

const argumentsOf = (tenant: string, id: string) => ({ tenant, id, engine: ENGINE_VERSION, env: {}, startedBy: "test", depth: 0 });
