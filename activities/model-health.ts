import type { Redis } from "ioredis";
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterAbstract } from "rate-limiter-flexible";

/** So many failures within the window, without a success between them, and a model is left alone for `openSeconds`. */
const failuresMax = 5;
const windowSeconds = 30;
const openSeconds = 30;

/** How much the newest measurement counts. */
const newestShare = 0.3;
const modelsMax = 1_000;

/**
 * Which models keep failing: told to all workers through Redis, each for itself while Redis is away. And how long answers take, as this
 * worker sees it.
 */
export class ModelHealth {
  readonly #failures: RateLimiterAbstract;
  readonly #latencies = new Map<string, number>();

  constructor(redis?: Redis) {
    const rules = { keyPrefix: "tenuto:model", points: failuresMax - 1, duration: windowSeconds, blockDuration: openSeconds };
    const own = new RateLimiterMemory(rules);
    this.#failures = redis ? new RateLimiterRedis({ ...rules, storeClient: redis, insuranceLimiter: own }) : own;
  }

  /** How long a model is not to be asked, 0 when it may be. */
  async openForMs(model: string): Promise<number> {
    const seen = await this.#failures.get(model).catch(() => null);
    return seen && seen.consumedPoints >= failuresMax ? Math.max(0, seen.msBeforeNext) : 0;
  }

  latencyMs(model: string): number | undefined {
    return this.#latencies.get(model);
  }

  /** Never rejects, and nobody waits for it. */
  async answered(model: string, tookMs: number): Promise<void> {
    if (this.#latencies.size >= modelsMax && !this.#latencies.has(model)) this.#latencies.clear();
    const before = this.#latencies.get(model) ?? tookMs;
    this.#latencies.set(model, before + (tookMs - before) * newestShare);
    await this.#failures.delete(model).catch(() => undefined);
  }

  async failed(model: string): Promise<void> {
    // It rejects when the limit is reached: that is what it is for.
    await this.#failures.consume(model).catch(() => undefined);
  }
}
