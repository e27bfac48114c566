import { Context } from "@temporalio/activity";
import type { Client } from "@temporalio/client";
import { workflowIdOf } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { updates, type UpdateArguments } from "../contracts/messages.ts";
import { lotsOf, type Beat } from "./sweep.ts";

interface Waiting {
  tenant: string;
  runId: string;
  path: string;
}

/** Steps that wait for a person try again. One whose run does not hear it goes on waiting. */
export async function retrySteps(client: Client, steps: readonly Waiting[], { by, beat }: { by: string; beat: Beat }): Promise<void> {
  for await (const lot of lotsOf(steps, beat)) await Promise.all(lot.map((step) => retryStep(client, step, by)));
}

async function retryStep(client: Client, { tenant, runId, path }: Waiting, by: string): Promise<void> {
  const argument: UpdateArguments["attend"] = { path, action: "retry", by };
  const handle = client.workflow.getHandle(workflowIdOf(tenant, runId));
  await client
    .withDeadline(Date.now() + limits.updateDeadlineMs, () => handle.executeUpdate(updates.attend, { args: [argument] }))
    .catch(() => Context.current().log.warn("a step that waits for a budget was not told", { run: runId, path }));
}
