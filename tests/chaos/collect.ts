import { setTimeout as sleep } from "node:timers/promises";
import { WorkflowNotFoundError, type Client, type WorkflowExecutionStatusName } from "@temporalio/client";
import type { RunStatus } from "../../contracts/events.ts";
import { workflowIdOf } from "../../contracts/ids.ts";
import type { Database } from "../../prisma/client.ts";
import type { LedgerServer } from "../servers/ledger-server.ts";
import type { Effect, EventRow, Execution, Row, StepRow } from "./invariants/evidence.ts";

const tenant = "default";

/** What the outside got at the paths of one trial: `/<trial>/<step path>`. */
export const requestsOf = (ledger: LedgerServer, trial: string): Effect[] =>
  ledger.requests.flatMap(({ path, headers, time }) => {
    const [, owner, step, ...more] = path.split("/");
    if (owner !== trial || step === undefined || more.length > 0) return [];
    return [{ run: headers["x-run-id"] ?? "", step, key: headers["idempotency-key"] ?? "", time }];
  });

export async function rowsOf(database: Database, workflows: string[]): Promise<Row[]> {
  const runs = await database.run.findMany({
    where: { tenant, workflow: { in: workflows } },
    select: { id: true, status: true, parentId: true, forkOf: true, waitingFor: true },
  });
  return runs.map(({ id, status, parentId, ...row }) => ({ run: id, status: status as RunStatus, parent: parentId, ...row }));
}

/** Steps that call, and the log. */
export async function detailsOf(database: Database, runs: string[]): Promise<{ steps: StepRow[]; events: EventRow[] }> {
  const of = { where: { runId: { in: runs } } };
  const [steps, events, reused] = await Promise.all([
    database.step.findMany(of),
    database.event.findMany({ ...of, omit: { data: true } }),
    reusedSteps(database, runs),
  ]);
  return {
    steps: steps.map(({ runId, path, status, reusedFrom }) => ({
      run: runId,
      path,
      status: status as StepRow["status"],
      reusedFrom: reusedFrom ?? reused.get(`${runId} ${path}`) ?? null,
    })),
    events: events.map(({ runId, seq, type, step, time }) => ({ run: runId, seq, type, step, time: time.getTime() })),
  };
}

/** Those that ran, and whose tool was answered for by the run that they branched off from. */
async function reusedSteps(database: Database, runs: string[]): Promise<Map<string, string>> {
  const rows = await database.$queryRaw<{ run: string; path: string; origin: string }[]>`
    SELECT run_id AS run, step AS path, data ->> 'reusedFrom' AS origin FROM events
    WHERE run_id = ANY(${runs}) AND type = 'step.completed' AND data ? 'reusedFrom'`;
  return new Map(rows.map(({ run, path, origin }) => [`${run} ${path}`, origin]));
}

/** As a list shows them, which lags a little behind. */
export async function listedExecutions(client: Client, workflows: string[]): Promise<Execution[]> {
  const statuses = new Map<string, RunStatus>();
  const query = `TenutoWorkflow IN (${workflows.map((name) => `"${name}"`).join()})`;
  for await (const { workflowId, status } of client.workflow.list({ query })) {
    // The newest comes first: of a run that has gone on in a new execution only that one counts.
    const run = idOf(workflowId);
    if (!statuses.has(run)) statuses.set(run, statusOf(status.name));
  }
  return [...statuses].map(([run, status]) => ({ run, status }));
}

/** A run that the list shows as open, or not at all, is asked for by its id. */
export async function executionsOf(client: Client, workflows: string[], runs: string[]): Promise<Execution[]> {
  const statuses = new Map((await listedExecutions(client, workflows)).map(({ run, status }) => [run, status]));
  const unsure = [...new Set([...runs, ...statuses.keys()])].filter((run) => (statuses.get(run) ?? "running") === "running");
  for (let at = 0; at < unsure.length; at += askedAtOnce) {
    const batch = unsure.slice(at, at + askedAtOnce);
    const found = await Promise.all(batch.map((run) => statusById(client, run)));
    batch.forEach((run, n) => (found[n] === undefined ? statuses.delete(run) : statuses.set(run, found[n])));
  }
  return [...statuses].map(([run, status]) => ({ run, status }));
}

const askedAtOnce = 20;

async function statusById(client: Client, run: string): Promise<RunStatus | undefined> {
  try {
    return statusOf((await client.workflow.getHandle(workflowIdOf(tenant, run)).describe()).status.name);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

const idOf = (workflowId: string): string => workflowId.slice(workflowIdOf(tenant, "").length);

const endings: Partial<Record<WorkflowExecutionStatusName, RunStatus>> = {
  COMPLETED: "completed",
  FAILED: "failed",
  CANCELLED: "canceled",
  TERMINATED: "terminated",
  TIMED_OUT: "timed_out",
};

const statusOf = (name: WorkflowExecutionStatusName): RunStatus => endings[name] ?? "running";

/** What was killed a moment ago may break a connection once more. */
export async function persistently<T>(read: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await read();
    } catch (error) {
      if (tries === 20) throw error;
      await sleep(500);
    }
  }
}
