import type { Json } from "../contracts/json.ts";
import type { Entry } from "./context.ts";

/** Where a loop stands: the next iteration, and what the one before gave. */
interface Place {
  index: number;
  last: Json;
}

/** What a run that continues another begins with. */
export interface LedgerSeed {
  entries: (readonly [path: string, entry: Entry])[];
  places: (readonly [loop: string, place: Place])[];
}

/**
 * Finished steps by path. A step found here resolves at once, whoever put it there: this run, or the run it continues.
 * When a scope is finished, what ran inside it can be seen by nobody and is dropped.
 */
export class Ledger {
  readonly #entries: Map<string, Entry>;
  readonly #inside = new Map<string, string[]>();

  /** How far loops have come. */
  readonly #places: Map<string, Place>;

  constructor(seed: LedgerSeed = { entries: [], places: [] }) {
    this.#entries = new Map(seed.entries);
    this.#places = new Map(seed.places);
  }

  get(path: string): Entry | undefined {
    return this.#entries.get(path);
  }

  seed(): LedgerSeed {
    return { entries: [...this.#entries], places: [...this.#places] };
  }

  place(loop: string): Place | undefined {
    return this.#places.get(loop);
  }

  setPlace(loop: string, place: Place): void {
    this.#places.set(loop, place);
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
    this.#places.delete(outer);
    const inside = this.#inside.get(outer);
    if (!inside) return;
    this.#inside.delete(outer);
    for (const path of inside) {
      this.#entries.delete(path);
      this.drop(path);
    }
  }
}
