import { Fault, makeProblem, type Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { RunResult } from "../contracts/messages.ts";
import { Ended } from "./context.ts";
import { Canceled } from "./scope.ts";

/** How a run ended. */
export interface End {
  result: RunResult;
  error?: Problem;
}

export function endOfOutput(output: Json, passedErrors: Problem[]): End {
  if (passedErrors.length === 0) return { result: { status: "completed", output } };
  return { result: { status: "completed_with_errors", output, errors: passedErrors } };
}

/** A defect of ours is no end: it is thrown on. */
export function endOfError(error: unknown): End {
  if (error instanceof Canceled) return { result: { status: "canceled", output: null }, error: makeProblem("canceled", error.message) };
  if (error instanceof Fault) return { result: { status: "failed", output: null }, error: error.problem };
  if (!(error instanceof Ended)) throw error;
  const { status, output } = error;
  if (status === "completed") return { result: { status, output } };
  const code = status === "failed" ? "raised" : "canceled";
  return { result: { status, output }, error: makeProblem(code, `The definition ended the run as ${status}.`) };
}

/** What the run's last event says. */
export function endData({ result, error }: End): JsonObject {
  const { status, output, errors } = result;
  if (status === "canceled") return { reason: error?.detail ?? "", output };
  if (error) return { error: error as Json, output };
  return { output, ...(errors ? { errors: errors as Json[] } : {}) };
}
