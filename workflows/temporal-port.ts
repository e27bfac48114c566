import {
  ActivityCancellationType,
  allHandlersFinished,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  setCurrentDetails,
  sleep,
  startChild,
  upsertSearchAttributes,
  uuid4,
  workflowInfo,
  type ActivityOptions,
} from "@temporalio/workflow";
import { defaults, limits } from "../contracts/limits.ts";
import { Fault } from "../contracts/faults.ts";
import type { Holds } from "../contracts/holds.ts";
import { queues, workflowIdOf } from "../contracts/ids.ts";
import { signals, workflowTypes, type RunArguments, type RunResult } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import type { Activities, StepDone } from "../contracts/activities.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import type { CallOptions } from "../language/plan.ts";
import { faultOfActivity, faultOfCall, faultOfChild, isTimeout } from "./failures.ts";
import { createLockPort } from "./lock-port.ts";
import { quick } from "./quick.ts";
import type { BroadcastRequest, CallRequest, ChildRequest, ForeignRequest, Port } from "./port.ts";
import { Canceled, Scope } from "./scope.ts";
import { Slots } from "./slots.ts";

/** The port on Temporal. Every activity, timer and child carries the path of its step. */
export function createTemporalPort(run: RunArguments): Port {
  const { tenant } = run;
  const slots = new Slots();
  return {
    now: () => Date.now(),
    uuid: () => uuid4(),
    call: (request, scope) => slots.hold(jsonBytes(request.call as unknown as Json), scope, () => call(request, scope)),
    foreign: (request, scope) => slots.hold(jsonBytes(request.arguments), scope, () => foreign(request, scope)),
    child: (request, scope, started) => slots.hold(jsonBytes(request.input), scope, () => child(run, request, { scope, started })),
    hold: (id, holds) => hold(tenant, id, holds),
    cancelChild: (id) => slots.hold(0, new Scope(), () => cancelChild(tenant, id)),
    sleep: (ms, summary, scope) => cancellable(scope, () => sleep(ms, { summary: summaryText(summary) })),
    until,
    send: (to, event, scope) => slots.hold(jsonBytes(event.data), scope, () => cancellable(scope, () => send(tenant, to, event))),
    ...createLockPort(run),
    broadcast: (request, scope) => slots.hold(jsonBytes(request.event.data), scope, () => broadcast(tenant, request, scope)),
    record: (ref, events) => quick("record", [{ run: ref, events }], "run log"),
    store: (value) => quick("store", [{ tenant, value }], "store a large value"),
    evaluate: (template, roots, steps) =>
      quick("evaluate", [{ tenant, template: template as Json, roots, steps }], "expression over a stored value"),
    list: (request) => quick("list", [{ tenant, ...request }], "items of a list"),
    concat: (pages) => quick("concat", [{ tenant, pages }], "one list of all windows"),
    validate: (schema, value) => quick("validate", [{ tenant, schema, value }], "check against the schema"),
    show: (markdown) => setCurrentDetails(markdown),
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

async function call({ kind, call: args, options, fairnessKey, summary }: CallRequest, scope: Scope): Promise<StepDone> {
  const activities = proxyActivities<Activities>({
    ...timeouts(options, fairnessKey),
    heartbeatTimeout: options.heartbeatMs ?? defaults.heartbeatTimeoutMs,
    activityId: activityId(args.path, args.attempt),
    summary: summaryText(summary),
  });
  // The three take their own fields; which they are was fixed when the request was made.
  const activity = activities[kind] as (args: unknown) => Promise<StepDone>;
  return cancellable(
    scope,
    () => activity(args),
    async (error) => {
      // The worker may have died, or Temporal given up, between the work's record and its answer.
      const done = isTimeout(error)
        ? await quick("finished", [{ run: args.run, path: args.path, attempt: args.attempt }], `result of ${args.path}`)
        : null;
      if (done) return done;
      throw faultOfCall(error, args.path);
    },
  );
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

/** Started with ABANDON, since the walk itself decides what becomes of a child when its parent ends. */
async function child(run: RunArguments, request: ChildRequest, { scope, started }: { scope: Scope; started: () => void }): Promise<Json> {
  try {
    if (!request.isStarted) scope.throwIfCanceled();
    const end = request.isStarted ? laterEnd(run.tenant, request) : await startedEnd(run, request);
    started();
    if (!request.await) return null;
    // Asked to stop, it is awaited all the same.
    const release = scope.onCancel(() => void cancelChild(run.tenant, request.id));
    try {
      return (await end()).output;
    } finally {
      release();
    }
  } catch (error) {
    if (scope.isCanceled) throw new Canceled("the step was cancelled");
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
      { key: searchAttributes.status, value: "running" },
      { key: searchAttributes.parent, value: run.id },
    ],
  });
  return () => handle.result() as Promise<RunResult>;
}

/** Temporal tells a child's end only to the execution that started it: a later one asks, by an activity that is tried until there is an end. */
const laterEnd =
  (tenant: string, request: ChildRequest): ChildEnd =>
  () =>
    proxyActivities<Activities>({
      startToCloseTimeout: 30_000,
      retry: { initialInterval: 1_000, backoffCoefficient: 1.5, maximumInterval: 10_000 },
      summary: summaryText(`${request.path}: the end of the child`),
    }).childEnd({ tenant, run: request.id });

function childArguments(run: RunArguments, request: ChildRequest): RunArguments {
  return {
    tenant: run.tenant,
    id: request.id,
    workflow: request.workflow,
    ...(request.version === undefined ? {} : { version: request.version }),
    input: request.input,
    env: run.env,
    startedBy: run.startedBy,
    parentId: run.id,
    depth: run.depth + (request.part ? 0 : 1),
    ...(request.part ? { part: request.part, effectRoot: run.effectRoot ?? run.id } : {}),
    ...(request.origin === undefined ? {} : { origin: request.origin }),
    ...(request.planHash === undefined ? {} : { planHash: request.planHash }),
    ...(request.effectRoot === undefined ? {} : { effectRoot: request.effectRoot }),
    ...(request.word && request.word.holds.length > 0 ? { holds: [request.word] } : {}),
    ...(run.continueAfterEvents === undefined ? {} : { continueAfterEvents: run.continueAfterEvents }),
  };
}

async function hold(tenant: string, id: string, holds: Holds): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowIdOf(tenant, id)).signal(signals.hold, holds);
  } catch {
    // It has ended already.
  }
}

async function cancelChild(tenant: string, id: string): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowIdOf(tenant, id)).cancel();
  } catch {
    // It has ended already.
  }
}

async function send(tenant: string, to: string, event: unknown): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowIdOf(tenant, to)).signal(signals.deliver, event);
  } catch (error) {
    if (isCancellation(error)) throw error;
    throw new Fault("not_found", `Run ${to} does not exist or has ended; the event was not sent.`, { cause: error });
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

/** One of Temporal's operations below our scope. `failed` gives its failures as faults, or what stands in for the result. */
async function cancellable<T>(scope: Scope, operation: () => Promise<T>, failed: (error: unknown) => T | Promise<T> = rethrow): Promise<T> {
  scope.throwIfCanceled();
  const inner = new CancellationScope();
  const release = scope.onCancel(() => inner.cancel());
  try {
    return await inner.run(operation);
  } catch (error) {
    if (scope.isCanceled && isCancellation(error)) throw new Canceled("the step was cancelled");
    return await failed(error);
  } finally {
    release();
  }
}

function rethrow(error: unknown): never {
  throw error;
}

const timeouts = ({ retry, timeoutMs, totalTimeoutMs, priority }: CallOptions, fairnessKey: string | undefined): ActivityOptions => ({
  startToCloseTimeout: timeoutMs,
  scheduleToCloseTimeout: totalTimeoutMs,
  // What runs is asked to stop and awaited, so that nothing goes on behind a scope that was left.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: {
    maximumAttempts: retry.maxAttempts,
    initialInterval: retry.initialIntervalMs,
    backoffCoefficient: retry.backoff,
    maximumInterval: Math.max(retry.maxIntervalMs, retry.initialIntervalMs),
    nonRetryableErrorTypes: retry.nonRetryable,
  },
  // What is not said here the activity has from its run.
  ...(priority === undefined && fairnessKey === undefined
    ? {}
    : {
        priority: { ...(priority === undefined ? {} : { priorityKey: priority }), ...(fairnessKey === undefined ? {} : { fairnessKey }) },
      }),
});

/**
 * `condition` asks at any time: when it is called, after each job of an activation. What it finds then may be half done,
 * so we wait until all that can go on has gone on, and look again.
 */
async function until(predicate: () => boolean): Promise<void> {
  do {
    await condition(notAtOnce(predicate));
    // Registered while the promises of this moment run; asked when none is left.
    await condition(notAtOnce(() => true));
  } while (!predicate());
}

function notAtOnce(predicate: () => boolean): () => boolean {
  let isFirst = true;
  return () => {
    if (!isFirst) return predicate();
    isFirst = false;
    return false;
  };
}

const activityId = (path: string, attempt: number): string => (attempt === 1 ? path : `${path}#${attempt}`);

// Counted in bytes by the server; four per character is the most UTF-8 needs.
const summaryText = (text: string): string => (text.length <= limits.summaryBytesMax / 4 ? text : clipped(text));

function clipped(text: string): string {
  let bytes = 0;
  for (const [index, character] of [...text].entries()) {
    bytes += utf8Length(character.codePointAt(0)!);
    if (bytes > limits.summaryBytesMax - 3) return `${[...text].slice(0, index).join("")}…`;
  }
  return text;
}

const utf8Length = (code: number): number => (code < 0x80 ? 1 : code < 0x8_00 ? 2 : code < 0x1_00_00 ? 3 : 4);
