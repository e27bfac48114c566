import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { limits } from "../contracts/limits.ts";
import { newLine, type Line } from "./quota-line.ts";

/** What is done to a line. It may be done anew when another worker was faster. */
export type Change<Result> = (line: Line, moment: { now: number; share: number }) => Result;

/**
 * The lines of all providers: shared by workers through Redis; while that is away each worker keeps its own, for its share of the
 * quotas. Nothing here rejects.
 */
export class QuotaLines {
  readonly #redis: Redis | undefined;
  readonly #me = randomUUID();
  readonly #lines = new Map<string, Keeper>();

  constructor(redis?: Redis) {
    this.#redis = redis;
  }

  /** What is asked at one moment shares a round trip. */
  update<Result>(provider: string, change: Change<Result>): Promise<Result> {
    return this.#keeperOf(provider).update(change);
  }

  /** The line as it was a second ago, without waiting for anybody. */
  glance(provider: string): Line {
    return this.#keeperOf(provider).glance();
  }

  #keeperOf(provider: string): Keeper {
    const keeper = this.#lines.get(provider) ?? new Keeper(this.#redis, `tenuto:quota:${provider}`, this.#me);
    this.#lines.set(provider, keeper);
    return keeper;
  }
}

interface Waiting {
  change: Change<unknown>;
  resolve: (result: unknown) => void;
}

class Keeper {
  readonly #redis: Redis | undefined;
  readonly #key: string;
  readonly #me: string;
  #line = newLine();
  #readAt = 0;
  /** Redis did not answer: it is left alone until then. */
  #awayUntil = 0;
  #waiting: Waiting[] = [];
  #isWorking = false;

  constructor(redis: Redis | undefined, key: string, me: string) {
    this.#redis = redis;
    this.#key = key;
    this.#me = me;
  }

  update<Result>(change: Change<Result>): Promise<Result> {
    return new Promise<Result>((resolve) => {
      this.#waiting.push({ change, resolve: resolve as (result: unknown) => void });
      if (!this.#isWorking) void this.#work();
    });
  }

  glance(): Line {
    if (Date.now() - this.#readAt > glanceMs && this.#redis && !this.#isAway) {
      this.#readAt = Date.now();
      void this.#read(this.#redis).catch(() => this.#leave());
    }
    return this.#line;
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      const results = (await this.#shared(batch)) ?? this.#alone(batch);
      for (const [index, { resolve }] of batch.entries()) resolve(results[index]);
    }
    this.#isWorking = false;
  }

  /** Undefined when Redis does not answer, or others are faster again and again. */
  async #shared(batch: Waiting[]): Promise<unknown[] | undefined> {
    for (let tries = 1; tries <= limits.quotaWritesMax; tries++) {
      const read = await this.#asking((redis) => this.#read(redis));
      if (!read) return undefined;
      const { version, now } = read;
      // Done to the known one only once it is written: it would be done to that again otherwise, alone.
      const line = structuredClone(read.line);
      line.askers = { ...only(line.askers, (at) => at > now - askersMs), [this.#me]: now };
      const results = batch.map(({ change }) => change(line, { now, share: 1 }));
      const isWritten = await this.#asking((redis) => redis.eval(write, 1, this.#key, version, JSON.stringify(line), keptMs));
      if (isWritten === undefined) return undefined;
      if (isWritten === 0) continue;
      // A glance may have brought an older one meanwhile.
      this.#line = line;
      return results;
    }
    return undefined;
  }

  async #asking<Result>(command: (redis: Redis) => Promise<Result>): Promise<Result | undefined> {
    if (!this.#redis || this.#isAway) return undefined;
    try {
      return await command(this.#redis);
    } catch {
      this.#leave();
      return undefined;
    }
  }

  #alone(batch: Waiting[]): unknown[] {
    const workers = Object.keys({ ...this.#line.askers, [this.#me]: 0 }).length;
    return batch.map(({ change }) => change(this.#line, { now: Date.now(), share: 1 / workers }));
  }

  async #read(redis: Redis): Promise<{ line: Line; version: string; now: number }> {
    const [text, version, seconds, micros] = (await redis.eval(read, 1, this.#key)) as [string | null, string | null, string, string];
    this.#readAt = Date.now();
    // Of what an older worker wrote there may be less.
    this.#line = { ...newLine(), ...(text === null ? {} : (JSON.parse(text) as Partial<Line>)) };
    return { line: this.#line, version: version ?? "0", now: Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000) };
  }

  get #isAway(): boolean {
    return Date.now() < this.#awayUntil;
  }

  #leave(): void {
    this.#awayUntil = Date.now() + awayMs;
  }
}

const read = `
local kept = redis.call("HMGET", KEYS[1], "line", "version")
local time = redis.call("TIME")
return { kept[1], kept[2], time[1], time[2] }`;

/** Only when nobody else has written meanwhile. */
const write = `
local version = redis.call("HGET", KEYS[1], "version") or "0"
if version ~= ARGV[1] then return 0 end
redis.call("HSET", KEYS[1], "line", ARGV[2], "version", tostring(tonumber(version) + 1))
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return 1`;

const keptMs = 2 * 60 * 60_000;
const glanceMs = 1_000;
const awayMs = 1_000;
const askersMs = 60_000;

const only = <Value>(record: Record<string, Value>, isKept: (value: Value) => boolean): Record<string, Value> =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => isKept(value)));
