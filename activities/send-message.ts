import type { Client } from "@temporalio/client";
import type { Activities } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import { resolve } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { acceptMessage, messageOfRun } from "../prisma/messages.ts";
import { wake } from "./deliver.ts";

/** A message that a run sends. A refusal is its answer: the step fails with it, and is not tried again behind its back. */
export const createSendMessage =
  ({ database, client }: { database: Database; client: Client }): Activities["sendMessage"] =>
  async (outgoing) => {
    try {
      const payload = await resolve(database, outgoing.tenant, outgoing.payload);
      const message = messageOfRun({ ...outgoing, payload });
      const { id, correlationId } = await acceptMessage(database, message);
      for (const to of message.to) await wake(client, { tenant: message.tenant, sender: message.sender, to });
      return { id, correlationId };
    } catch (error) {
      if (error instanceof Fault) return { problem: error.problem };
      throw error;
    }
  };
