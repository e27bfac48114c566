import { Fault } from "../contracts/faults.ts";
import type { Context } from "./context.ts";
import type { Scope } from "./scope.ts";
import { untilOver } from "./time-limit.ts";
import type { Walk } from "./walk.ts";

/** What a task notes of its time. */
interface Noted {
  /** Until when it may work. */
  deadline?: number;
  /** When it has begun, by clocks on the wall. */
  begunAt?: number;
  /** Since when it waits for people. */
  askedSince?: number | null;
  /** Other runs have worked for it, and how long people were known to be asked there. */
  delegates?: true;
  askedBelowMs?: number;
}

/**
 * The time of an agent's task, which stands still while people are asked: what they take to think is not the task's.
 *
 * Its timer is not touched meanwhile. When it rings too early it is set again for what is left, or as soon as nobody is asked any more:
 * a question costs the history nothing. What was asked in runs that work for it, which it does not see, the record is asked only then.
 */
export class TaskTime {
  readonly #walk: Walk;
  readonly #path: string;
  readonly #ms: number;
  /** Questions that are open in this execution. One that has come from another finds in `askedSince` that there are some. */
  #questions = 0;
  readonly #waiting = new Set<() => void>();

  constructor(walk: Walk, path: string, ms: number) {
    this.#walk = walk;
    this.#path = path;
    this.#ms = ms;
    const { deadline = walk.clock.now() + ms, begunAt = walk.port.now() } = this.#noted;
    walk.ledger.note(path, { deadline, begunAt });
  }

  /** Fault `timeout` when the task has worked for longer: then it is cancelled and awaited. */
  async within<T>(scope: Scope, work: (scope: Scope) => Promise<T>): Promise<T> {
    const result = await untilOver({ scope, over: (inner) => (this.#isOver ? undefined : this.#over(inner)) }, work);
    if (result !== undefined) return result;
    const detail = `Agent ${this.#path} worked for longer than ${this.#ms} ms, what people took to answer not counted; raise its \`timeout\`, or make its task smaller.`;
    throw new Fault("timeout", detail, { instance: this.#path });
  }

  /** Another run is about to work for it. */
  delegates(): void {
    if (!this.#noted.delegates) this.#walk.ledger.note(this.#path, { delegates: true });
  }

  async whileAsked<T>(wait: () => Promise<T>): Promise<T> {
    this.#questions += 1;
    this.#walk.ledger.note(this.#path, { askedSince: this.#noted.askedSince ?? this.#walk.clock.now() });
    try {
      return await wait();
    } finally {
      this.#questions -= 1;
      if (this.#questions === 0) this.#goOn();
    }
  }

  #goOn(): void {
    const { deadline, askedSince } = this.#noted;
    this.#walk.ledger.note(this.#path, { deadline: deadline! + this.#walk.clock.now() - askedSince!, askedSince: null });
    for (const wake of this.#waiting) wake();
  }

  async #over(scope: Scope): Promise<void> {
    do
      while (this.#leftMs > 0)
        if (typeof this.#noted.askedSince === "number") await this.#answered(scope);
        else await this.#walk.clock.sleep(this.#leftMs, `${this.#path}: the agent's time limit`, scope);
    while (this.#noted.delegates && (await this.#wasAskedBelow(scope)));
  }

  /** Whether people were asked for longer than was known; then the deadline has moved. */
  async #wasAskedBelow(scope: Scope): Promise<boolean> {
    const { begunAt, askedBelowMs: known = 0 } = this.#noted;
    const askedBelowMs = await this.#walk.port.peopleAsked({ path: this.#path, since: begunAt! }, scope);
    this.#walk.ledger.note(this.#path, { deadline: this.#noted.deadline! + askedBelowMs - known, askedBelowMs });
    return askedBelowMs > known;
  }

  get #isOver(): boolean {
    return this.#leftMs <= 0 && !this.#noted.delegates;
  }

  #answered(scope: Scope): Promise<void> {
    return scope.guard<void>((resolve) => {
      this.#waiting.add(resolve);
      return () => this.#waiting.delete(resolve);
    });
  }

  get #leftMs(): number {
    const { deadline, askedSince } = this.#noted;
    return deadline! - (askedSince ?? this.#walk.clock.now());
  }

  get #noted(): Noted {
    return (this.#walk.ledger.place(this.#path) ?? {}) as Noted;
  }
}

/** Wait for people; in an agent's task, while its time stands still. */
export const whileAsked = <T>({ task }: Context, wait: () => Promise<T>): Promise<T> => (task ? task.whileAsked(wait) : wait());
