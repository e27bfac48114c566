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

/** Work that goes on in another attempt, as planned: what `nonRetryable` names does not end it. */
export class AnotherAttempt extends Error {
  readonly #problem: Problem;
  readonly #afterMs: number;

  /** `problem`: what the step fails with when no time or attempt is left for another. */
  constructor(problem: Problem, afterMs: number) {
    super(problem.detail);
    this.#problem = problem;
    this.#afterMs = afterMs;
  }

  failure(): ApplicationFailure {
    const { retryable: _, retryAfterMs: __, ...kept } = this.#problem;
    return ApplicationFailure.create({
      message: this.message,
      type: "another_attempt",
      nonRetryable: false,
      // Temporal reads a delay of 0 as "none given".
      nextRetryDelay: Math.max(1, this.#afterMs),
      details: [kept],
    });
  }
}

/** Temporal's own back-off knows no jitter; without it, what failed together comes back together. */
export const retryDelayMs = (retry: Retry, attempt: number): number => backOffMs(retry, attempt, Math.random());
