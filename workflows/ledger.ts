import type { Entry } from "./context.ts";

/**
 * Finished steps by path. A step found here resolves at once, whoever put it there: this run, or the run it continues.
 * When a scope is finished, what ran inside it can be seen by nobody and is dropped.
 */
export class Ledger {
  readonly #entries: Map<string, Entry>;
  readonly #inside = new Map<string, string[]>();

  constructor(seed: Iterable<readonly [path: string, entry: Entry]> = []) {
    this.#entries = new Map(seed);
  }

  get(path: string): Entry | undefined {
    return this.#entries.get(path);
  }

  /** What a run that continues this one begins with. */
  entries(): [path: string, entry: Entry][] {
    return [...this.#entries];
  }

  /** `slot` is where the step stands: a scope's branch, item or body; empty at the top. */
  enter(path: string, entry: Entry, slot: string): void {
    this.#entries.set(path, entry);
    this.hang(path, slot);
    this.drop(path);
  }

  /** Make `inner` part of `outer`, so that it goes when `outer` does. */
  hang(inner: string, outer: string): void {
    const siblings = this.#inside.get(outer);
    if (siblings) siblings.push(inner);
    else this.#inside.set(outer, [inner]);
  }

  /** Forget what ran inside. */
  drop(outer: string): void {
    const inside = this.#inside.get(outer);
    if (!inside) return;
    this.#inside.delete(outer);
    for (const path of inside) {
      this.#entries.delete(path);
      this.drop(path);
    }
  }
}
