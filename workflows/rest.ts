import type { Scope } from "./scope.ts";

/** What the steps of a block leave to it: work that goes on behind them, and what ends it besides the errors of its steps. */
export class Rest {
  readonly scope: Scope;
  /** In the order in which they came. */
  readonly failures: unknown[] = [];
  readonly #left: Promise<unknown>[] = [];

  constructor(scope: Scope) {
    this.scope = scope;
  }

  leave(work: Promise<void>): void {
    this.#left.push(work.catch((error: unknown) => this.fail(error)));
  }

  fail(error: unknown): void {
    this.failures.push(error);
    this.scope.cancel("a step beside it ended the scope");
  }

  /** Until nothing of it is at work. */
  async over(): Promise<void> {
    while (this.#left.length > 0) await Promise.all(this.#left.splice(0));
  }
}
