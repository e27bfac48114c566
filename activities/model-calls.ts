import { Prisma, type Database } from "../prisma/client.ts";
import { Fault, type Problem } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import type { ModelCallStatus } from "../contracts/model-calls.ts";
import { noUsage, type TokenUsage } from "./model-port.ts";
import type { CallRecord } from "./next-call.ts";
import type { PricedModel, Prices } from "./prices.ts";

/** What a call of a model belongs to: one round of a step. */
export interface CallOwner {
  tenant: string;
  runId: string;
  path: string;
  /** The step's idempotency key. */
  idempotencyKey: string;
  round: number;
  /** The published agent that it is made for. */
  agent?: string;
}

export interface StartedCall {
  index: number;
  /** Temporal's id of the execution it is made for: another one after a reset. */
  execution: string;
  position: number;
  model: PricedModel;
  /** An alias or `provider/model`. */
  wanted: string;
  route?: JsonObject;
  startedAt: Date;
}

export interface CallOutcome {
  status: Exclude<ModelCallStatus, "open">;
  /** null: not known. */
  usage: TokenUsage | null;
  answer?: string;
  error?: Problem;
}

/** A call that was made before: what `nextCall` reads, and what it has cost. */
export interface MadeCall extends CallRecord {
  execution: string;
  provider: string;
  model: string;
  usage: TokenUsage | null;
  costUsd: number | null;
  route: JsonObject | null;
}

/**
 * Every call of a model, in Postgres: told before it is made, settled when its outcome is known. The only place where money is
 * spent: whoever reserves does so in `begin`, and gives back in `settle`.
 */
export class ModelCalls {
  readonly #database: Database;
  readonly #prices: Prices;

  constructor(database: Database, prices: Prices) {
    this.#database = database;
    this.#prices = prices;
  }

  /** Calls of earlier attempts, in their order. One that is still open is lost: its worker went away before the answer was kept. */
  async made(owner: CallOwner): Promise<MadeCall[]> {
    const rows = await this.#database.modelCall.findMany({ where: keyOf(owner), orderBy: { callIndex: "asc" } });
    const lost = { status: "lost", error: lostProblem };
    if (rows.some(({ status }) => status === "open"))
      await this.#database.modelCall.updateMany({ where: { ...keyOf(owner), status: "open" }, data: { ...lost, endedAt: new Date() } });
    return rows.map((row) => recordOf(row.status === "open" ? { ...row, ...lost } : row));
  }

  /** Before a call is made; to tell it twice is harmless. Fault `unavailable` when another attempt makes it, as one may that was given up. */
  async begin(owner: CallOwner, call: StartedCall): Promise<void> {
    const { index, execution, position, model, wanted, route, startedAt } = call;
    const { count } = await this.#database.modelCall.createMany({
      skipDuplicates: true,
      data: {
        ...keyOf(owner),
        callIndex: index,
        execution,
        tenant: owner.tenant,
        stepPath: owner.path,
        effectRoot: rootOf(owner),
        ...(owner.agent === undefined ? {} : { agent: owner.agent }),
        provider: model.provider,
        model: model.name,
        wanted,
        position,
        ...(route ? { route: asJson(route) } : {}),
        status: "open",
        startedAt,
      },
    });
    if (count === 0) await this.#refuseOther(owner, call);
  }

  /** The row is there: told before, though nobody heard that it was; or another attempt's. */
  async #refuseOther(owner: CallOwner, { index, startedAt }: StartedCall): Promise<void> {
    const row = await this.#database.modelCall.findFirst({ where: { ...keyOf(owner), callIndex: index } });
    if (row?.startedAt.getTime() !== startedAt.getTime())
      throw new Fault("unavailable", `Another attempt of ${owner.path} is at its call ${index}.`);
  }

  /** When a call's outcome is known; gives what it cost. To tell it twice is harmless. What came too late for its attempt still counts. */
  async settle(owner: CallOwner, { index, model }: Pick<StartedCall, "index" | "model">, outcome: CallOutcome): Promise<number | null> {
    const { status, usage, answer, error } = outcome;
    const isMade = status !== "cached" && status !== "skipped";
    const costUsd = isMade ? await this.#prices.cost(owner.tenant, model, usage) : 0;
    await this.#database.modelCall.updateMany({
      where: { ...keyOf(owner), callIndex: index, status: { in: ["open", "lost"] } },
      data: {
        status,
        ...usage,
        costUsd,
        ...(answer === undefined ? {} : { answer: storable(answer) }),
        ...(error ? { error: asJson(withStorableTexts(error)) } : {}),
        endedAt: new Date(),
      },
    });
    return costUsd;
  }
}

const keyOf = ({ runId, idempotencyKey, round }: CallOwner): { runId: string; effectKey: string; attempt: number } => ({
  runId,
  effectKey: idempotencyKey,
  attempt: round,
});

/** The key begins with the run it is rooted in; ids of runs hold no colon. */
const rootOf = ({ idempotencyKey }: CallOwner): string => idempotencyKey.slice(0, idempotencyKey.indexOf(":"));

const lostProblem = {
  type: "model",
  code: "model",
  status: 502,
  title: "Model call failed",
  detail: "The worker went away before the model's answer was kept.",
};

// Postgres stores neither NUL nor half of a surrogate pair.
const storable = (text: string): string => text.replace(/[\u0000\ud800-\udfff]/gu, "\ufffd");

const withStorableTexts = (problem: Problem): JsonObject =>
  JSON.parse(JSON.stringify(problem), (_, value: unknown) => (typeof value === "string" ? storable(value) : value)) as JsonObject;

function recordOf(row: Prisma.ModelCallGetPayload<object>): MadeCall {
  return {
    index: row.callIndex,
    execution: row.execution,
    position: row.position,
    status: row.status as ModelCallStatus,
    provider: row.provider,
    model: row.model,
    ...(row.answer === null ? {} : { answer: row.answer }),
    ...(row.error === null ? {} : { error: row.error as unknown as Problem }),
    usage: usageOf(row),
    costUsd: row.costUsd,
    route: row.route as JsonObject | null,
  };
}

function usageOf(row: Prisma.ModelCallGetPayload<object>): TokenUsage | null {
  if (row.inputTokens === null) return null;
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens, isEstimated } = row;
  return {
    ...noUsage,
    inputTokens,
    outputTokens: outputTokens ?? 0,
    cacheReadTokens: cacheReadTokens ?? 0,
    cacheWriteTokens: cacheWriteTokens ?? 0,
    reasoningTokens: reasoningTokens ?? 0,
    isEstimated,
  };
}

function asJson(value: JsonObject): Prisma.InputJsonValue {
  return value as Prisma.InputJsonObject;
}
