import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { JoinOptions } from "./join.ts";
import { Ended } from "./context.ts";
import { isEnd } from "./ledger.ts";
import { Canceled } from "./scope.ts";

export type TaskEnd = { status: "done"; output: Json } | { status: "failed"; problem: Problem };

/**
 * What a join notes of itself, changed in place: which tasks ended, in which order; how many were begun; after how many ends `until`
 * decided it, and its error where it failed.
 */
export type JoinMark = { order: number[]; begun: number; until?: { after: number; problem?: Json } };

/** Whether a join is met, can still be met, or not. */
export class JoinState {
  /** Resolves when the join is over. */
  readonly over: Promise<void>;
  readonly #ends: (TaskEnd | undefined)[];
  readonly #ended = new Set<number>();
  readonly #options: JoinOptions;
  readonly #needed: number;
  readonly #mark: JoinMark;
  readonly #begunBefore: number;
  #next = 0;
  #succeeded = 0;
  #failures = 0;
  #over: { error?: unknown } | undefined;
  #tellOver: () => void = () => undefined;

  constructor(count: number, options: JoinOptions, mark: JoinMark) {
    this.#ends = Array.from({ length: count });
    this.#options = options;
    this.#mark = mark;
    this.#begunBefore = mark.begun;
    this.#needed = options.join === "all" ? count : options.join === "quorum" ? (options.quorum ?? count) : Math.min(1, count);
    this.over = new Promise((resolve) => (this.#tellOver = resolve));
    this.#decideAgain();
  }

  get isOver(): boolean {
    return this.#over !== undefined;
  }

  /** Met, and what is left shall finish. */
  get goesOn(): boolean {
    return this.#over !== undefined && !("error" in this.#over) && this.#options.rest === "finish";
  }

  get openTasks(): number {
    return this.goesOn ? this.#ends.length - this.#ended.size : 0;
  }

  /** The next task to run. Once the join is over, only those that had begun before: what they put back must be awaited. */
  next(): number | undefined {
    while (this.#ended.has(this.#next)) this.#next += 1;
    const last = this.isOver && !this.goesOn ? this.#begunBefore : this.#ends.length;
    if (this.#next >= last) return undefined;
    this.#mark.begun = Math.max(this.#mark.begun, this.#next + 1);
    return this.#next++;
  }

  done(index: number, output: Json): void {
    if (!this.#end(index)) return;
    this.#ends[index] = { status: "done", output };
    this.#succeeded += 1;
    if (this.#options.join !== "all" && this.#succeeded >= this.#needed) this.#decide({});
    this.#decideAgain();
  }

  failed(index: number, error: unknown): void {
    // What a met join has left is left in turn: it goes on when the scope around is tried again.
    if (this.goesOn && error instanceof Canceled) return void this.#ended.add(index);
    if (!this.#end(index) && isEnd(error)) return;
    // Cancelled from outside, ended, or a defect: not a matter of this join.
    if (!(error instanceof Fault)) return this.#decide({ error });
    if (!this.canSpare(index)) return this.#decide({ error: this.#reason(error) });
    this.#ends[index] = { status: "failed", problem: error.problem };
    this.#failures += 1;
    this.#decideAgain();
  }

  /** Whether the error is a matter of the scope around: that of what a met join has left, and it is none that a join takes. */
  passes(error: unknown): boolean {
    return this.goesOn && (error instanceof Ended || !isEnd(error));
  }

  /** `until` held. */
  meet(): void {
    this.#decideByUntil({});
  }

  /** It cannot go on: `until` itself failed. */
  stop(error: unknown): void {
    if (error instanceof Fault) this.#decideByUntil({ problem: error.problem as Json });
    else this.#decide({ error });
  }

  /** Whether the join can still be met if this task fails. */
  canSpare(index: number): boolean {
    if (this.#ends[index] || this.isOver) return true;
    if (this.#options.join === "all") return this.#options.onError !== "fail";
    if (this.#options.join === "race") return false;
    return this.#ends.length - this.#failures - 1 >= this.#needed;
  }

  /** Outputs in the order they came. */
  outputs(): Json[] {
    return this.#mark.order.flatMap((index) => {
      const end = this.#ends[index];
      return end?.status === "done" ? [end.output] : [];
    });
  }

  ends(): (TaskEnd | undefined)[] {
    if (this.#over && "error" in this.#over) throw this.#over.error;
    return this.#ends;
  }

  /** Counts a task's end; false when the join was over before: then it changes nothing any more. */
  #end(index: number): boolean {
    this.#ended.add(index);
    this.#mark.order.push(index);
    return !this.isOver;
  }

  #decideByUntil(decision: { problem?: Json }): void {
    if (this.isOver) return;
    this.#mark.until = { after: this.#mark.order.length, ...decision };
    this.#decideAgain();
  }

  /** As `until` decided, in this execution or in one before it. */
  #decideAgain(): void {
    const { order, until } = this.#mark;
    if (until?.after === order.length) this.#decide(until.problem ? { error: Fault.of(until.problem as unknown as Problem) } : {});
  }

  /** A defect counts whatever was decided before. */
  #decide(over: { error?: unknown }): void {
    if (!this.#over || ("error" in over && !isEnd(over.error))) this.#over = over;
    this.#tellOver();
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
