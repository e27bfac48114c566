import { ApplicationFailure } from "@temporalio/activity";
import type { Activities, ShortAnswer } from "../contracts/activities.ts";
import { isProblem } from "../contracts/faults.ts";

/** Short tools beside each other, each of which is a step's whole activity: it does the work and records it. */
export const createShortTools =
  (tool: Activities["tool"]): Activities["shortTools"] =>
  (calls) =>
    Promise.all(calls.map((call) => tool(call).then((done) => ({ done }), answerOf)));

/** What the tool itself said; nothing when it was not asked, or was not recorded. */
function answerOf(error: unknown): ShortAnswer {
  if (!(error instanceof ApplicationFailure)) return {};
  const problem = error.details?.[0];
  if (!isProblem(problem)) return {};
  return { failed: { problem, isFinal: error.nonRetryable === true, retryAfterMs: Number(error.nextRetryDelay ?? 1) } };
}
