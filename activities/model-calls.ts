import type { Database, Prisma } from "../prisma/client.ts";
import {
  closeCall,
  paidAnswer,
  openCall,
  type CallKey,
  type CloseOf,
  type ClosedCall,
  type EarlierAnswer,
  type OpenCall,
} from "../prisma/model-calls.ts";
import { NANO, nothing, wholeNano, type Amount, type BudgetLeft, type BudgetRef } from "../contracts/budgets.ts";
import { terminalStatuses } from "../contracts/events.ts";
import { Fault, type Problem } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { defaults, limits } from "../contracts/limits.ts";
import type { ModelCallStatus, TokenUsage } from "../contracts/model-calls.ts";
import type { Quota } from "../contracts/quotas.ts";
import type { Budgets, Reservation, Until } from "./budgets.ts";
import { noUsage } from "./model-port.ts";
import type { CallRecord } from "./next-call.ts";
import type { PricedModel, Prices } from "./prices.ts";
import type { Beat } from "./sweep.ts";
import { less, type CallSize } from "./reservation.ts";
import { rootOfKey } from "../contracts/ids.ts";
import { storable } from "../prisma/storable.ts";

/** What a call of a model belongs to: one round of a step, which may go on from those before it. */
export interface CallOwner {
  tenant: string;
  runId: string;
  path: string;
  /** The step's idempotency key. */
  idempotencyKey: string;
  round: number;
  /** The first of those that it goes on from; its own when there are none. */
  since: number;
  /** The run that its own tries again. */
  retryOf?: string;
  /** What its step asks, as a hash. */
  asked: string;
  /** On whose behalf. */
  agent?: string;
  /** What it may spend. */
  budgets?: readonly BudgetRef[];
  /** Told what they leave. */
  showBudgets?: ((left: BudgetLeft[]) => void) | undefined;
}

/** How much a call may take, for its budgets. */
export interface CallNeed {
  /** At most. Asked when it falls under a budget: the whole conversation is written out for it. */
  inputTokens: () => number;
  /** At most; as many as any call gets, when it does not say. */
  outputTokens?: number;
  /** When it has ended, one way or another. */
  endsAt: number;
}

/** What its budgets leave to a call; nothing is said when it falls under none. */
export interface Allowance {
  outputTokensMax?: number;
  /** What an answer that needs more fails with. */
  cut?: Problem;
  until?: Until;
}

const allowanceOf = ({ outputTokens, cut, until }: Reservation): Allowance => ({
  outputTokensMax: outputTokens,
  ...(cut ? { cut } : {}),
  ...(until ? { until } : {}),
});

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
  /** When it counts as lost, if nobody who is to make the same call will find it open. */
  lostAt?: Date;
}

export interface CallOutcome {
  status: Exclude<ModelCallStatus, "open">;
  /** null: not known. */
  usage: TokenUsage | null;
  /** The usage is an estimate of what there was of the answer: what it has cost, nobody knows. */
  isCut?: true;
  answer?: string;
  error?: Problem;
  /** What its provider said of its limits when it refused. */
  told?: Quota;
}

/** A call that was made before: what `nextCall` reads, and what it has cost. */
export interface MadeCall extends CallRecord {
  round: number;
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
  readonly #budgets: Budgets;

  constructor(database: Database, { prices, budgets }: { prices: Prices; budgets: Budgets }) {
    this.#database = database;
    this.#prices = prices;
    this.#budgets = budgets;
  }

  /** Calls of earlier attempts, in their order. One that is still open is lost: its worker went away before the answer was kept. */
  async made(owner: CallOwner): Promise<MadeCall[]> {
    const where = { ...keyOf(owner), attempt: { gte: owner.since, lte: owner.round } };
    const rows = await this.#database.modelCall.findMany({ where, orderBy: { callIndex: "asc" } });
    for (const { status, attempt, callIndex } of rows)
      if (status === "open") await this.#close({ ...keyOf(owner), attempt, callIndex }, losing);
    return rows.map((row) => recordOf(row.status === "open" ? { ...row, status: lost.status, error: lostProblem } : row));
  }

  /** What a run that this one tries again was told, and has paid: the same question need not be asked again. */
  async earlier({ tenant, retryOf, idempotencyKey, asked }: CallOwner): Promise<EarlierAnswer | undefined> {
    return retryOf === undefined ? undefined : paidAnswer(this.#database, { tenant, retryOf, effectKey: idempotencyKey, asked });
  }

  /**
   * Before a call is made; to tell it twice is harmless. `need` of a call that costs something: it is reserved in all budgets that
   * it falls under, and gives how long the answer may be. Faults: `budget_exceeded`; `unavailable` when another attempt makes it,
   * as one may that was given up.
   */
  async begin(owner: CallOwner, call: StartedCall, need?: CallNeed): Promise<Allowance> {
    const scopes = need ? await this.#budgets.scopesOf(owner) : [];
    if (need && scopes.length > 0) return this.#beginReserved(owner, call, { need, scopes });
    if (!(await openCall(this.#database, openRow(owner, call)))) await this.#refuseOther(owner, call);
    return {};
  }

  async #beginReserved(owner: CallOwner, call: StartedCall, { need, scopes }: { need: CallNeed; scopes: string[] }): Promise<Allowance> {
    const { tenant } = owner;
    const size = await this.#sizeOf(tenant, call.model, need);
    const label = `${call.model.provider}/${call.model.name}`;
    const lostAt = new Date(need.endsAt + limits.budgetLostAfterMs);
    try {
      return await this.#database.$transaction(async (transaction) => {
        const reservation = await this.#budgets.reserve(transaction, tenant, { scopes, size, label });
        const row = { ...openRow(owner, call), lostAt, reservation: reservation as unknown as JsonObject };
        if (!(await openCall(transaction, row))) throw otherAttempt(owner, call);
        return allowanceOf(reservation);
      });
    } catch (error) {
      // Told before, though nobody heard that it was: then what is refused was set aside already.
      const known = await this.#database.modelCall.findFirst({ where: { ...keyOf(owner), callIndex: call.index } });
      if (!known) throw error;
      if (known.startedAt.getTime() !== call.startedAt.getTime()) throw otherAttempt(owner, call);
      return allowanceOf(known.reservation as unknown as Reservation);
    }
  }

  async #sizeOf(tenant: string, model: PricedModel, need: CallNeed): Promise<CallSize> {
    const inputTokens = need.inputTokens();
    const { outputTokens = defaults.budgetOutputTokens } = need;
    // It may be that all of it is written to the provider's cache, which costs more than to read it.
    const cacheWriteTokens = model.provider === "anthropic" ? inputTokens : 0;
    const cost = (output: number): Promise<number | null> =>
      this.#prices.cost(tenant, model, { ...noUsage, inputTokens, cacheWriteTokens, outputTokens: output });
    const [without, whole] = await Promise.all([cost(0), cost(outputTokens)]);
    const isKnown = without !== null && whole !== null;
    const perToken = isKnown && outputTokens > 0 ? ((whole - without) * NANO) / outputTokens : 0;
    const price = isKnown ? { inputNanoUsd: without * NANO, outputTokenNanoUsd: perToken } : null;
    return { inputTokens, outputTokens, price };
  }

  /** The row is there: told before, though nobody heard that it was; or another attempt's. */
  async #refuseOther(owner: CallOwner, call: StartedCall): Promise<void> {
    const row = await this.#database.modelCall.findFirst({ where: { ...keyOf(owner), callIndex: call.index } });
    if (row?.startedAt.getTime() !== call.startedAt.getTime()) throw otherAttempt(owner, call);
  }

  /**
   * When a call's outcome is known; gives what it cost. To tell it twice is harmless. What came too late for its attempt still counts.
   * `also`: what is written with it, or not at all.
   */
  async settle(
    owner: CallOwner,
    { index, model }: Pick<StartedCall, "index" | "model">,
    outcome: CallOutcome,
    also?: Also,
  ): Promise<number | null> {
    const { status, usage, isCut, answer, error } = outcome;
    const isMade = status !== "cached" && status !== "skipped";
    const costUsd = isMade ? await this.#prices.cost(owner.tenant, model, usage) : 0;
    const closed = { status, usage, costUsd, answer: answer ?? null, error: (error as JsonObject | undefined) ?? null };
    const spent = isMade ? { usage: isCut ? null : usage, costUsd } : undefined;
    const closing: Closing = { from: ["open", "lost"], closed, spent, isCapped: (owner.budgets ?? []).length > 0 };
    const left = await this.#close({ ...keyOf(owner), callIndex: index }, closing, also);
    if (left) owner.showBudgets?.(left);
    return costUsd;
  }

  /** An answer that does not count after all: a guardrail has not let it pass. To tell it twice is harmless. */
  async refuse(owner: CallOwner, { round, index }: Pick<MadeCall, "round" | "index">, problem: Problem): Promise<void> {
    const where = { ...keyOf(owner), attempt: round, callIndex: index, status: { in: ["answered", "cached"] } };
    const error = storable(problem as unknown as JsonObject) as Prisma.InputJsonObject;
    await this.#database.modelCall.updateMany({ where, data: { status: "unfit", error } });
  }

  /** Calls that nobody will settle: their workers went away with their runs, or their time is long over. Gives how many. */
  async healLost(beat: Beat): Promise<number> {
    const rows = await this.#database.$queryRaw<CallKey[]>`
      SELECT run_id AS "runId", effect_key AS "effectKey", attempt, call_index AS "callIndex" FROM model_calls AS calls
      WHERE status = 'open' AND lost_at IS NOT NULL AND (lost_at < now()
        OR EXISTS (SELECT 1 FROM runs WHERE runs.id = calls.run_id AND runs.status = ANY(${[...terminalStatuses]})))
      LIMIT ${limits.budgetsHealedMax}`;
    // One after the other: they lock the same budgets.
    for (const key of rows) {
      await this.#close(key, losing);
      beat();
    }
    return rows.length;
  }

  /** The one who ends a call gives back what was set aside for it, and books what it came to: of one that was thought lost, in place of all that. */
  async #close(key: CallKey, { from, closed, spent, isCapped }: Closing, also?: Also): Promise<BudgetLeft[] | undefined> {
    const isAlone = !also && !isCapped;
    if (isAlone && (await closeCall(this.#database, key, { from, closed, isReserved: false }))) return undefined;
    return this.#database.$transaction(async (transaction) => {
      await also?.(transaction);
      // One by one: which it was decides what is booked already.
      for (const before of from) {
        const call = await closeCall(transaction, key, { from: [before], closed, isReserved: true });
        if (call) return this.#book(transaction, call, { before, spent });
      }
      return undefined;
    });
  }

  async #book(
    transaction: Prisma.TransactionClient,
    { tenant, reservation: kept }: CloseOf,
    { before, spent }: Pick<Closing, "spent"> & { before: ModelCallStatus },
  ): Promise<BudgetLeft[] | undefined> {
    if (!kept) return undefined;
    const reservation = kept as unknown as Reservation;
    const came = spent ? amountOf(reservation, spent) : nothing;
    const booking = before === "open" ? { held: reservation.held, spent: came } : { held: nothing, spent: less(came, reservation.held) };
    return this.#budgets.settle(transaction, tenant, { reservation, ...booking });
  }
}

type Also = ((transaction: Prisma.TransactionClient) => Promise<void>) | undefined;

interface Closing {
  from: ModelCallStatus[];
  closed: ClosedCall;
  /** Most likely something was set aside for it: it is not tried first without that. */
  isCapped?: boolean;
  /** Of a call that was made. */
  spent?: { usage: TokenUsage | null; costUsd: number | null } | undefined;
}

/** Of a call whose answer was cut off, or whose worker went away, nobody knows what it has cost: all that was set aside. */
function amountOf({ held }: Reservation, { usage, costUsd }: NonNullable<Closing["spent"]>): Amount {
  if (usage === null) return held;
  const nanoUsd = costUsd === null ? held.nanoUsd : wholeNano(costUsd * NANO);
  return { tokens: usage.inputTokens + usage.outputTokens, nanoUsd, modelCalls: 1, toolCalls: 0, wallTimeMs: 0 };
}

const openRow = (owner: CallOwner, { index, execution, position, model, wanted, route, startedAt, lostAt }: StartedCall): OpenCall => ({
  ...keyOf(owner),
  callIndex: index,
  execution,
  tenant: owner.tenant,
  stepPath: owner.path,
  effectRoot: rootOfKey(owner.idempotencyKey),
  agent: owner.agent ?? null,
  provider: model.provider,
  model: model.name,
  wanted,
  position,
  route: route ?? null,
  asked: owner.asked,
  startedAt,
  reservation: null,
  lostAt: lostAt ?? null,
});

const otherAttempt = ({ path }: CallOwner, { index }: StartedCall): Fault =>
  new Fault("unavailable", `Another attempt of ${path} is at its call ${index}.`);

const keyOf = ({ runId, idempotencyKey, round }: CallOwner): { runId: string; effectKey: string; attempt: number } => ({
  runId,
  effectKey: idempotencyKey,
  attempt: round,
});

const lostProblem = {
  type: "model",
  code: "model",
  status: 502,
  title: "Model call failed",
  detail: "The worker went away before the model's answer was kept.",
};

const lost: ClosedCall = { status: "lost", usage: null, costUsd: null, answer: null, error: lostProblem };

/** Its provider may have answered, and is paid then: an answer that ends each worker would otherwise cost nothing, however often. */
const losing: Closing = { from: ["open"], closed: lost, spent: { usage: null, costUsd: null } };

function recordOf(row: Prisma.ModelCallGetPayload<object>): MadeCall {
  return {
    index: row.callIndex,
    round: row.attempt,
    execution: row.execution,
    position: row.position,
    status: row.status as ModelCallStatus,
    provider: row.provider,
    model: row.model,
    ...candidatesOf(row.route as JsonObject | null),
    ...(row.answer === null ? {} : { answer: row.answer }),
    ...(row.error === null ? {} : { error: row.error as unknown as Problem }),
    usage: usageOf(row),
    costUsd: row.costUsd,
    route: row.route as JsonObject | null,
  };
}

/** Of a route: how many there were to choose from. */
export const candidatesOf = (route: JsonObject | null | undefined): { candidates?: number } =>
  Array.isArray(route?.["candidates"]) ? { candidates: route["candidates"].length } : {};

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
