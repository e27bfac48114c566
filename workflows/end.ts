import { Fault, makeProblem, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { RunEnd } from "../contracts/run-end.ts";
import { Ended } from "./context.ts";
import { Canceled } from "./scope.ts";
import type { Walk } from "./walk.ts";

export function endOfOutput(output: Json, passedErrors: Problem[]): RunEnd {
  if (passedErrors.length === 0) return { result: { status: "completed", output } };
  return { result: { status: "completed_with_errors", output, errors: passedErrors } };
}

/** What `onError: continue` lets pass: the first of them are told with the end. */
export function letPass({ passedErrors }: Pick<Walk, "passedErrors">, problems: readonly Problem[] = []): void {
  passedErrors.push(...problems.slice(0, Math.max(0, limits.passedErrorsMax - passedErrors.length)));
}

/** A defect of ours is no end: it is thrown on. */
export function endOfError(error: unknown): RunEnd {
  if (error instanceof Canceled) return { result: { status: "canceled", output: null }, error: makeProblem("canceled", error.message) };
  if (error instanceof Fault) return { result: { status: "failed", output: null }, error: error.problem };
  if (!(error instanceof Ended)) throw error;
  const { status, output } = error;
  if (status === "completed") return { result: { status, output } };
  const code = status === "failed" ? "raised" : "canceled";
  return { result: { status, output }, error: makeProblem(code, `The definition ended the run as ${status}.`) };
}
