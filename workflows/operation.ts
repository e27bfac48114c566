import { ActivityCancellationType, CancellationScope, isCancellation, type ActivityOptions } from "@temporalio/workflow";
// oxlint-disable-next-line no-restricted-imports -- the only scope that lies below no other
import { RootCancellationScope } from "@temporalio/workflow/lib/cancellation-scope.js";
import type { CallOptions } from "../language/plan.ts";
import { Canceled, type Scope } from "./scope.ts";

/** One of Temporal's operations below our scope. `failed` gives its failures as faults, or what stands in for the result. */
export async function cancellable<T>(
  scope: Scope,
  operation: () => Promise<T>,
  failed: (error: unknown) => T | Promise<T> = rethrow,
): Promise<T> {
  scope.throwIfCanceled();
  // Below no other: the one around would keep it, with all that was asked in it, for as long as the run lasts.
  const inner = new RootCancellationScope();
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

/** Not cancelled, whatever is around it; in a scope of its own only where it must be, since the one around keeps that. */
export const uncancelled = <T>(work: () => Promise<T>): Promise<T> =>
  CancellationScope.current().cancellable ? CancellationScope.nonCancellable(work) : work();

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
