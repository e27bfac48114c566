import type { Client } from "@temporalio/client";
import { stepsToTryAgain } from "../prisma/budgets.ts";
import type { Database } from "../prisma/client.ts";
import { retrySteps } from "./retry-steps.ts";
import type { Beat } from "./sweep.ts";

interface Row {
  id: string;
  tenant: string;
  status: string;
}

/** Steps that waited for budgets which are others now try again. One that does not hear it is told in the next round. */
export async function endBudgetWaits(
  { database, client }: { database: Database; client: Client },
  rows: readonly Row[],
  beat: Beat,
): Promise<void> {
  const waiting = new Map(rows.filter(({ status }) => status === "needs_attention" || status === "paused").map((row) => [row.id, row]));
  if (waiting.size === 0) return;
  const steps = await stepsToTryAgain(database, [...waiting.keys()]);
  await retrySteps(
    client,
    steps.map((step) => ({ ...step, tenant: waiting.get(step.runId)!.tenant })),
    { by: "tenuto", beat },
  );
}
