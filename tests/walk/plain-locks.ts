import { Fault } from "../../contracts/faults.ts";
import { LockLine, type Word } from "../../workflows/lock-line.ts";
import type { LockRequest } from "../../workflows/port.ts";
import type { Scope } from "../../workflows/scope.ts";

/** Locks, in this process. */
export class PlainLocks {
  readonly #lines = new Map<string, LockLine>();
  readonly #held = new Set<string>();
  readonly #turns = new Map<string, () => void>();

  acquire(request: LockRequest, run: string): boolean {
    const { ticket, limit, onLimit } = request;
    this.#say(request, this.#lineOf(request).ask({ run, ticket, limit, onLimit }));
    return this.#held.has(placeOf(request, run));
  }

  turn(request: LockRequest, run: string, scope: Scope): Promise<void> {
    const place = placeOf(request, run);
    return scope.guard<void>((resolve) => {
      if (this.#held.has(place)) resolve();
      else this.#turns.set(place, resolve);
      return () => this.#turns.delete(place);
    });
  }

  release(request: LockRequest, run: string): void {
    this.#held.delete(placeOf(request, run));
    this.#say(request, this.#lineOf(request).release({ run, ticket: request.ticket }));
  }

  #lineOf({ kind, key }: LockRequest): LockLine {
    const name = `${kind} ${key}`;
    const line = this.#lines.get(name) ?? new LockLine(name);
    this.#lines.set(name, line);
    return line;
  }

  #say({ kind, key }: LockRequest, words: Word[]): void {
    for (const word of words) {
      if (word.state === "refused") throw Fault.of(word.problem);
      const place = placeOf({ kind, key, ticket: word.to.ticket }, word.to.run);
      if (word.state !== "granted") continue;
      this.#held.add(place);
      this.#turns.get(place)?.();
    }
  }
}

const placeOf = ({ kind, key, ticket }: Pick<LockRequest, "kind" | "key" | "ticket">, run: string): string =>
  JSON.stringify([kind, key, run, ticket]);
