import { Context } from "@temporalio/activity";
import { WorkflowNotFoundError, type Client } from "@temporalio/client";
import { workflowIdOf } from "../contracts/ids.ts";
import { signals, type ExternalEvent } from "../contracts/messages.ts";
import type { Activities } from "../contracts/activities.ts";
import type { Database } from "../prisma/client.ts";
import { deliverTo, type Progress } from "../prisma/listens.ts";

export function createBroadcast({ database, client }: { database: Database; client: Client }): Activities["broadcast"] {
  return ({ tenant, event }) => {
    const context = Context.current();
    const from = context.info.heartbeatDetails as Progress | undefined;
    const send = async (run: string): Promise<boolean> => {
      context.cancellationSignal.throwIfAborted();
      try {
        await client.workflow
          .getHandle(workflowIdOf(tenant, run))
          .signal(signals.deliver, { ...event, toAll: true } satisfies ExternalEvent);
        return true;
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    };
    const onProgress = (progress: Progress): void => {
      context.heartbeat(progress);
      context.cancellationSignal.throwIfAborted();
    };
    return deliverTo(database, { tenant, event: event.event }, { send, onProgress, ...(from ? { from } : {}) });
  };
}
