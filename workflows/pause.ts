import type { Journal } from "./journal.ts";
import type { Scope } from "./scope.ts";

/** A gate that every step passes before it starts. What runs already goes on to its end; timers go on. */
export class Pause {
  readonly #journal: Journal;
  readonly #waiting = new Set<() => void>();
  #isPaused: boolean;

  constructor(journal: Journal, isPaused = false) {
    this.#journal = journal;
    this.#isPaused = isPaused;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  async pause(by: string): Promise<void> {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#journal.tell("run.paused", undefined, { by });
    await this.#journal.drain();
  }

  async resume(by: string): Promise<void> {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#journal.tell("run.resumed", undefined, { by });
    this.wake();
    await this.#journal.drain();
  }

  /** Let those that are held look again. */
  wake(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Until the run is resumed. */
  async passed(scope: Scope): Promise<void> {
    await scope.guard<void>((resolve) => {
      this.#waiting.add(resolve);
      return () => this.#waiting.delete(resolve);
    });
  }
}
