import { Context } from "@temporalio/activity";
import { WorkflowNotFoundError, type Client } from "@temporalio/client";
import { mailboxWorkflowId } from "../contracts/ids.ts";
import { isUnderWay } from "../contracts/run-end.ts";
import type { Database } from "../prisma/client.ts";
import { busyMailboxes, deliverAgain, forgottenLanes } from "../prisma/deliveries.ts";
import { wake } from "./deliver.ts";
import { lotsOf, sweep, type Beat } from "./sweep.ts";

/** Messages that nobody delivers: Temporal was away when they were accepted, or somebody has terminated what had them in hand. */
export async function deliverForgotten({ database, client }: { database: Database; client: Client }, beat: Beat): Promise<void> {
  const look = async (mailbox: { tenant: string; agent: string }): Promise<void> => {
    const isThere = await isOpen(client, mailboxWorkflowId(mailbox.tenant, mailbox.agent));
    if (!isThere) await deliverAgain(database, mailbox);
  };
  const skip = (mailbox: object): void => Context.current().log.warn("a mailbox could not be asked about", { ...mailbox });
  await sweep(busyMailboxes(database), { beat, work: look, skip });
  for await (const lot of lotsOf(forgottenLanes(database), beat)) await Promise.all(lot.map((lane) => wake(client, lane)));
}

async function isOpen(client: Client, workflowId: string): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(workflowId).describe();
    return isUnderWay(status);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
