import type { Scope } from "../../workflows/scope.ts";

/** Nothing is left to do, and the work has not ended: it waits for something that nobody gives, or for ever. */
export class Stuck extends Error {
  readonly shown: string;

  constructor(ms: number, shown: string) {
    super(`Stuck at ${ms} ms: ${shown}`);
    this.shown = shown;
  }
}

/** More than the longest loop takes. */
const turnsMax = 1_000_000;

/** Time that passes only when nothing else is left to do: every run of the same walk is the same, and takes no time. */
export class VirtualTime {
  now: number;
  #order = 0;
  #agenda: { time: number; order: number; action: () => void; owner: unknown }[] = [];
  #conditions: { predicate: () => boolean; resolve: () => void; owner: unknown }[] = [];

  constructor(now = 0) {
    this.now = now;
  }

  /** Without an owner it is planned from outside. */
  after(ms: number, action: () => void, owner?: unknown): void {
    this.#agenda.push({ time: this.now + ms, order: this.#order++, action, owner });
  }

  /** The owner's execution is gone: nobody of it is waked any more. */
  forget(owner: unknown): void {
    this.#agenda = this.#agenda.filter((entry) => entry.owner !== owner);
    this.#conditions = this.#conditions.filter((entry) => entry.owner !== owner);
  }

  until(predicate: () => boolean, owner: unknown): Promise<void> {
    return new Promise((resolve) => this.#conditions.push({ predicate, resolve, owner }));
  }

  /** A promise that `action` settles after a while, unless the scope is cancelled first. */
  later<T>(
    { scope, ms, owner }: { scope: Scope; ms: number; owner: unknown },
    action: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
  ): Promise<T> {
    return scope.guard<T>((resolve, reject) => {
      let isOpen = true;
      this.after(ms, () => isOpen && action(resolve, reject), owner);
      return () => (isOpen = false);
    });
  }

  /** Let things happen until the promise is settled. Fails when nothing is left that could settle it. */
  async drive<T>(work: Promise<T>, describe: () => string): Promise<T> {
    let isDone = false;
    const settled = work.catch(() => undefined).finally(() => (isDone = true));
    for (let turns = 0; ; turns++) {
      if (turns > turnsMax) throw new Error(`No end after ${turnsMax} turns, at ${this.now} ms: ${describe()}`);
      // Everything that can go on has gone on: a quiet moment.
      await new Promise((quiet) => setImmediate(quiet));
      if (isDone) {
        await settled;
        return work;
      }
      if (!this.#meetConditions() && !this.#step()) throw new Stuck(this.now, describe());
    }
  }

  /** All that hold in this moment are told together, as by Temporal. */
  #meetConditions(): boolean {
    const ready = this.#conditions.filter(({ predicate }) => predicate());
    this.#conditions = this.#conditions.filter((condition) => !ready.includes(condition));
    for (const { resolve } of ready) resolve();
    return ready.length > 0;
  }

  #step(): boolean {
    this.#agenda.sort((a, b) => a.time - b.time || a.order - b.order);
    const next = this.#agenda.shift();
    if (!next) return false;
    this.now = next.time;
    next.action();
    return true;
  }
}
