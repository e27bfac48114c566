import { once } from "node:events";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { findSpans, type Span } from "../language/expression/pattern-spans.ts";
import { validateValue, type Mismatch } from "../language/validate.ts";

/**
 * Checks values against schemas in a thread that is ended when one takes too long: patterns are harmless already, but a
 * schema that refers to its own parts can ask for more work than any process has time for.
 */
export class IsolatedSchemas {
  #thread: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** Of a definition, whose schemas were read when it was published: without references a small one costs little, here. */
  async checkPublished(schema: JsonSchema, value: Json): Promise<Mismatch[]> {
    return /"\$(dynamicR|r)ef"/.test(JSON.stringify(schema)) ? this.check(schema, value) : validateValue(schema, value);
  }

  /** Of strangers (MCP servers). Empty = it fits, or the schema is none that we read. Fault `limit` when it takes longer than `limits.schemaCheckMs`. */
  async check(schema: JsonSchema, value: Json): Promise<Mismatch[]> {
    return (await this.#inTurn({ schema, value }, "Checking a value against this schema")) as Mismatch[];
  }

  /** Where a pattern is found in a text: at once where little is to be done. Fault `limit` as `check`. */
  async findSpans(pattern: string, text: string): Promise<Span[]> {
    if (text.length * pattern.length <= cheapMax) return findSpans(text, pattern);
    return (await this.#inTurn({ pattern, text }, "Looking for this pattern")) as Span[];
  }

  #inTurn(work: Isolated, what: string): Promise<unknown> {
    const turn = this.#last.then(() => this.#ask(work, what));
    this.#last = turn.catch(() => undefined);
    return turn;
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
