import { Context } from "@temporalio/activity";
import type { WorkflowExecutionDescription } from "@temporalio/client";
import { eventIdentity, type RunEvent } from "../contracts/events.ts";
import { isObject, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";

/** What is known of an open run. */
interface OpenRun {
  id: string;
  status: string;
  waitingFor: unknown;
}

/**
 * A run whose workflow task fails again and again: its code has a defect, and Temporal tries on until the code is mended.
 * The log says so, once, and says when it goes on; whoever runs the worker reads it as an error. Undefined = nothing to tell.
 */
export function defectEvent(run: OpenRun, description: WorkflowExecutionDescription): RunEvent | undefined {
  const attempt = description.raw.pendingWorkflowTask?.attempt ?? 0;
  const isTold = run.status === "needs_attention" && saysDefect(run.waitingFor);
  if (attempt >= limits.defectAttempts && run.status !== "needs_attention") {
    Context.current().log.error("a workflow task fails again and again; the run waits for mended code", { run: run.id, attempt });
    return event("run.needs_attention", description, { steps: [], for: [{ path: "", for: WHAT }] });
  }
  return attempt < limits.defectAttempts && isTold ? event("run.running", description, {}) : undefined;
}

const WHAT = "mended workflow code: its task fails again and again (see the run in the Temporal Web UI)";

// While the task fails the history does not grow: told again, it is the same event.
const event = (type: RunEvent["type"], { historyLength }: WorkflowExecutionDescription, data: RunEvent["data"]): RunEvent => ({
  identity: eventIdentity(type, "defect", 1, historyLength),
  type,
  time: Date.now(),
  data,
});

const saysDefect = (waitingFor: unknown): boolean =>
  Array.isArray(waitingFor) && (waitingFor as Json[]).some((wait) => isObject(wait) && wait["for"] === WHAT);
