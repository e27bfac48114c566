import { createHash } from "node:crypto";
import type { Client } from "@temporalio/client";
import { workflowIdOf } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { workflowTypes } from "../contracts/messages.ts";
import type { Beat } from "./sweep.ts";

/** Whether a run need not be asked about in this round. */
export type IsKnownToRun = (run: { tenant: string; id: string }) => boolean;

/**
 * Reads the list of what Temporal runs. Asking about one run costs several times what its line in the list does, and thousands may
 * wait for people for days: those in the list are asked about in turn only, since a workflow task that fails shows nowhere else.
 * The list may be a moment old: a run that has just ended is found by the next round.
 */
export async function readRunning(client: Client, beat: Beat): Promise<IsKnownToRun> {
  const running = new Set<string>();
  for await (const workflowId of listRunning(client, beat)) running.add(workflowId);
  const round = Math.floor(Date.now() / limits.reconcileEveryMs);
  return ({ tenant, id }) => running.has(workflowIdOf(tenant, id)) && !isInTurn(id, running.size, round);
}

/** Whether it is the run's turn to be asked about, of so many that run. */
export function isInTurn(id: string, running: number, round: number): boolean {
  const turns = Math.max(1, Math.ceil(running / limits.reconcileAsksMax));
  return createHash("sha256").update(id).digest().readUInt32BE() % turns === round % turns;
}

// Not by the client's own list, which unpacks memo and search attributes of each.
async function* listRunning({ workflowService, options: { namespace } }: Client, beat: Beat): AsyncGenerator<string> {
  const query = `WorkflowType = "${workflowTypes.run}" AND ExecutionStatus = "Running"`;
  let nextPageToken: Uint8Array | undefined;
  do {
    const answer = await workflowService.listWorkflowExecutions({
      namespace,
      query,
      pageSize: 1_000,
      ...(nextPageToken === undefined ? {} : { nextPageToken }),
    });
    for (const { execution } of answer.executions) if (execution?.workflowId) yield execution.workflowId;
    nextPageToken = answer.nextPageToken;
    beat();
  } while (nextPageToken.length > 0);
}
