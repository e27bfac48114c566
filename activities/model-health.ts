import type { Redis } from "ioredis";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, type RateLimiterAbstract } from "rate-limiter-flexible";

interface Rules {
  /** So many failures within the window, without an answer between them, and a model is left alone. */
  failuresMax: number;
  windowSeconds: number;
  openSeconds: number;
  /** Afterwards one call in this time, until one is answered. */
  probeSeconds: number;
  /** A model that nobody has asked for so long is asked as any other. */
  forgetSeconds: number;
}

const usual: Rules = { failuresMax: 5, windowSeconds: 30, openSeconds: 30, probeSeconds: 5, forgetSeconds: 600 };

/** How much the newest measurement counts. */
const newestShare = 0.3;
const modelsMax = 1_000;
/** So late a worker learns that others see a model fail. */
const wellMs = 1_000;

/**
 * Which models keep failing (a breaker each: closed, open, half-open), told to all workers through Redis, each for itself while Redis is
 * away. And how long answers take, as this worker sees it. Nothing here rejects.
 */
export class ModelHealth {
  readonly #rules: Rules;
  /** Blocked: the breaker is open. */
  readonly #failures: RateLimiterAbstract;
  /** There: the breaker was open and has seen no answer since. */
  readonly #tripped: RateLimiterAbstract;
  readonly #probes: RateLimiterAbstract;
  readonly #latencies = new Map<string, number>();
  /** Until when a model counts as well without asking Redis: nobody has told of a failure, or it has answered since. */
  readonly #wellUntil = new Map<string, number>();
  readonly #asked = new Map<string, Promise<number>>();

  constructor(redis?: Redis, rules: Partial<Rules> = {}) {
    this.#rules = { ...usual, ...rules };
    const { failuresMax, windowSeconds, probeSeconds, forgetSeconds } = this.#rules;
    this.#failures = counter(redis, "failures", { points: failuresMax, duration: windowSeconds });
    this.#tripped = counter(redis, "tripped", { points: 1, duration: forgetSeconds });
    this.#probes = counter(redis, "probes", { points: 1, duration: probeSeconds });
  }

  /** How long a model is not to be asked, 0 when it may be. Who asks while it is being found out hears the same. */
  async openForMs(model: string): Promise<number> {
    if (this.#isWell(model)) return 0;
    const asked = this.#asked.get(model) ?? this.#ask(model).finally(() => this.#asked.delete(model));
    this.#asked.set(model, asked);
    return asked;
  }

  async #ask(model: string): Promise<number> {
    const [failures, tripped] = await Promise.all([this.#failures.get(model).catch(none), this.#tripped.get(model).catch(none)]);
    if (!failures && !tripped) this.#countAsWell(model);
    if (failures && failures.consumedPoints > this.#rules.failuresMax) return Math.max(0, failures.msBeforeNext);
    if (!tripped) return 0;
    const probe = await this.#probes.get(model).catch(none);
    return probe && probe.consumedPoints > 0 ? Math.max(0, probe.msBeforeNext) : 0;
  }

  /** Before a call that may be made: 0, or how long others try first whether the model answers again. */
  async enter(model: string): Promise<number> {
    if (this.#isWell(model) || !(await this.#tripped.get(model).catch(none))) return 0;
    const turn = await this.#probes.consume(model).catch((refused: unknown) => refused);
    return turn instanceof RateLimiterRes && turn.consumedPoints > 1 ? Math.max(1, turn.msBeforeNext) : 0;
  }

  latencyMs(model: string): number | undefined {
    return this.#latencies.get(model);
  }

  async answered(model: string, tookMs: number): Promise<void> {
    if (this.#latencies.size >= modelsMax && !this.#latencies.has(model)) this.#latencies.clear();
    const before = this.#latencies.get(model) ?? tookMs;
    this.#latencies.set(model, before + (tookMs - before) * newestShare);
    if (this.#isWell(model)) return;
    // At once: of many that answer together one forgets the failures.
    this.#countAsWell(model);
    await Promise.all([this.#failures, this.#tripped, this.#probes].map((each) => each.delete(model).catch(none)));
  }

  async failed(model: string): Promise<void> {
    const { failuresMax, openSeconds, forgetSeconds } = this.#rules;
    this.#wellUntil.delete(model);
    const tripped = await this.#tripped.get(model).catch(none);
    const count = await this.#failures.consume(model).catch((refused: unknown) => refused);
    const isEnough = count instanceof RateLimiterRes && count.consumedPoints >= failuresMax;
    // One more failure after it was open, and it is open again.
    if (!isEnough && !tripped) return;
    await this.#failures.block(model, openSeconds).catch(none);
    await this.#tripped.set(model, 1, forgetSeconds).catch(none);
  }

  #countAsWell(model: string): void {
    if (this.#wellUntil.size >= modelsMax) this.#wellUntil.clear();
    this.#wellUntil.set(model, Date.now() + wellMs);
  }

  #isWell(model: string): boolean {
    return (this.#wellUntil.get(model) ?? 0) > Date.now();
  }
}

function counter(redis: Redis | undefined, name: string, rules: { points: number; duration: number }): RateLimiterAbstract {
  const own = new RateLimiterMemory({ ...rules, keyPrefix: name });
  return redis ? new RateLimiterRedis({ ...rules, keyPrefix: `tenuto:model:${name}`, storeClient: redis, insuranceLimiter: own }) : own;
}

const none = (): null => null;
