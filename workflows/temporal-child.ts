import { getExternalWorkflowHandle, ParentClosePolicy, proxyActivities, startChild } from "@temporalio/workflow";
import type { Activities } from "../contracts/activities.ts";
import { budgetRootOfChild, queues, workflowIdOf } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { workflowTypes, type RunArguments } from "../contracts/messages.ts";
import type { RunResult } from "../contracts/run-end.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import { agentsAbove } from "./agents-above.ts";
import { faultOfChild, spentByChild } from "./failures.ts";
import type { ChildRequest, ChildWatch } from "./port.ts";
import { Canceled, type Scope } from "./scope.ts";
import { summaryText } from "./summary.ts";

/** Started with ABANDON, since the walk itself decides what becomes of a child when its parent ends. */
export async function makeChild(
  run: RunArguments,
  request: ChildRequest,
  { scope, told }: { scope: Scope; told: ChildWatch },
): Promise<Json> {
  try {
    if (!request.isStarted) scope.throwIfCanceled();
    const end = request.isStarted
      ? () => laterEnd(run.tenant, request.id, `${request.path}: the end of the child`)
      : await startedEnd(run, request);
    told.started();
    if (!request.await) return null;
    // Asked to stop, it is awaited all the same.
    const release = scope.onCancel(() => void cancelChild(run.tenant, request.id));
    try {
      const { output, spent, errors } = await end();
      told.ended({ spent: spent as unknown as Json, errors });
      return output;
    } finally {
      release();
    }
  } catch (error) {
    if (scope.isCanceled) throw new Canceled("the step was cancelled");
    told.ended({ spent: spentByChild(error) });
    throw faultOfChild(error, request);
  }
}

type ChildEnd = () => Promise<RunResult>;

async function startedEnd(run: RunArguments, request: ChildRequest): Promise<ChildEnd> {
  const handle = await startChild(workflowTypes.run, {
    workflowId: workflowIdOf(run.tenant, request.id),
    taskQueue: queues.runs,
    args: [childArguments(run, request)],
    parentClosePolicy: ParentClosePolicy.ABANDON,
    staticSummary: summaryText(request.summary),
    typedSearchAttributes: [
      { key: searchAttributes.tenant, value: run.tenant },
      { key: searchAttributes.workflow, value: request.workflow },
      ...(request.version === undefined ? [] : [{ key: searchAttributes.version, value: request.version }]),
      { key: searchAttributes.status, value: "running" },
      { key: searchAttributes.parent, value: run.id },
    ],
  });
  return () => handle.result() as Promise<RunResult>;
}

/** Temporal tells a child's end only to the execution that started it: a later one asks, by an activity that is tried until there is an end. */
export const laterEnd = (tenant: string, run: string, summary: string): Promise<RunResult> =>
  proxyActivities<Activities>({
    startToCloseTimeout: 30_000,
    retry: { initialInterval: 1_000, backoffCoefficient: 1.5, maximumInterval: 10_000 },
    summary: summaryText(summary),
  }).childEnd({ tenant, run });

function childArguments(run: RunArguments, request: ChildRequest): RunArguments {
  const agents = new Set([...agentsAbove(run.agents, request.path), ...(request.agent === undefined ? [] : [request.agent])]);
  return {
    tenant: run.tenant,
    id: request.id,
    engine: run.engine,
    workflow: request.workflow,
    ...(request.version === undefined ? {} : { version: request.version }),
    input: request.input,
    env: run.env,
    startedBy: run.startedBy,
    parentId: run.id,
    depth: run.depth + (request.part ? 0 : 1),
    ...(request.part ? { part: request.part, effectRoot: run.effectRoot ?? run.id } : {}),
    ...(request.origin === undefined ? {} : { origin: request.origin }),
    ...(request.undone === undefined ? {} : { undone: request.undone }),
    ...(request.budgets && request.budgets.length > 0 ? { budgets: request.budgets } : {}),
    ...(agents.size > 0 ? { agents: [...agents] } : {}),
    ...(request.planHash === undefined ? {} : { planHash: request.planHash }),
    ...(request.effectRoot === undefined ? {} : { effectRoot: request.effectRoot }),
    ...budgetRootOf(run, request),
    ...(request.word && request.word.holds.length > 0 ? { holds: [request.word] } : {}),
    ...(run.continueAfterEvents === undefined ? {} : { continueAfterEvents: run.continueAfterEvents }),
  };
}

/** Only where it is another than that of its keys, which most have: the same as the run's id. */
function budgetRootOf(run: RunArguments, { id, path, part, effectRoot = id }: ChildRequest): Pick<RunArguments, "budgetRoot"> {
  const above = run.budgetRoot ?? run.effectRoot ?? run.id;
  if (part) return run.budgetRoot === undefined ? {} : { budgetRoot: above };
  const budgetRoot = budgetRootOfChild(above, path);
  return budgetRoot === effectRoot ? {} : { budgetRoot };
}

export async function cancelChild(tenant: string, id: string): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowIdOf(tenant, id)).cancel();
  } catch {
    // It has ended already.
  }
}
