import { ApplicationFailure, Context } from "@temporalio/activity";
import { Fault } from "../contracts/faults.ts";

/** Our own timeout comes this much before Temporal's: it knows what was paid so far, Temporal's does not. */
const leadMaxMs = 500;

/** When this attempt must have answered, in milliseconds since 1970. A local one is cut by the time since it was asked for. */
export function attemptEndsAt(): number {
  const { startToCloseTimeoutMs, scheduleToCloseTimeoutMs, scheduledTimestampMs, isLocal } = Context.current().info;
  const lead = Math.min(leadMaxMs, startToCloseTimeoutMs / 10);
  const endsAt = Date.now() + startToCloseTimeoutMs - lead;
  return isLocal ? Math.min(endsAt, scheduledTimestampMs + scheduleToCloseTimeoutMs - lead) : endsAt;
}

/**
 * Do something with the record until it works. A database that is away for a moment must not cost the step an attempt,
 * nor have work done again that is paid for. Gives up at the attempt's end, with a failure that is tried again.
 */
export async function patiently<T>(endsAt: number, operation: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let waitMs = 100; ; waitMs = Math.min(waitMs * 2, 2_000)) {
    try {
      return await operation();
    } catch (error) {
      if (error instanceof Fault) throw error;
      const { aborted } = signal ?? Context.current().cancellationSignal;
      if (aborted || Date.now() + waitMs > endsAt)
        throw ApplicationFailure.create({
          type: "unavailable",
          message: "The record does not answer.",
          cause: error instanceof Error ? error : undefined,
        });
      await new Promise((wake) => setTimeout(wake, waitMs));
    }
  }
}
