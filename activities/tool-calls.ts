import { Fault, messageOf } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Database } from "../prisma/client.ts";
import { forgetOldCalls, recordCalls, type CallOfTool } from "../prisma/tools.ts";
import { storable } from "../prisma/storable.ts";
import type { Tool } from "./tool-registry.ts";
import type { WorkContext } from "./work.ts";

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
  async watch<Result extends Json>(tool: Called, context: WorkContext, work: () => Promise<Result>): Promise<Result> {
    const note = this.#noteOf(tool, context);
    const result = await noting(note, context, work);
    const complaint = tool.complaintIn?.(result);
    if (complaint === undefined) note("ok", null);
    else note("tool", complaint);
    return result;
  }

  /** Do what a call needs first. When that fails there is no call, and this is how it went. */
  before<Result>(tool: Called, context: WorkContext, work: () => Promise<Result>): Promise<Result> {
    return noting(this.#noteOf(tool, context), context, work);
  }

  #noteOf({ name, version }: Called, { tenant, runId, path }: WorkContext): Note {
    const startedAt = new Date();
    return (outcome, detail) => {
      const durationMs = Date.now() - startedAt.getTime();
      const said = detail === null ? null : storable(detail.slice(0, 500));
      this.#add({ tenant, tool: name, version, runId, path, startedAt, durationMs, outcome, detail: said });
    };
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

/** `version`: empty while nobody knows. */
type Called = Pick<Tool, "name" | "version" | "complaintIn">;
type Note = (outcome: string, detail: string | null) => void;

async function noting<Result>(note: Note, { signal }: WorkContext, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    note(error instanceof Fault ? error.code : signal.aborted ? "canceled" : "defect", messageOf(error));
    throw error;
  }
}

/** Rows of one statement, which can have 32,767 values. */
const BATCH = 1_000;
const FLUSH_AFTER_MS = 1_000;
const FORGET_EVERY_MS = 3_600_000;
