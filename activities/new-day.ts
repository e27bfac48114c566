import type { Client } from "@temporalio/client";
import { Context } from "@temporalio/activity";
import { workflowIdOf } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { updates, type UpdateArguments } from "../contracts/messages.ts";
import { stepsOfPastDays } from "../prisma/budgets.ts";
import type { Database } from "../prisma/client.ts";

interface Row {
  id: string;
  tenant: string;
  status: string;
}

/** Steps that waited for budgets of a day that is over try again. One that does not hear it is told in the next round. */
export async function beginNewDay({ database, client }: { database: Database; client: Client }, rows: readonly Row[]): Promise<void> {
  const waiting = new Map(rows.filter(({ status }) => status === "needs_attention").map((row) => [row.id, row]));
  if (waiting.size === 0) return;
  for (const { runId, path } of await stepsOfPastDays(database, [...waiting.keys()])) {
    const argument: UpdateArguments["attend"] = { path, action: "retry", by: "tenuto" };
    const handle = client.workflow.getHandle(workflowIdOf(waiting.get(runId)!.tenant, runId));
    await client
      .withDeadline(Date.now() + limits.updateDeadlineMs, () => handle.executeUpdate(updates.attend, { args: [argument] }))
      .catch(() => Context.current().log.warn("a step that waits for a budget was not told", { run: runId, path }));
  }
}
