import { limits } from "../contracts/limits.ts";
import type { Scope } from "./scope.ts";

/**
 * How much a run may have open in Temporal at once, whatever its definition asks for: more than 2,000 pending
 * operations, or 4 MB in one task, and the task fails for ever. What does not fit waits its turn, first come first served.
 */
export class Slots {
  #open = 0;
  #bytes = 0;
  readonly #queue: { bytes: number; enter: () => void }[] = [];

  hold<T>(bytes: number, scope: Scope, work: () => Promise<T>): Promise<T> {
    if (this.#queue.length > 0 || !this.#fits(bytes)) return this.#turn(bytes, scope).then(() => this.#within(bytes, work));
    this.#take(bytes);
    return this.#within(bytes, work);
  }

  async #within<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      this.#open -= 1;
      this.#bytes -= bytes;
      this.#admit();
    }
  }

  // One that alone is too large goes when nothing else is open.
  #fits(bytes: number): boolean {
    return this.#open === 0 || (this.#open < limits.openOperationsMax && this.#bytes + bytes <= limits.openBytesMax);
  }

  #take(bytes: number): void {
    this.#open += 1;
    this.#bytes += bytes;
  }

  #turn(bytes: number, scope: Scope): Promise<void> {
    return scope.guard<void>((resolve) => {
      const place = { bytes, enter: resolve };
      this.#queue.push(place);
      return () => {
        const index = this.#queue.indexOf(place);
        if (index >= 0) this.#queue.splice(index, 1);
      };
    });
  }

  #admit(): void {
    for (let next = this.#queue[0]; next && this.#fits(next.bytes); next = this.#queue[0]) {
      this.#queue.shift();
      this.#take(next.bytes);
      next.enter();
    }
  }
}
