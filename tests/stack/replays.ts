import { readFile } from "node:fs/promises";
import type { Client } from "@temporalio/client";
import { Worker, type ReplayHistoriesIterable } from "@temporalio/worker";
import { workflowBundle } from "../../cli/workflow-bundle.ts";

/** What became of histories that were walked again. */
export interface Replays {
  count: number;
  broken: string[];
}

/**
 * Walk all executions of these workflows and of their children again, each from its history, as a worker does that has lost it: what came
 * in one workflow task comes at once.
 */
export async function replay(client: Client, stateDir: string, workflowIds: string[]): Promise<Replays> {
  const replays: Replays = { count: 0, broken: [] };
  const code = await readFile(await workflowBundle(stateDir), "utf8");
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle: { code } }, historiesOf(client, workflowIds))) {
    replays.count += 1;
    if (error) replays.broken.push(`${workflowId}: ${error.message}`);
  }
  return replays;
}

async function* historiesOf({ workflow }: Client, workflowIds: string[]): ReplayHistoriesIterable {
  for (const id of workflowIds) {
    await untilListed(workflow, id);
    for await (const { workflowId, runId } of workflow.list({ query: `WorkflowId STARTS_WITH "${id}"` }))
      yield { workflowId, history: await workflow.getHandle(workflowId, runId).fetchHistory() };
  }
}

/** Lists learn of a workflow and of its end a while after them. */
async function untilListed(workflow: Client["workflow"], workflowId: string): Promise<void> {
  const query = `WorkflowId = "${workflowId}" AND ExecutionStatus != "Running"`;
  while ((await workflow.count(query)).count === 0) await new Promise((later) => setTimeout(later, 20));
}
