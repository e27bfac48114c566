import type { Client } from "@temporalio/client";
import { stepsOfPastDays } from "../prisma/budgets.ts";
import type { Database } from "../prisma/client.ts";
import { retrySteps } from "./retry-steps.ts";

interface Row {
  id: string;
  tenant: string;
  status: string;
}

/** Steps that waited for budgets of a day that is over try again. One that does not hear it is told in the next round. */
export async function beginNewDay({ database, client }: { database: Database; client: Client }, rows: readonly Row[]): Promise<void> {
  const waiting = new Map(rows.filter(({ status }) => status === "needs_attention").map((row) => [row.id, row]));
  if (waiting.size === 0) return;
  const steps = await stepsOfPastDays(database, [...waiting.keys()]);
  await retrySteps(
    client,
    steps.map((step) => ({ ...step, tenant: waiting.get(step.runId)!.tenant })),
    "tenuto",
  );
}
