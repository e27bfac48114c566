import type { Port } from "./port.ts";
import type { Scope } from "./scope.ts";

/** What the next execution of the run must know of its time. */
export interface ClockState {
  frozenMs: number;
  frozenAt?: number;
}

/**
 * The run's own time, which a pause may stop. Every deadline is a moment of it: while time stands still no timer is
 * open, and afterwards each waits for what was left, without anybody having moved a deadline.
 */
export class Clock {
  readonly #port: Pick<Port, "now" | "sleep">;
  /** How long time has stood still so far. */
  #frozenMs: number;
  #frozenAt: number | undefined;
  readonly #sleeping = new Set<Scope>();
  readonly #waiting = new Set<() => void>();

  constructor(port: Pick<Port, "now" | "sleep">, state: ClockState = { frozenMs: 0 }) {
    this.#port = port;
    this.#frozenMs = state.frozenMs;
    this.#frozenAt = state.frozenAt;
  }

  state(): ClockState {
    return { frozenMs: this.#frozenMs, ...(this.#frozenAt === undefined ? {} : { frozenAt: this.#frozenAt }) };
  }

  now(): number {
    return (this.#frozenAt ?? this.#port.now()) - this.#frozenMs;
  }

  /** What clocks on the wall show at a moment of ours, unless time stands still until then. */
  wall(moment: number): number {
    return moment - this.now() + this.#port.now();
  }

  /** Stop or go on. Gives how long time stood still when it goes on, else 0. */
  freeze(isFrozen: boolean): number {
    if (isFrozen === (this.#frozenAt !== undefined)) return 0;
    if (isFrozen) {
      this.#frozenAt = this.#port.now();
      for (const scope of this.#sleeping) scope.cancel("time stands still");
      return 0;
    }
    const ms = this.#port.now() - this.#frozenAt!;
    this.#frozenMs += ms;
    this.#frozenAt = undefined;
    for (const wake of this.#waiting) wake();
    return ms;
  }

  async sleep(ms: number, summary: string, scope: Scope): Promise<void> {
    const until = this.now() + ms;
    for (;;) {
      if (this.#frozenAt !== undefined) await this.#thawed(scope);
      else if (await this.#slept(Math.max(0, until - this.now()), summary, scope)) return;
    }
  }

  /** False when time was stopped first. */
  #slept(ms: number, summary: string, scope: Scope): Promise<boolean> {
    return scope.within(async (inner) => {
      this.#sleeping.add(inner);
      try {
        await this.#port.sleep(ms, summary, inner);
        return true;
      } catch (error) {
        if (scope.isCanceled || !inner.isCanceled) throw error;
        return false;
      } finally {
        this.#sleeping.delete(inner);
      }
    });
  }

  #thawed(scope: Scope): Promise<void> {
    return scope.guard<void>((resolve) => {
      this.#waiting.add(resolve);
      return () => this.#waiting.delete(resolve);
    });
  }
}
