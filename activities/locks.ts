import { WorkflowNotFoundError, type Client } from "@temporalio/client";
import type { Activities } from "../contracts/activities.ts";
import { lockWorkflowId, queues, workflowIdOf } from "../contracts/ids.ts";
import { lockSignals, type LockArguments } from "../contracts/locks.ts";
import { workflowTypes } from "../contracts/messages.ts";
import { isUnderWay } from "../contracts/run-end.ts";
import { lotsOf, type Beat } from "./sweep.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";

/** What runs and locks need of Temporal's client: a workflow cannot start another unless it exists, nor look at one. */
export function createLocks(client: Client): Pick<Activities, "askLock" | "endedRuns"> {
  return {
    async askLock({ tenant, kind, key, ask }) {
      const args: LockArguments = { tenant, kind, key };
      await client.workflow.signalWithStart(workflowTypes.lock, {
        workflowId: lockWorkflowId(tenant, kind, key)!,
        taskQueue: queues.runs,
        args: [args],
        signal: lockSignals.ask,
        signalArgs: [ask],
        staticSummary: `${kind === "step" ? "lock" : "concurrency key"} ${key}`.slice(0, 100),
        typedSearchAttributes: [{ key: searchAttributes.tenant, value: tenant }],
      });
    },

    async endedRuns({ tenant, runs }) {
      const ended: string[] = [];
      for (let at = 0; at < runs.length; at += abreast) {
        const some = runs.slice(at, at + abreast);
        const areOver = await Promise.all(some.map((run) => hasEnded(client, workflowIdOf(tenant, run))));
        ended.push(...some.filter((_, index) => areOver[index]));
      }
      return ended;
    },
  };
}

const abreast = 20;
const locksToldMax = 100;

/**
 * Tell a tenant's locks that runs are over, so that those who wait need not wait until the holders are looked at. Only the
 * newest locks, where there are many: the others look for themselves.
 */
export async function tellLocks(client: Client, { tenant, runs }: { tenant: string; runs: string[] }, beat: Beat): Promise<void> {
  const query = `WorkflowType = "${workflowTypes.lock}" AND ExecutionStatus = "Running" AND ${searchAttributes.tenant.name} = "${tenant}"`;
  let told = 0;
  for await (const lot of lotsOf(client.workflow.list({ query, pageSize: locksToldMax }), beat)) {
    const tell = (lock: string): Promise<void> => client.workflow.getHandle(lock).signal(lockSignals.ended, { runs }).catch(ignoreEnded);
    await Promise.all(lot.map(({ workflowId }) => tell(workflowId)));
    told += lot.length;
    if (told >= locksToldMax) return;
  }
}

async function hasEnded(client: Client, workflowId: string): Promise<boolean> {
  try {
    return !isUnderWay((await client.workflow.getHandle(workflowId).describe()).status);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return true;
    throw error;
  }
}

function ignoreEnded(error: unknown): void {
  if (!(error instanceof WorkflowNotFoundError)) throw error;
}
