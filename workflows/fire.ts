import { ParentClosePolicy, startChild, workflowInfo } from "@temporalio/workflow";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import { Fault } from "../contracts/faults.ts";
import { firedRunId, queues, workflowIdOf } from "../contracts/ids.ts";
import { workflowTypes, type FireArguments, type RunArguments } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import { failureOf } from "./failures.ts";
import { quick } from "./quick.ts";

/**
 * One firing of a schedule: starts a run of what is published now, and lasts as long as the run, so that the schedule's
 * overlap rule knows whether it is under way. Cancelled, it cancels the run.
 */
export async function fire(args: FireArguments): Promise<void> {
  const { version, env } = await prepared(args);
  const { tenant, workflow, input, schedule, priority, fairnessKey } = args;
  const id = firedRunId(workflowInfo().firstExecutionRunId);
  const startedBy = `schedule:${schedule}`;
  const run: RunArguments = { tenant, id, engine: ENGINE_VERSION, workflow, version, input, env, startedBy, depth: 0 };
  const handle = await startChild(workflowTypes.run, {
    workflowId: workflowIdOf(tenant, id),
    taskQueue: queues.runs,
    args: [run],
    memo: { startedBy },
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    staticSummary: `${workflow} ${version}`,
    priority: {
      ...(priority === undefined ? {} : { priorityKey: priority }),
      ...(fairnessKey === undefined ? {} : { fairnessKey }),
    },
    typedSearchAttributes: [
      { key: searchAttributes.tenant, value: tenant },
      { key: searchAttributes.workflow, value: workflow },
      { key: searchAttributes.version, value: version },
      { key: searchAttributes.status, value: "running" },
    ],
  });
  await handle.result();
}

async function prepared({ tenant, workflow, version, input }: FireArguments): Promise<{ version: string; env: Record<string, string> }> {
  try {
    const request = { tenant, workflow, input, ...(version === undefined ? {} : { version }) };
    return await quick("prepareRun", [request], `the version of ${workflow} to start`);
  } catch (error) {
    throw error instanceof Fault ? failureOf(error.problem) : error;
  }
}
