import { WorkflowFailedError, type Client, type WorkflowHandle } from "@temporalio/client";
import { ApplicationFailure, CancelledFailure, TerminatedFailure, TimeoutFailure } from "@temporalio/common";
import type { RunKey } from "../contracts/activities.ts";
import type { RunEvent } from "../contracts/events.ts";
import { isProblem, makeProblem } from "../contracts/faults.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { CANCELED_MEMO, endEvent, type RunEnd, type RunResult } from "../contracts/run-end.ts";
import type { Record } from "./record.ts";

interface Deps {
  client: Client;
  record: Record;
}

/**
 * Brings the ends of runs into their logs. A worker that is about to end a run follows it until Temporal has closed it, and tells what
 * Temporal has: only Temporal says when a run has ended, and how. What a worker that dies leaves untold, reconcile finds.
 */
export class Endings {
  readonly #deps: Deps;
  readonly #followed = new Map<string, Promise<void>>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** The run is about to end; or goes on after all, since something came in meanwhile. Never rejects. */
  follow(run: RunKey): void {
    if (this.#followed.has(run.id) || this.#followed.size >= limits.endingsFollowedMax) return;
    const following = this.#follow(run)
      .catch(() => undefined)
      .finally(() => this.#followed.delete(run.id));
    this.#followed.set(run.id, following);
  }

  /** Resolves when all that is followed now is in the log. */
  async settled(): Promise<void> {
    await Promise.all(this.#followed.values());
  }

  async #follow(run: RunKey): Promise<void> {
    const { client, record } = this.#deps;
    const handle = client.workflow.getHandle(workflowIdOf(run.tenant, run.id), undefined, { followRuns: false });
    const closedBy = Date.now() + limits.endingFollowedMs;
    const end = await client.connection.withDeadline(closedBy, () => endOf(handle, Date.now));
    // Postgres may be away for a while: better late from here than later from reconcile.
    if (end) await untilWorks(() => record.append(run, [end]));
  }
}

async function untilWorks(append: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await append();
      return;
    } catch (error) {
      if (tries >= limits.endingTriesMax) throw error;
      await new Promise((wake) => setTimeout(wake, Math.min(tries * 100, 2_000)));
    }
  }
}

/**
 * The last event of a run that has ended as Temporal has it; waits for the end of one that has not. Undefined for a run that another
 * execution goes on with, and for one that was terminated or timed out: its walk had no say, and may have left children.
 */
export async function endOf(handle: WorkflowHandle, time: () => number): Promise<RunEvent | undefined> {
  try {
    return endEvent({ result: (await handle.result()) as RunResult }, time());
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    if (cause instanceof TerminatedFailure || cause instanceof TimeoutFailure) return undefined;
    if (cause instanceof CancelledFailure) return endEvent(await canceledEnd(handle), time());
    if (!(cause instanceof ApplicationFailure)) return undefined;
    const [problem, output = null] = cause.details ?? [];
    return endEvent(
      {
        result: { status: "failed", output: output as Json },
        error: isProblem(problem) ? problem : makeProblem("defect", cause.message || "The run failed."),
      },
      time(),
    );
  }
}

async function canceledEnd(handle: WorkflowHandle): Promise<RunEnd> {
  const { memo } = await handle.describe();
  const { reason, output } = (memo?.[CANCELED_MEMO] as { reason: string; output: Json } | undefined) ?? {
    reason: "canceled",
    output: null,
  };
  return { result: { status: "canceled", output }, error: makeProblem("canceled", reason) };
}
