import { ApplicationFailure, Context } from "@temporalio/activity";
import { backOffMs } from "../contracts/back-off.ts";
import { faults, type Problem } from "../contracts/faults.ts";
import type { Retry } from "../contracts/limits.ts";

/**
 * A problem as Temporal carries it: `type` decides what catches it, the code whether it is tried again
 * (an extension `retryable` says otherwise), `retryAfterMs` or the step's own back-off with jitter when.
 */
export function failureOf(problem: Problem, retry: Retry): ApplicationFailure {
  const { retryable = faults[problem.code].retryable, retryAfterMs, ...kept } = problem;
  return ApplicationFailure.create({
    message: problem.detail,
    type: problem.type,
    nonRetryable: retryable !== true || retry.nonRetryable.includes(problem.type),
    // Temporal reads a delay of 0 as "none given".
    nextRetryDelay: typeof retryAfterMs === "number" ? Math.max(1, retryAfterMs) : retryDelayMs(retry, Context.current().info.attempt),
    details: [kept],
  });
}

/** Temporal's own back-off knows no jitter; without it, what failed together comes back together. */
export const retryDelayMs = (retry: Retry, attempt: number): number => backOffMs(retry, attempt, Math.random());
