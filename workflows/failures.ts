import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  TerminatedFailure,
  TimeoutFailure,
} from "@temporalio/workflow";
import { Fault, isProblem, makeProblem, type Problem } from "../contracts/faults.ts";
import { isWindow } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Spending } from "../contracts/run-end.ts";
import type { ChildRequest } from "./port.ts";

/** A Temporal failure of one of our activities as the fault it carries. */
export function faultOfCall(error: unknown, path: string): unknown {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  const problem = cause instanceof ApplicationFailure ? cause.details?.[0] : undefined;
  return isProblem(problem) ? faultOfProblem(problem, path) : faultOfActivity(error, path);
}

/** Of a step, unless it says itself of which. */
export const faultOfProblem = (problem: Problem, path: string): Fault => Fault.of({ ...problem, instance: problem.instance ?? path });

/** A failure of any activity: its own type is what `errors:` can match; nothing else of it is believed. */
export function faultOfActivity(error: unknown, path: string): unknown {
  if (!(error instanceof ActivityFailure)) return error;
  const { cause } = error;
  if (cause instanceof TimeoutFailure) return new Fault("timeout", timeoutText(cause, path), { instance: path });
  if (cause instanceof CancelledFailure) return new Fault("canceled", `Step ${path} was cancelled by an operator.`, { instance: path });
  if (!(cause instanceof ApplicationFailure)) return new Fault("activity", cause?.message ?? error.message, { instance: path });
  const problem = makeProblem("activity", cause.message || "The activity failed.", cause.nonRetryable ? { retryable: false } : {});
  return Fault.of({ ...problem, type: cause.type || "activity", instance: path });
}

export const isTimeout = (error: unknown): boolean => error instanceof ActivityFailure && error.cause instanceof TimeoutFailure;

/** What a child that failed had spent by then. */
export function spentByChild(error: unknown): Json | undefined {
  const cause = error instanceof ChildWorkflowFailure ? error.cause : error instanceof ActivityFailure ? error.cause?.cause : undefined;
  return cause instanceof ApplicationFailure ? (cause.details?.[2] as Json | undefined) : undefined;
}

/** How a child run ended badly, with its own problem where it has one. */
export function faultOfChild(error: unknown, { id, path }: Pick<ChildRequest, "id" | "path">): unknown {
  if (error instanceof Error && error.name === "WorkflowExecutionAlreadyStartedError")
    return new Fault("child", `Child run ${id} exists already.`, { instance: path });
  // Told by Temporal to the execution that started the child; asked for by one that came later.
  const isTold = error instanceof ChildWorkflowFailure;
  if (!isTold && !(error instanceof ActivityFailure)) return error;
  const problem = problemOf(isTold ? error.cause : error.cause?.cause);
  return Fault.of({ ...(isWindow(path) ? problem : ofAnother(problem)), ...whereIn(problem, { id, path }) });
}

/** What a person let fail there is a question anew here. Items that a window does are the run's own. */
function ofAnother(problem: Problem): Problem {
  const { isAnswered: _, ...rest } = problem;
  // Without an extension it is a problem as before.
  return { ...rest, status: 502, code: "child" } as Problem;
}

const whereIn = ({ instance }: Problem, { id, path }: Pick<ChildRequest, "id" | "path">): JsonObject => ({
  instance: path,
  childId: id,
  ...(instance ? { childStep: instance } : {}),
});

function problemOf(cause: unknown): Problem {
  if (cause instanceof ApplicationFailure && isProblem(cause.details?.[0])) return cause.details[0];
  if (cause instanceof CancelledFailure) return makeProblem("canceled", "The child run was canceled.");
  if (cause instanceof TerminatedFailure) return makeProblem("child", "The child run was terminated.");
  if (cause instanceof TimeoutFailure) return makeProblem("timeout", "The child run timed out.");
  return makeProblem("child", cause instanceof Error ? cause.message : "The child run failed.");
}

/** A fault as Temporal carries it: updates and runs end with it, runs with the output they have all the same and what they have spent. */
export function failureOf(problem: Problem, output: Json = null, spent?: Spending): ApplicationFailure {
  const details = spent ? [problem, output, spent] : output === null ? [problem] : [problem, output];
  return ApplicationFailure.create({ message: problem.detail, type: problem.type, nonRetryable: true, details });
}

const timeoutText = (failure: TimeoutFailure, path: string): string =>
  failure.timeoutType === "HEARTBEAT"
    ? `Step ${path}: the worker that ran it went away.`
    : `Step ${path} did not finish in time (${(failure.timeoutType ?? "timeout").toLowerCase().replaceAll("_", " ")}).`;
