import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { Join } from "../language/plan.ts";
import type { Context } from "./context.ts";
import type { Journal } from "./journal.ts";
import type { Lane } from "./outbox.ts";
import type { Scope } from "./scope.ts";

/** One branch or item. `takes` tells its steps whether the join could still be met without it. */
export interface Task {
  run(scope: Scope, lane: Lane, takes: (problem: Problem) => boolean): Promise<Json>;
}

export type TaskEnd = { status: "done"; output: Json } | { status: "failed"; problem: Problem };

export interface JoinOptions extends Join {
  /** How many run at once. */
  limit: number;
  onError: "fail" | "collect" | "skip";
}

/**
 * Run tasks, at most `limit` at once, until the join is met or can no longer be. Then the others are cancelled and
 * awaited. Gives each task's end in task order; undefined for one that was cancelled or never began.
 */
export async function join(tasks: Task[], options: JoinOptions, context: Context, journal: Journal): Promise<(TaskEnd | undefined)[]> {
  if (options.join === "quorum" && (options.quorum ?? 0) > tasks.length)
    throw new Fault("join", `The join needs ${options.quorum} successes of ${tasks.length}.`);
  const state = new JoinState(tasks.length, options);
  await context.scope.within(async (scope) => {
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < tasks.length && !state.isOver) {
        const index = next++;
        await journal.inLane(context.lane, (lane) => runTask(tasks[index]!, index, state, { scope, lane }));
        if (state.isOver) scope.cancel("the join was decided without it");
      }
    };
    await Promise.all(Array.from({ length: Math.min(options.limit, tasks.length) }, worker));
  });
  context.scope.throwIfCanceled();
  return state.ends();
}

async function runTask(task: Task, index: number, state: JoinState, { scope, lane }: { scope: Scope; lane: Lane }): Promise<void> {
  try {
    state.done(index, await task.run(scope, lane, () => state.canSpare(index)));
  } catch (error) {
    state.failed(index, error);
  }
}

class JoinState {
  readonly #ends: (TaskEnd | undefined)[];
  readonly #options: JoinOptions;
  readonly #needed: number;
  #succeeded = 0;
  #failures = 0;
  #over: { error?: unknown } | undefined;

  constructor(count: number, options: JoinOptions) {
    this.#ends = Array.from({ length: count });
    this.#options = options;
    this.#needed = options.join === "all" ? count : options.join === "quorum" ? (options.quorum ?? count) : Math.min(1, count);
  }

  get isOver(): boolean {
    return this.#over !== undefined;
  }

  done(index: number, output: Json): void {
    if (this.isOver) return;
    this.#ends[index] = { status: "done", output };
    this.#succeeded += 1;
    if (this.#options.join !== "all" && this.#succeeded >= this.#needed) this.#over = {};
  }

  failed(index: number, error: unknown): void {
    if (this.isOver) return;
    // Cancelled from outside, ended, or a defect: not a matter of this join.
    if (!(error instanceof Fault)) return void (this.#over = { error });
    if (!this.canSpare(index)) return void (this.#over = { error: this.#reason(error) });
    this.#ends[index] = { status: "failed", problem: error.problem };
    this.#failures += 1;
  }

  /** Whether the join can still be met if this task fails. */
  canSpare(index: number): boolean {
    if (this.#ends[index]) return true;
    if (this.#options.join === "all") return this.#options.onError !== "fail";
    if (this.#options.join === "race") return false;
    return this.#ends.length - this.#failures - 1 >= this.#needed;
  }

  ends(): (TaskEnd | undefined)[] {
    if (this.#over && "error" in this.#over) throw this.#over.error;
    return this.#ends;
  }

  #reason(error: Fault): unknown {
    const { join: kind } = this.#options;
    if (kind === "all" || kind === "race") return error;
    const needs = kind === "any" ? "one success" : `${this.#needed} successes`;
    return new Fault("join", `The join needs ${needs} and can no longer get there; the last error was: ${error.message}`, {
      cause: error,
      extra: { lastError: error.problem as Json },
    });
  }
}
