import { setTimeout as sleep } from "node:timers/promises";
import { Fault, makeProblem } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { Prisma } from "../prisma/client.ts";
import { outcomeOfError } from "./llm-outcome.ts";
import type { CallOutcome, CallOwner, ModelCalls, StartedCall } from "./model-calls.ts";
import { estimateTokens, type Embedded } from "./model-port.ts";
import type { Models, Routed } from "./models.ts";
import { patiently } from "./patience.ts";
import { isTurn, refusedBy, type Quotas, type Turn } from "./quotas.ts";
import type { Redact } from "./redact.ts";
import { runHeaders, withDeadline, type WorkContext } from "./work.ts";

interface Deps {
  models: Models;
  modelCalls: ModelCalls;
  quotas: Quotas;
  redact: Redact;
}

export interface EmbedCall {
  text: string;
  account: CallOwner;
  index: number;
  timeoutMs: number;
  signal: AbortSignal;
  /** With the call, for a later attempt. */
  isKept?: true;
  /** In one transaction with the call's end: paid for and kept, or neither. */
  keep?: (transaction: Prisma.TransactionClient, vector: number[]) => Promise<void>;
}

/** Calls of the model that embeds, each made once: told before, under budgets and in its turn, and settled after. */
export class EmbedCalls {
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Faults: `model`, `timeout`, `budget_exceeded`; `unavailable` when the model's quota gives it no turn in time. */
  async make(call: EmbedCall): Promise<number[]> {
    const { modelCalls, quotas, models } = this.#deps;
    const { text, account, index } = call;
    const endsAt = Date.now() + call.timeoutMs;
    const routed = await models.route("embedding", { task: "embedding", inputTokens: estimateTokens(text) }, account.tenant);
    if (routed.openForMs) throw new Fault("unavailable", `${labelOf(routed)} keeps failing and is not asked for a while.`);
    const turn = await this.#turn(routed, call, endsAt);
    const { route, ...model } = routed;
    const started: StartedCall = {
      index,
      execution: "",
      position: 0,
      model,
      wanted: "embedding",
      startedAt: new Date(),
      lostAt: new Date(endsAt + limits.budgetLostAfterMs),
      ...(route ? { route } : {}),
    };
    const need = { inputTokens: () => Buffer.byteLength(text), outputTokens: 0, endsAt };
    const { until } = await modelCalls.begin(account, started, need).catch((error: unknown) => {
      quotas.giveBack(turn);
      throw error;
    });
    const limited = { signal: call.signal, ...(until ? { until } : {}) };
    const { outcome, vector } = await this.#answer(routed, call, { ...limited, leftMs: endsAt - Date.now() });
    models.learn(routed, outcome, Date.now() - started.startedAt.getTime());
    quotas.settle(turn, outcome, refusedBy(outcome));
    const { keep } = call;
    const also = vector && keep && ((transaction: Prisma.TransactionClient) => keep(transaction, vector));
    // It is paid for.
    await patiently(Date.now() + limits.embedMs, () => modelCalls.settle(account, started, outcome, also), call.signal);
    if (vector) return vector;
    call.signal.throwIfAborted();
    throw Fault.of(outcome.error!);
  }

  async #answer(
    { model, ...routed }: Routed,
    { text, account, isKept, signal }: EmbedCall,
    { leftMs, ...limited }: Pick<WorkContext, "signal" | "until"> & { leftMs: number },
  ): Promise<{ outcome: CallOutcome; vector?: number[] }> {
    try {
      const headers = runHeaders(account);
      const request = { model: routed.name, texts: [text], headers };
      const { vectors, usage } = await withDeadline(limited, Math.max(1, leftMs), (until) => model.embed({ ...request, signal: until }));
      const vector = usable(vectors);
      if (!vector)
        return { outcome: { status: "failed", usage, error: makeProblem("model_output", `${labelOf(routed)} gave no usable embedding.`) } };
      return { vector, outcome: { status: "answered", usage, ...(isKept ? { answer: JSON.stringify(vector) } : {}) } };
    } catch (error) {
      // Providers tell in their errors what they were sent.
      return { outcome: this.#deps.redact.value(outcomeOfError(error, signal)) };
    }
  }

  async #turn({ provider, name }: Routed, { account, index, text, signal }: EmbedCall, endsAt: number): Promise<Turn> {
    const { tenant, idempotencyKey, round } = account;
    const asker = {
      id: `${idempotencyKey}#${round}#${index}`,
      tenant,
      provider,
      name,
      inputTokens: estimateTokens(text),
      outputTokensMax: 0,
    };
    for (;;) {
      const answer = await this.#deps.quotas.turn(asker);
      if (isTurn(answer)) return answer;
      if (Date.now() + answer.waitMs >= endsAt) throw new Fault("unavailable", `The quota of ${answer.model} has no turn in time.`);
      await sleep(answer.waitMs, undefined, { signal });
    }
  }
}

function usable([vector]: Embedded["vectors"]): number[] | undefined {
  const fits = vector !== undefined && vector.length > 0 && vector.length <= limits.embeddingSizeMax && vector.every(Number.isFinite);
  return fits ? vector : undefined;
}

const labelOf = ({ provider, name }: Pick<Routed, "provider" | "name">): string => `${provider}/${name}`;
