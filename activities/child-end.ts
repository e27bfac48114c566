import { ApplicationFailure } from "@temporalio/activity";
import { WorkflowFailedError, WorkflowNotFoundError, type Client } from "@temporalio/client";
import { workflowIdOf } from "../contracts/ids.ts";
import type { Activities } from "../contracts/activities.ts";
import { isUnderWay, type RunResult } from "../contracts/run-end.ts";

/**
 * How a child ended, for a parent whose execution did not start it. A child that has not ended fails the attempt:
 * between two attempts nothing of ours is held. A bad end is the cause of a failure that is not tried again.
 */
export function createChildEnd(client: Client): Activities["childEnd"] {
  return async ({ tenant, run }) => {
    const handle = client.workflow.getHandle(workflowIdOf(tenant, run));
    try {
      const { status } = await handle.describe();
      if (isUnderWay(status)) throw notYet(run);
      return (await handle.result()) as RunResult;
    } catch (error) {
      if (error instanceof WorkflowFailedError) throw badEnd(run, error.cause);
      if (error instanceof WorkflowNotFoundError) throw badEnd(run, error);
      throw error;
    }
  };
}

const notYet = (run: string): ApplicationFailure =>
  ApplicationFailure.create({ type: "child_open", message: `Child run ${run} has not ended.`, category: "BENIGN" });

const badEnd = (run: string, cause: Error | undefined): ApplicationFailure =>
  ApplicationFailure.create({ type: "child", message: `Child run ${run} ended badly.`, nonRetryable: true, cause });
