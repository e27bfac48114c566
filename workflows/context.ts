import type { BudgetRef } from "../contracts/budgets.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Problem } from "../contracts/faults.ts";
import type { Usage } from "../contracts/activities.ts";
import type { Block, Step, StepFields, StepType } from "../language/plan.ts";
import type { Frame } from "./frame.ts";
import type { Taker } from "./handlers.ts";
import type { Lane } from "./outbox.ts";
import type { Rest } from "./rest.ts";
import type { Scope } from "./scope.ts";
import type { TaskTime } from "./task-time.ts";

/** Where in the run a step stands. */
export interface Context {
  /** Path of the enclosing slot; empty at the top. */
  path: string;
  frame: Frame;
  scope: Scope;
  lane: Lane;
  /** What around may take an error, so that `onError` does not apply: the nearest first. */
  takers: readonly Taker[];
  /** A step is undone here: no error is a question to a person, since the others are to be undone as well. */
  isUndoing?: true;
  /** Variables set within the enclosing step; kept in its ledger entry so that they survive it. */
  exports: JsonObject;
  /** Where a step leaves work that goes on behind it: the block around awaits it. */
  rest: Rest;
  /** The agent's task that this is a part of. */
  task?: TaskTime;
  /** What calls in here may spend. */
  budgets: readonly BudgetRef[];
  /** Whose steps these are. */
  block: Block;
  /** The error being handled: what `raise` without `error` passes on. */
  handling?: Problem;
}

export type { Entry } from "../contracts/activities.ts";

/** A step about to be performed: what a step function gets. */
export interface Here<S> {
  step: S;
  path: string;
  /** 1, and one more each time a person says retry. */
  attempt: number;
  /** What surrounds the step. Its `exports` collect what steps inside this one set. */
  context: Context;
}

/** A step of one type, with what every step has. */
export type StepOf<T extends StepType> = Step & Extract<StepFields, { type: T }>;
export type HereOf<T extends StepType> = Here<StepOf<T>>;

/** What performing a step gave. */
export interface Outcome {
  output: Json;
  usage?: Usage;
  /** The origin of a fork has done it. */
  reusedFrom?: string;
  /** An activity of ours has already told the log that the step is completed. */
  isRecorded?: boolean;
}

export const stepPath = (context: Context, id: string): string => (context.path === "" ? id : `${context.path}.${id}`);

/** `end` was reached: the whole run is over. */
export class Ended extends Error {
  readonly status: "completed" | "failed" | "canceled";
  readonly output: Json;

  constructor(status: Ended["status"], output: Json) {
    super(`ended as ${status}`);
    this.name = "Ended";
    this.status = status;
    this.output = output;
  }
}
