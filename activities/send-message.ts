import type { Client } from "@temporalio/client";
import type { Activities } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import { resolve } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { acceptOfRun } from "../prisma/run-messages.ts";
import { wake } from "./deliver.ts";

/** A message that a run sends. A refusal is its answer: the step fails with it, and is not tried again behind its back. */
export const createSendMessage =
  ({ database, client }: { database: Database; client: Client }): Activities["sendMessage"] =>
  async (outgoing) => {
    const { tenant, to } = outgoing;
    try {
      const payload = await resolve(database, tenant, outgoing.payload);
      const { id, correlationId, sender } = await acceptOfRun(database, { ...outgoing, payload });
      for (const each of to) await wake(client, { tenant, sender, to: each });
      return { id, correlationId };
    } catch (error) {
      if (error instanceof Fault) return { problem: error.problem };
      throw error;
    }
  };
