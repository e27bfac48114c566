import { ApplicationFailure, Context } from "@temporalio/activity";
import { Fault } from "../contracts/faults.ts";

/** Our own timeout comes this much before Temporal's: it knows what was paid so far, Temporal's does not. */
const leadMaxMs = 500;

/** When this attempt must have answered, in milliseconds since 1970. */
export function attemptEndsAt(): number {
  const { startToCloseTimeoutMs } = Context.current().info;
  return Date.now() + startToCloseTimeoutMs - Math.min(leadMaxMs, startToCloseTimeoutMs / 10);
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
