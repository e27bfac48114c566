import type { BudgetLeft } from "./budgets.ts";
import { eventIdentity, type EventType, type RunEvent } from "./events.ts";
import type { Problem } from "./faults.ts";
import type { Json, JsonObject } from "./json.ts";
import type { RunKey } from "./activities.ts";

export interface RunResult {
  status: "completed" | "completed_with_errors" | "failed" | "canceled";
  /** May be a reference. */
  output: Json;
  errors?: Problem[];
  spent?: Spending;
}

/** What was asked of models, and what budgets left. */
export interface Spending {
  calls: number;
  inputTokens: number;
  outputTokens: number;
  costUsd: number;
  /** Some of the calls were of a model whose price is not known. */
  isPartial?: true;
  budgets?: BudgetLeft[];
}

/**
 * How a run ended. Temporal keeps it, and the log has it from there: the result of the workflow; of a failed one the failure's details
 * (problem, output, what was spent); of a canceled one, whose failure says nothing, the memo `CANCELED_MEMO`.
 */
export interface RunEnd {
  result: RunResult;
  error?: Problem;
}

/** Holds the data of `run.canceled`. */
export const CANCELED_MEMO = "canceled";

/** The last event of a run, of whoever tells it. */
export function endEvent(end: RunEnd, time: number): RunEvent {
  const type: EventType = `run.${end.result.status}`;
  return { identity: eventIdentity(type), type, time, data: endData(end) };
}

export function endData({ result, error }: RunEnd): JsonObject {
  const { status, output, errors } = result;
  if (status === "canceled") return { reason: error?.detail ?? "", output };
  if (error) return { error: error as Json, output };
  return { output, ...(errors ? { errors: errors as Json[] } : {}) };
}

const underWay = new Set(["RUNNING", "PAUSED", "CONTINUED_AS_NEW"]);

/** By the status that Temporal's client tells: of one that somebody has paused there, too, and of one that goes on in its next execution. */
export const isUnderWay = ({ name }: { name: string }): boolean => underWay.has(name);

/** What a run calls in its worker, outside of its history. */
export type RunSinks = {
  runs: {
    /** The run is about to end; whether it does, Temporal says. */
    ending(run: RunKey): void;
  };
};
