import { ActivityCancellationType, CancellationScope, isCancellation, type ActivityOptions } from "@temporalio/workflow";
import type { CallOptions } from "../language/plan.ts";
import { Canceled, type Scope } from "./scope.ts";

/** One of Temporal's operations below our scope. `failed` gives its failures as faults, or what stands in for the result. */
export async function cancellable<T>(
  scope: Scope,
  operation: () => Promise<T>,
  failed: (error: unknown) => T | Promise<T> = rethrow,
): Promise<T> {
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

export const timeouts = (
  { retry, timeoutMs, totalTimeoutMs, priority }: CallOptions,
  fairnessKey: string | undefined,
): ActivityOptions => ({
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

export const activityId = (path: string, attempt: number): string => (attempt === 1 ? path : `${path}#${attempt}`);
