import { isLasting, type AvailableStep, type Definition, type LastingStep, type StepOf } from "../contracts/definition.schema.ts";
import { callDefaults, type Retry } from "../contracts/limits.ts";
import { isReadMethod } from "../contracts/http-methods.ts";
import type { Compiling } from "./compile-scopes.ts";
import { conditionOf, optional, templateOf } from "./compile-values.ts";
import { parseDuration } from "./duration.ts";
import type { CallOptions, Effect, RetryWhile, StepCommon } from "./plan.ts";

/** What a step has because it takes time; of calls, what the walk itself does about them. */
export function lastingOf(step: AvailableStep, compiling: Compiling): Partial<StepCommon> {
  if (!isLasting(step)) return {};
  return {
    ...(isCall(step) ? {} : timesOf(step)),
    ...(step.background ? { background: true as const } : {}),
    ...(step.type === "agent" ? threadLock(step) : {}),
    ...(step.lock ? { lock: { key: templateOf(step.lock.key), limit: step.lock.limit ?? 1 } } : {}),
    ...(step.compensate ? { compensate: compiling.undoing(step.compensate) } : {}),
  };
}

/** Tasks of one thread come after each other: each goes on with what the one before has said. */
const threadLock = ({ agent, thread }: StepOf<"agent">): Pick<StepCommon, "lock"> =>
  thread === undefined ? {} : { lock: { key: templateOf(thread), limit: 1, thread: agent === undefined ? {} : { agent } } };

type CallStep = StepOf<"llm" | "tool" | "http" | "activity">;

const isCall = (step: AvailableStep): step is CallStep => step.type in callDefaults;

/** How a step that is no call is tried: once, unless it says otherwise. */
function timesOf(step: LastingStep): Pick<StepCommon, "timeLimitMs" | "totalTimeLimitMs" | "retry"> {
  // The `timeout` of `listen` and `agent` is among their own fields: it leads to `onTimeout`, and stands still while people are asked.
  const timeLimitMs = step.type === "listen" || step.type === "agent" ? undefined : ms(step.timeout);
  const totalTimeLimitMs = ms(step.totalTimeout);
  return {
    ...(timeLimitMs === undefined ? {} : { timeLimitMs }),
    ...(totalTimeLimitMs === undefined ? {} : { totalTimeLimitMs }),
    ...(step.retry ? { retry: retryOf(step.retry, callDefaults.tool.retry) } : {}),
  };
}

/** How a call is tried: by Temporal, or by the worker that makes it. */
export function callOptions(step: CallStep, { defaults }: Compiling): CallOptions {
  const platform = callDefaults[step.type];
  const timeoutMs = ms(step.timeout ?? defaults.timeout) ?? platform.timeoutMs;
  const heartbeatMs = ms(step.heartbeat);
  const priority = step.priority ?? defaults.priority;
  const effect = effectOf(step);
  return {
    retry: retryOf({ ...defaults.retry, ...step.retry }, platform.retry),
    timeoutMs,
    // One attempt may take its whole time: an unsaid total never cuts it short.
    totalTimeoutMs: ms(step.totalTimeout) ?? Math.max(platform.totalTimeoutMs, timeoutMs),
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    ...(priority === undefined ? {} : { priority }),
    ...optional("fairnessKey", step.fairnessKey),
    ...(effect ? { effect } : {}),
  };
}

type GivenRetry = NonNullable<Definition["defaults"]>["retry"] & CallStep["retry"];

const retryOf = (given: NonNullable<GivenRetry>, platform: Retry): RetryWhile => ({
  maxAttempts: given.maxAttempts ?? platform.maxAttempts,
  initialIntervalMs: ms(given.initialInterval) ?? platform.initialIntervalMs,
  backoff: given.backoff ?? platform.backoff,
  maxIntervalMs: Math.max(ms(given.maxInterval) ?? platform.maxIntervalMs, ms(given.initialInterval) ?? 0),
  jitter: given.jitter ?? platform.jitter,
  nonRetryable: given.nonRetryable ?? [...platform.nonRetryable],
  ...(given.while === undefined ? {} : { while: conditionOf(given.while) }),
});

const effectOf = (step: CallStep): Effect | undefined =>
  step.effect ?? (step.type === "http" && isReadMethod(step.method) ? "read" : undefined);

const ms = (duration: string | number | undefined): number | undefined => (duration === undefined ? undefined : parseDuration(duration));
