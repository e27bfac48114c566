import { randomUUID } from "node:crypto";
import { Context } from "@temporalio/activity";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { Meaning } from "../contracts/messages.ts";
import type { Database, Prisma } from "../prisma/client.ts";
import { sha256 } from "../prisma/hash.ts";
import { searchMemories, type FoundMemory, type MemoryFilter, type MemoryOwner } from "../prisma/memories.ts";
import {
  claimUnembedded,
  hasEmbedded,
  hasVectors,
  keepEmbedding,
  takeUpVectors,
  whyNoVectors,
  type Unembedded,
} from "../prisma/vectors.ts";
import { EmbedCalls } from "./embed-calls.ts";
import type { CallOwner, ModelCalls } from "./model-calls.ts";
import type { Models } from "./models.ts";
import type { Quotas } from "./quotas.ts";
import type { Redact } from "./redact.ts";
import type { Beat } from "./sweep.ts";
import type { WorkContext } from "./work.ts";

interface Deps {
  database: Database;
  models: Models;
  modelCalls: ModelCalls;
  quotas: Quotas;
  redact: Redact;
}

/** On whose behalf: a step's, under its budgets, or nobody's in particular. */
export type Asker = Pick<WorkContext, "tenant" | "runId" | "path" | "idempotencyKey" | "signal" | "budgets">;

/**
 * What memories and searches mean, by the model that the alias `embedding` stands for; nothing when there is none. Each is a call like any
 * other, under quotas and budgets. What cannot be had does no harm: words find a memory too, and it is tried again.
 */
export class Embeddings {
  readonly #deps: Deps;
  readonly #calls: EmbedCalls;
  #hasTold = false;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#calls = new EmbedCalls(deps);
  }

  /** What shares words with the text or means alike, best first. */
  async search(filter: MemoryFilter, { text, max }: { text: string; max: number }, asker: Asker): Promise<FoundMemory[]> {
    const meaning = await this.ofQuery(text, filter, asker);
    return searchMemories(this.#deps.database, filter, { text, meaning, max });
  }

  /** Of a search; undefined when it can go by words alone: nothing to compare with, no answer in time, or nothing left to pay it with. */
  async ofQuery(text: string, owner: MemoryOwner, asker: Asker): Promise<Meaning | undefined> {
    const { database, models, modelCalls } = this.#deps;
    const model = models.embedding;
    const asked = text.slice(0, limits.memoryQueryMax);
    if (model === undefined || asked.trim() === "" || !(await hasEmbedded(database, owner, model))) return undefined;
    const question = sha256(`${model} ${asked}`);
    const account = accountOf(asker, owner.agent, { key: question, asked: question, round: 1 });
    const made = await modelCalls.made(account);
    // An attempt before this one has paid for it.
    const known = made.find(({ status }) => status === "answered");
    if (known) return { model, vector: JSON.parse(known.answer!) as number[] };
    const vector = await orFault(
      this.#calls.make({ text: asked, account, index: made.length, timeoutMs: limits.embedQueryMs, signal: asker.signal, isKept: true }),
      asker.signal,
    );
    return vector instanceof Fault ? undefined : { model, vector };
  }

  /** Of a memory that was just written. It is there whatever comes of this: `catchUp` tries again. */
  async ofWritten(id: string, asker: Asker, timeoutMs: number): Promise<void> {
    const { database, models } = this.#deps;
    const model = models.embedding;
    if (model === undefined || !(await hasVectors(database))) return;
    const [memory] = await claimUnembedded(database, model, { max: 1, id });
    if (memory) await this.#embed(memory, model, { asker, timeoutMs: Math.min(limits.embedMs, timeoutMs) });
  }

  /** Of all memories that have none: written over the API, or while the model was away, or when there was none. One first, to see whether it answers. */
  async catchUp(beat: Beat): Promise<void> {
    const { database, models } = this.#deps;
    const model = models.embedding;
    if (model === undefined) return;
    if (!(await takeUpVectors(database))) return this.#tellWhy();
    const endsAt = Date.now() + limits.embedPassMs;
    for (let max = 1; Date.now() < endsAt; max = limits.embedAtOnceMax) {
      const due = await claimUnembedded(database, model, { max });
      const ends = await Promise.all(
        due.map((memory) => this.#embed(memory, model, { asker: ofNobody(memory), timeoutMs: limits.embedMs })),
      );
      beat();
      if (due.length < max || ends.some((fault) => fault && isAway(fault))) return;
    }
  }

  async #tellWhy(): Promise<void> {
    if (this.#hasTold) return;
    this.#hasTold = true;
    const { why, mend } = (await whyNoVectors(this.#deps.database)) ?? {
      why: "Postgres refused to keep embeddings",
      mend: "Its log says why.",
    };
    Context.current().log.warn(`Memories are searched by words alone, since ${why}. ${mend}`);
  }

  async #embed(
    { id, agent, text, tries }: Unembedded,
    model: string,
    { asker, timeoutMs }: { asker: Asker; timeoutMs: number },
  ): Promise<Fault | undefined> {
    const account = accountOf(asker, agent, { key: id, asked: sha256(`${model} ${text}`), round: tries });
    const keep = (transaction: Prisma.TransactionClient, vector: number[]) => keepEmbedding(transaction, id, { model, vector });
    const end = await orFault(this.#calls.make({ text, account, index: 0, timeoutMs, signal: asker.signal, keep }), asker.signal);
    return end instanceof Fault ? end : undefined;
  }
}

const accountOf = (
  { tenant, runId, path, idempotencyKey, budgets }: Asker,
  agent: string,
  { key, asked, round }: { key: string; asked: string; round: number },
): CallOwner => ({
  tenant,
  runId,
  path,
  idempotencyKey: `${idempotencyKey}:${key}`,
  round,
  since: round,
  asked,
  // Those of a step that is no published agent have a path for a name.
  ...(agent.includes("/") ? {} : { agent }),
  ...(budgets ? { budgets } : {}),
});

/** No step's: a search over the API, or what was written by somebody who is long gone. */
export const ofNobody = ({ tenant }: { tenant: string }): Asker => ({
  tenant,
  runId: "",
  path: "",
  idempotencyKey: `:${randomUUID()}`,
  signal: Context.current().cancellationSignal,
});

async function orFault<Result>(asked: Promise<Result>, signal: AbortSignal): Promise<Result | Fault> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Fault && !signal.aborted) return error;
    throw error;
  }
}

/** No other memory would have an answer now. */
const isAway = ({ code, problem }: Fault): boolean =>
  code === "timeout" || code === "unavailable" || (code === "model" && problem["retryable"] !== false);
