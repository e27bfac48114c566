import type { Redis } from "ioredis";

/** Longer than it takes until another worker has the run, and to start a worker anew. */
const keptMs = 600_000;
/** A Redis that is slow must not make short steps slow. */
const patienceMs = 50;

/**
 * What is called beside the walk. A worker that dies of it leaves no event of that in the history, so that the next one would call it
 * again, and the one after that: whoever has begun it without an end is found here, in Redis. While Redis is away nothing is found.
 */
export class UnderWay {
  readonly #redis: Redis | undefined;

  constructor(redis?: Redis) {
    this.#redis = redis;
  }

  /** Whether nobody had begun it without an end. Never rejects. */
  async begin(name: string): Promise<boolean> {
    if (!this.#redis) return true;
    const set = this.#redis.set(keyOf(name), "1", "PX", keptMs, "NX").catch(() => "OK");
    return (await Promise.race([set, soon()])) !== null;
  }

  end(name: string): void {
    void this.#redis?.del(keyOf(name)).catch(() => undefined);
  }
}

const keyOf = (name: string): string => `tenuto:under-way:${name}`;

const soon = (): Promise<string> => new Promise((resolve) => setTimeout(() => resolve("OK"), patienceMs).unref());
