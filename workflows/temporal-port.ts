import {
  ActivityCancellationType,
  allHandlersFinished,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  sleep,
  upsertSearchAttributes,
  uuid4,
  workflowInfo,
} from "@temporalio/workflow";
import { Fault } from "../contracts/faults.ts";
import { activityId, runIdOf, workflowIdOf } from "../contracts/ids.ts";
import { signals, type RunArguments } from "../contracts/messages.ts";
import { defaults, limits } from "../contracts/limits.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import type { Activities } from "../contracts/activities.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { faultOfActivity, faultOfCall } from "./failures.ts";
import { createLockPort } from "./lock-port.ts";
import { cancellable, timeouts, uncancelled } from "./operation.ts";
import { quick, slow } from "./quick.ts";
import { until } from "./quiet.ts";
import type { BroadcastRequest, ForeignRequest, Port } from "./port.ts";
import { Scope } from "./scope.ts";
import { Slots } from "./slots.ts";
import { logSummary, summaryText } from "./summary.ts";
import { Calls } from "./temporal-calls.ts";
import { cancelChild, makeChild } from "./temporal-child.ts";

/** The port on Temporal. Every activity, timer and child carries the path of its step. */
export function createTemporalPort(run: RunArguments): Port {
  const { tenant } = run;
  const slots = new Slots();
  const calls = new Calls();
  return {
    now: () => Date.now(),
    uuid: () => uuid4(),
    made: (call) => calls.made(call),
    call: (request, scope) => slots.hold(jsonBytes(request.call as unknown as Json), scope, () => calls.make(request, scope)),
    foreign: (request, scope) => slots.hold(jsonBytes(request.arguments), scope, () => foreign(request, scope)),
    child: (request, scope, told) => slots.hold(jsonBytes(request.input), scope, () => makeChild(run, request, { scope, told })),
    // Not by signals of ours: the server sends those of one workflow one after the other.
    hold: async (id, holds) => void (await quick("hold", [{ tenant, run: id, holds }], `tell ${id} what holds it`)),
    peopleAsked: (task, scope) => cancellable(scope, () => peopleAsked(run, task)),
    toParent: (says) => word({ tenant, to: run.parentId!, slots }, signals.fromWindow, says as unknown as Json),
    toWindow: async (id, hears) => void (await word({ tenant, to: id, slots }, signals.toWindow, hears as unknown as Json)),
    cancelChild: (id) => slots.hold(0, new Scope(), () => cancelChild(tenant, id)),
    sleep: (ms, summary, scope) => cancellable(scope, () => sleep(ms, { summary: summaryText(summary) })),
    nextTask: () => uncancelled(() => sleep(1, { summary: "go on in another task" })),
    until,
    send: (to, event, scope) => slots.hold(jsonBytes(event.data), scope, () => cancellable(scope, () => send(tenant, to, event))),
    ...createLockPort(run),
    broadcast: (request, scope) => slots.hold(jsonBytes(request.event.data), scope, () => broadcast(tenant, request, scope)),
    message: (outgoing, path) => quick("sendMessage", [{ tenant, run: run.id, ...outgoing }], `${path}: send the message`),
    record: (ref, events) => quick("record", [{ run: ref, events }], logSummary(events)),
    store: (value, path) => quick("store", [{ tenant, value }], `${path}: store a large value`),
    evaluate: (template, { roots, steps }, path) =>
      quick("evaluate", [{ tenant, template: template as Json, roots, steps }], `${path}: expression over a stored value`),
    list: (request, path) => quick("list", [{ tenant, ...request }], `${path}: items of a list`),
    // Not local: of two that are under way the one that ends first starts other work, and a replay would take them in another order.
    left: ({ id, path, undone }) => slow("leftByWindow", [{ tenant, run: id, undone }], `${path}: what the window leaves`),
    page: (page, path) => slow("loadPage", [{ tenant, page }], `${path}: a stored page`),
    concat: (pages, path) => quick("concat", [{ tenant, pages }], `${path}: one value of all windows`),
    // Not local: it asks other runs, which may have no worker at the moment.
    raise: ({ path, ...request }) =>
      slow("raiseBudgets", [{ run: { tenant, id: run.id }, path, ...request }], `${path}: raise what it may spend`),
    brief: (order, { path, budgets }) =>
      quick(
        "brief",
        [{ tenant, run: run.effectRoot ?? run.id, step: { runId: run.id, path, budgets }, order }],
        `${path}: what the agent may use`,
      ),
    admit: (agent, path) => quick("admit", [{ tenant, agent }], `${path}: whether the agent may begin it`),
    validate: (schema, value, path) => quick("validate", [{ tenant, schema, value }], `${path}: check against the schema`),
    exchange: (approved, path) =>
      quick("addExchange", [{ run: { tenant, id: run.id }, ...approved }], `${path}: add the answer to its thread`),
    show: (markdown) => setCurrentDetails(markdown),
    pageOf: (id) => workflowPage(workflowIdOf(tenant, id)),
    pageOfNow,
    mark: ({ status, approvals }) =>
      upsertSearchAttributes([
        { key: searchAttributes.status, value: status },
        { key: searchAttributes.approvals, value: approvals },
      ]),
    history: () => {
      const { historyLength: events, historySize: bytes, continueAsNewSuggested } = workflowInfo();
      return { events, bytes, isLong: continueAsNewSuggested || events > (run.continueAfterEvents ?? Number.POSITIVE_INFINITY) };
    },
    isUnattended: allHandlersFinished,
  };
}

function pageOfNow(): string {
  const { workflowId, runId, historyLength } = workflowInfo();
  // After what this task began with comes its completion, then what it asks for.
  return `${workflowPage(workflowId)}/${runId}/history/events/${historyLength + 2}`;
}

/** Waits as long as somebody is asked: a later execution of the run asks anew. */
function peopleAsked({ tenant, id }: RunArguments, task: { path: string; since: number }): Promise<number> {
  const activities = proxyActivities<Activities>({
    startToCloseTimeout: 30_000,
    retry: { initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: limits.peopleAskedEveryMs },
    summary: summaryText(`${task.path}: whether people were asked below`),
  });
  return activities.peopleAsked({ tenant, run: id, ...task });
}

async function foreign(request: ForeignRequest, scope: Scope): Promise<Json> {
  const { activity, taskQueue, path, attempt, options, fairnessKey } = request;
  const activities = proxyActivities<Record<string, (...args: Json[]) => Promise<Json>>>({
    ...timeouts(options, fairnessKey),
    ...(taskQueue === undefined ? {} : { taskQueue }),
    ...(options.heartbeatMs === undefined ? {} : { heartbeatTimeout: options.heartbeatMs }),
    activityId: activityId(path, attempt),
    summary: summaryText(request.summary),
  });
  return cancellable(
    scope,
    () => activities[activity]!(...request.arguments),
    (error) => {
      throw faultOfActivity(error, path);
    },
  );
}

async function send(tenant: string, to: string, event: unknown): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowIdOf(tenant, runIdOf(tenant, to))).signal(signals.deliver, event);
  } catch (error) {
    if (isCancellation(error)) throw error;
    throw new Fault("not_found", `Run ${to} does not exist or has ended; the event was not sent.`, { cause: error });
  }
}

/** Whether there is still somebody to hear it. */
async function word({ tenant, to, slots }: { tenant: string; to: string; slots: Slots }, signal: string, said: Json): Promise<boolean> {
  const send = (): Promise<void> => uncancelled(() => getExternalWorkflowHandle(workflowIdOf(tenant, to)).signal(signal, said));
  try {
    await slots.hold(jsonBytes(said), new Scope(), send);
    return true;
  } catch {
    return false;
  }
}

async function broadcast(tenant: string, { event, path, attempt, summary }: BroadcastRequest, scope: Scope): Promise<number> {
  const activities = proxyActivities<Activities>({
    startToCloseTimeout: "5 minutes",
    heartbeatTimeout: defaults.heartbeatTimeoutMs,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    activityId: activityId(path, attempt),
    summary: summaryText(summary),
  });
  return cancellable(
    scope,
    () => activities.broadcast({ tenant, event }),
    (error) => {
      throw faultOfCall(error, path);
    },
  );
}

// Relative to where the Temporal Web UI shows Markdown, so that nobody must know its address.
const workflowPage = (workflowId: string): string =>
  `namespaces/${encodeURIComponent(workflowInfo().namespace)}/workflows/${encodeURIComponent(workflowId)}`;
