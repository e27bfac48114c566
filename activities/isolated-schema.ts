import { once } from "node:events";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { findSpans, type Span } from "../language/expression/pattern-spans.ts";
import { validateValue, type Mismatch } from "../language/validate.ts";

/** For whom. What comes after an effect (`hasHappened`) waits for its turn as long as it takes. */
export interface Asker {
  tenant: string;
  hasHappened?: boolean;
}

/**
 * Checks values against schemas in a thread that is ended when one takes too long: patterns are harmless already, but a
 * schema that refers to its own parts can ask for more work than any process has time for. There is one thread, and tenants have it by turns.
 */
export class IsolatedSchemas {
  readonly #waitMs: number;
  #thread: Worker | undefined;
  #isBusy = false;
  /** Who waits, by tenant; whose turn is next first. */
  readonly #lines = new Map<string, (() => void)[]>();

  constructor(waitMs: number = limits.schemaWaitMs) {
    this.#waitMs = waitMs;
  }

  /** Of a definition, whose schemas were read when it was published: without references a small one costs little, here. */
  async checkPublished(asker: Asker, schema: JsonSchema, value: Json): Promise<Mismatch[]> {
    return /"\$(dynamicR|r)ef"/.test(JSON.stringify(schema)) ? this.check(asker, schema, value) : validateValue(schema, value);
  }

  /**
   * Of strangers (MCP servers). Empty = it fits, or the schema is none that we read. Faults: `limit` when it takes longer than
   * `limits.schemaCheckMs`; `unavailable` when its turn has not come within `limits.schemaWaitMs`.
   */
  async check(asker: Asker, schema: JsonSchema, value: Json): Promise<Mismatch[]> {
    return (await this.#inTurn(asker, { schema, value }, "Checking a value against this schema")) as Mismatch[];
  }

  /** Where a pattern is found in a text: at once where little is to be done. Faults as `check`. */
  async findSpans(asker: Asker, pattern: string, text: string): Promise<Span[]> {
    if (text.length * pattern.length <= cheapMax) return findSpans(text, pattern);
    return (await this.#inTurn(asker, { pattern, text }, "Looking for this pattern")) as Span[];
  }

  async #inTurn(asker: Asker, work: Isolated, what: string): Promise<unknown> {
    if (this.#isBusy) await this.#turn(asker, what);
    this.#isBusy = true;
    try {
      return await this.#ask(work, what);
    } finally {
      this.#passOn();
    }
  }

  #turn({ tenant, hasHappened = false }: Asker, what: string): Promise<void> {
    return new Promise((begin, refuse) => {
      const begun = (): void => {
        clearTimeout(timer);
        begin();
      };
      const late = (): void => {
        this.#leave(tenant, begun);
        refuse(new Fault("unavailable", `${what} had to wait for longer than ${this.#waitMs} ms: this worker has too many such checks.`));
      };
      const timer = hasHappened ? undefined : setTimeout(late, this.#waitMs);
      this.#lines.set(tenant, [...(this.#lines.get(tenant) ?? []), begun]);
    });
  }

  /** To the tenant that has waited longest since its last turn. */
  #passOn(): void {
    const [first] = this.#lines;
    this.#isBusy = first !== undefined;
    if (!first) return;
    const [tenant, [next, ...others]] = first;
    this.#lines.delete(tenant);
    if (others.length > 0) this.#lines.set(tenant, others);
    next?.();
  }

  #leave(tenant: string, waiting: () => void): void {
    const others = (this.#lines.get(tenant) ?? []).filter((each) => each !== waiting);
    if (others.length > 0) this.#lines.set(tenant, others);
    else this.#lines.delete(tenant);
  }

  async close(): Promise<void> {
    await this.#end();
  }

  async #ask(work: Isolated, what: string): Promise<unknown> {
    const thread = await this.#running();
    const late = AbortSignal.timeout(limits.schemaCheckMs);
    try {
      thread.postMessage(work);
      return await nextMessage(thread, late);
    } catch (error) {
      await this.#end();
      const why = late.aborted ? `takes longer than ${limits.schemaCheckMs} ms` : `is not possible: ${String(error)}`;
      throw new Fault("limit", `${what} ${why}.`, { cause: error });
    }
  }

  /** Its start counts for nobody's time. */
  async #running(): Promise<Worker> {
    if (this.#thread) return this.#thread;
    const thread = new Worker(startThread, { eval: true, workerData: places, resourceLimits: { maxOldGenerationSizeMb: 128 } });
    thread.unref();
    // What it dies of, whoever waits for it learns; should nobody wait, it must not take the process along.
    thread.on("error", () => undefined);
    await nextMessage(thread, AbortSignal.timeout(START_MS));
    this.#thread = thread;
    return thread;
  }

  async #end(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.terminate();
  }
}

/** What is done in the thread. */
export type Isolated = { schema: JsonSchema; value: Json } | { pattern: string; text: string };

/** Characters of a text times those of a pattern: a few milliseconds. */
const cheapMax = 200_000;

async function nextMessage(thread: Worker, signal: AbortSignal): Promise<unknown> {
  const over = new AbortController();
  const options = { signal: AbortSignal.any([signal, over.signal]) };
  const ended = once(thread, "exit", options).then(() => Promise.reject(new Error("the thread has ended")));
  ended.catch(() => undefined);
  try {
    const [message] = (await Promise.race([once(thread, "message", options), ended])) as [unknown];
    return message;
  } finally {
    over.abort();
  }
}

const START_MS = 30_000;

// Not by `--import tsx`, which Node does not heed in a thread.
const startThread = `
const { workerData } = require("node:worker_threads");
import(workerData.tsx).then(({ register }) => { register(); return import(workerData.thread); });`;

const places = {
  tsx: pathToFileURL(createRequire(import.meta.url).resolve("tsx/esm/api")).href.replace(/\.cjs$/, ".mjs"),
  thread: new URL("./schema-thread.ts", import.meta.url).href,
};
