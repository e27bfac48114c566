import { WorkflowNotFoundError, type Client } from "@temporalio/client";
import { mailboxWorkflowId } from "../contracts/ids.ts";
import { isUnderWay } from "../contracts/run-end.ts";
import type { Database } from "../prisma/client.ts";
import { busyMailboxes, deliverAgain, forgottenLanes } from "../prisma/deliveries.ts";
import { wake } from "./deliver.ts";

/** Messages that nobody delivers: Temporal was away when they were accepted, or somebody has terminated what had them in hand. */
export async function deliverForgotten({ database, client }: { database: Database; client: Client }): Promise<void> {
  for await (const mailbox of busyMailboxes(database)) {
    const isThere = await isOpen(client, mailboxWorkflowId(mailbox.tenant, mailbox.agent));
    if (!isThere) await deliverAgain(database, mailbox);
  }
  for await (const lane of forgottenLanes(database)) await wake(client, lane);
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
