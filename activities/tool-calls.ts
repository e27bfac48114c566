import { Fault, messageOf } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { Database } from "../prisma/client.ts";
import { forgetOldCalls, recordCalls, type CallOfTool } from "../prisma/tools.ts";
import type { WorkContext } from "./work.ts";
import { storable } from "../prisma/storable.ts";

/** How calls of tools went, written in batches: figures for people, which no run waits for. */
export class ToolCalls {
  readonly #database: Database;
  #waiting: CallOfTool[] = [];
  #timer: NodeJS.Timeout | undefined;
  #forgottenAt = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Do it, and note how it went. */
  async watch<Result>(tool: { name: string; version: string }, context: WorkContext, work: () => Promise<Result>): Promise<Result> {
    const startedAt = new Date();
    const note = (outcome: string, detail: string | null): void => {
      const { tenant, runId, path } = context;
      const durationMs = Date.now() - startedAt.getTime();
      this.#add({ tenant, tool: tool.name, version: tool.version, runId, path, startedAt, durationMs, outcome, detail });
    };
    try {
      const result = await work();
      note("ok", null);
      return result;
    } catch (error) {
      const code = error instanceof Fault ? error.code : context.signal.aborted ? "canceled" : "defect";
      note(code, storable(messageOf(error).slice(0, 500)));
      throw error;
    }
  }

  /** Write what waits. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const calls = this.#waiting.splice(0);
    if (calls.length === 0) return;
    for (let at = 0; at < calls.length; at += BATCH) await recordCalls(this.#database, calls.slice(at, at + BATCH));
    if (Date.now() - this.#forgottenAt < FORGET_EVERY_MS) return;
    this.#forgottenAt = Date.now();
    await forgetOldCalls(this.#database);
  }

  #add(call: CallOfTool): void {
    if (this.#waiting.length >= limits.toolCallsWaitingMax) return;
    this.#waiting.push(call);
    // Should Postgres be away, these calls are missing from the figures.
    this.#timer ??= setTimeout(() => void this.flush().catch(() => undefined), FLUSH_AFTER_MS).unref();
  }
}

/** Rows of one statement, which can have 32,767 values. */
const BATCH = 1_000;
const FLUSH_AFTER_MS = 1_000;
const FORGET_EVERY_MS = 3_600_000;
