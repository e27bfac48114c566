import { setTimeout as sleep } from "node:timers/promises";
import { Fault, makeProblem, type Problem } from "../contracts/faults.ts";
import type { Usage } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import type { Manner } from "../contracts/model-calls.ts";
import type { AnswerCache } from "./answer-cache.ts";
import { mannerOf, needOf } from "./call-bounds.ts";
import { AnotherAttempt } from "./failures.ts";
import { earlierAnswer } from "./earlier-answer.ts";
import { SentBack } from "./sent-back.ts";
import { outcomeOfError } from "./llm-outcome.ts";
import { boundedUsage, toldUsage, totalOf } from "./llm-usage.ts";
import { LiveTokens } from "./live-tokens.ts";
import {
  candidatesOf,
  type Allowance,
  type CallOutcome,
  type CallOwner,
  type MadeCall,
  type ModelCalls,
  type StartedCall,
} from "./model-calls.ts";
import { noUsage, type ChatAnswer, type ChatRequest, type Delta } from "./model-port.ts";
import type { Models, Routed } from "./models.ts";
import type { Need } from "./route.ts";
import { skipped, untilWell } from "./left-alone.ts";
import { isTooLong, nextCall, type CallRules, type Next } from "./next-call.ts";
import { Delayed } from "./delayed.ts";
import { isTurn, refusedBy, type Quotas, type Turn } from "./quotas.ts";
import type { Announce } from "./record.ts";
import type { Redact } from "./redact.ts";
import type { StepContext, Worked } from "./step.ts";
import { runHeaders, withDeadline } from "./work.ts";

export interface LlmDeps {
  models: Models;
  calls: ModelCalls;
  cache: AnswerCache;
  quotas: Quotas;
  /** Where the words of a streamed answer go. */
  announce: Announce;
  redact: Redact;
}

/** What is asked, and what its answers are worth. */
export interface Question {
  /** On whose behalf: a published agent, or `ownerOf` a step that describes its own, which no daily budget is of. */
  agent?: string | undefined;
  /** The wanted model, then its fallbacks. */
  models: string[];
  repairs: number;
  manner?: Manner;
  stream?: true;
  /** An earlier answer to the same question may stand for its answer. */
  cache?: { hash: string; ttlMs: number };
  need: Need;
  /** With an answer that is to be mended. */
  request(repairOf: MadeCall | undefined): Pick<ChatRequest, "messages" | "outputSchema" | "tools" | "toolChoice">;
  /** Its `answer` is what `read` understands, also in a later attempt. */
  judge(answer: ChatAnswer, label: string): CallOutcome;
  read(answer: string): Json;
  /** What stands between an answer and whoever gets it. Throws `SentBack` to have it asked again. */
  guard?: { pass(answer: string, call: number): Promise<Json>; usages: readonly Usage[]; decided: readonly string[] };
}

export interface Answered extends Worked {
  /** Of the call that was answered, as its provider has counted them. */
  inputTokens?: number;
}

/**
 * One question to the models of a chain, one call per attempt of its activity. What is to be done follows from the calls made so far
 * (`nextCall`), which Postgres keeps (`ModelCalls`).
 */
export class Asking {
  readonly #deps: LlmDeps;
  readonly #question: Question;
  readonly #context: StepContext;
  readonly #owner: CallOwner;
  readonly #endsAt: number;
  #nextIndex = 0;

  constructor(deps: LlmDeps, question: Question, context: StepContext) {
    const { tenant, runId, path, idempotencyKey, attempt, since, retryOf, asked, budgets, showBudgets } = context;
    this.#deps = deps;
    this.#question = question;
    this.#context = context;
    this.#owner = {
      tenant,
      runId,
      path,
      idempotencyKey,
      round: attempt,
      since,
      asked: asked(),
      ...(retryOf === undefined ? {} : { retryOf }),
      ...(question.agent === undefined ? {} : { agent: question.agent }),
      ...(budgets ? { budgets } : {}),
      showBudgets,
    };
    this.#endsAt = Date.now() + context.timeoutMs;
  }

  async attempt(): Promise<Answered> {
    const first = await this.#first();
    if (first && !(first instanceof Delayed)) return this.#conclude(this.#next([first]), [first]);
    const before = await this.#madeBefore();
    const next = this.#next(before);
    if (next.kind !== "call") return this.#conclude(next, before);
    // Its place is that of the first call.
    if (first && this.#nextIndex === 0) throw first;
    const standing = before.length === 0 ? await this.#standing() : undefined;
    const made = [...before, standing ?? (await this.#make(await this.#begin(next, before)))];
    return this.#conclude(this.#next(made), made);
  }

  /** A step's first call needs no look at those before it: its row says whether there were any. */
  async #first(): Promise<MadeCall | Delayed | undefined> {
    if (this.#context.isAgain || this.#question.cache || this.#owner.retryOf !== undefined) return undefined;
    const next: NextCall = { kind: "call", position: 0, afterMs: 0, suffix: "" };
    // Whatever keeps it from beginning, an answer that was kept before goes first.
    const begun = await this.#begin(next, []).catch((error: unknown) => {
      if (error instanceof Delayed) return error;
      if (error instanceof Fault) return undefined;
      throw error;
    });
    return begun && (begun instanceof Delayed ? begun : this.#make(begun));
  }

  /**
   * The calls of this step so far. Those of an execution that was reset count when they had come to an answer: what failed then is
   * to be tried anew. So is what a budget had cut short before it was raised.
   */
  async #madeBefore(): Promise<MadeCall[]> {
    const { left, patiently, execution } = this.#context;
    const unsettled = isObject(left) ? (left[this.#owner.idempotencyKey] as unknown as Unsettled | undefined) : undefined;
    if (unsettled) await patiently(() => this.#deps.calls.settle(this.#owner, unsettled.call, unsettled.outcome));
    const made = await patiently(() => this.#deps.calls.made(this.#owner));
    this.#nextIndex = (made.at(-1)?.index ?? -1) + 1;
    const held = made.filter((call) => call.round === this.#owner.round || call.error?.code !== "budget_exceeded");
    const own = held.filter((call) => call.execution === execution);
    return own.length === 0 && this.#next(held).kind === "answer" ? held : own;
  }

  #next(made: MadeCall[]): Next<MadeCall> {
    const { models, repairs } = this.#question;
    const rules: CallRules = { models: models.length, repairs, retry: this.#context.retry };
    return nextCall(made, rules, Math.random());
  }

  async #conclude(next: Next<MadeCall>, made: MadeCall[]): Promise<Answered> {
    switch (next.kind) {
      case "answer":
        return this.#passed(next.record, made);
      case "fail":
        throw Fault.of({ ...next.error, usage: this.#spent(made) });
      case "call": {
        const last = made.at(-1)?.error ?? makeProblem("model", "No model has answered.");
        throw new AnotherAttempt({ ...last, usage: this.#spent(made) }, next.afterMs);
      }
    }
  }

  /** An answer that was paid for stays known, whatever those who look at it make of it. */
  async #passed(record: MadeCall, made: MadeCall[]): Promise<Answered> {
    const { guard } = this.#question;
    const { answer = "", index } = record;
    const own = this.#own(made);
    try {
      const output = guard ? await guard.pass(answer, index) : this.#question.read(answer);
      await this.#keepAnswer(record);
      return {
        output,
        usage: totalOf(own, guard?.usages),
        told: { usage: toldUsage(own, guard?.usages) },
        ...notedBy(guard, made),
        ...countedBy(record),
      };
    } catch (error) {
      if (error instanceof Fault && guard) throw Fault.of({ ...error.problem, usage: this.#spent(made) });
      if (!(error instanceof SentBack)) throw error;
      const { problem } = error;
      await this.#context.patiently(() => this.#deps.calls.refuse(this.#owner, record, problem));
      const known = made.map((call) => (call.index === index ? { ...call, status: "unfit" as const, error: problem } : call));
      return this.#conclude(this.#next(known), known);
    }
  }

  /** What this round has paid: what those before it have, they have told. */
  #own(made: MadeCall[]): MadeCall[] {
    return made.map((call) => (call.round === this.#owner.round ? call : { ...call, status: "skipped", usage: noUsage, costUsd: 0 }));
  }

  #spent(made: MadeCall[]): JsonObject {
    return boundedUsage(this.#own(made), this.#question.guard?.usages);
  }

  async #make(begun: Begun): Promise<MadeCall> {
    const { routed, call, turn } = begun;
    const context = this.#context;
    const outcome = routed.openForMs ? skipped(routed) : await this.#outcome(begun);
    if (turn) this.#deps.quotas.settle(turn, outcome, refusedBy(outcome));
    const made = await this.#settle(call, outcome);
    context.signal.throwIfAborted();
    return made;
  }

  /** A name that nobody answers to ends the step; so do budgets, unless they let it ask another model. Which one is large enough is tried. */
  async #begin(next: NextCall, before: MadeCall[]): Promise<Begun> {
    try {
      return await this.#beginWith(next, before);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const position = next.position + 1;
      const isOthers = error.code === "context_too_long" || error.problem["isUnable"] === true || isDowngraded(error.problem);
      if (isOthers && position < this.#question.models.length)
        return this.#begin({ kind: "call", position, afterMs: 0, suffix: `:fallback${position}` }, before);
      throw before.length === 0 ? error : Fault.of({ ...error.problem, usage: this.#spent(before) });
    }
  }

  async #beginWith(next: NextCall, before: MadeCall[]): Promise<Begun> {
    const context = this.#context;
    const routed = await context.patiently(() => this.#route(next, before));
    if (routed.openForMs && next.position + 1 >= this.#question.models.length) throw untilWell(routed, routed.openForMs);
    const turn = routed.openForMs ? undefined : await this.#turn(routed);
    const call: StartedCall = {
      index: this.#nextIndex,
      execution: context.execution,
      position: next.position,
      model: routed,
      wanted: this.#question.models[next.position] ?? "default",
      startedAt: new Date(),
      ...(routed.route ? { route: routed.route } : {}),
    };
    const { manner = {} } = this.#question;
    const bounds = { model: routed, manner, endsAt: this.#endsAt };
    const need = routed.openForMs ? undefined : needOf(() => this.#question.request(next.repairOf), bounds);
    try {
      const allowed = await context.patiently(() => this.#deps.calls.begin(this.#owner, call, need));
      return { next, routed, call, allowed, turn };
    } catch (error) {
      if (turn) this.#deps.quotas.giveBack(turn);
      throw error;
    }
  }

  /** `Delayed` when it is not this call's turn: then it has not begun. */
  async #turn({ provider, name }: Routed): Promise<Turn> {
    const { tenant, idempotencyKey, round } = this.#owner;
    const id = `${idempotencyKey}#${round}#${this.#nextIndex}`;
    const { need, manner } = this.#question;
    const asker = { id, tenant, provider, name, inputTokens: need.inputTokens, outputTokensMax: manner?.maxOutputTokens };
    for (let tries = 1; ; tries++) {
      const answer = await this.#context.patiently(() => this.#deps.quotas.turn(asker));
      if (isTurn(answer)) return answer;
      if (answer.waitMs > limits.quotaHoldMsMax || tries > HOLDS_MAX)
        throw new Delayed({ for: `the quota of ${answer.model}`, ms: Math.max(1, answer.waitMs - EARLY_MS) });
      await sleep(answer.waitMs, undefined, { signal: this.#context.signal }).catch(() => this.#context.signal.throwIfAborted());
    }
  }

  /** As a call that was not made. */
  async #standing(): Promise<MadeCall | undefined> {
    const { execution, patiently } = this.#context;
    const asker = { owner: this.#owner, nextIndex: this.#nextIndex, patiently };
    const found = await earlierAnswer(this.#deps, this.#question, asker);
    if (!found) return undefined;
    const { callIndex: index, position, provider, model: name, wanted, answer } = found;
    const call: StartedCall = { index, execution, position, model: { provider, name }, wanted, startedAt: new Date() };
    await patiently(() => this.#deps.calls.begin(this.#owner, call));
    return this.#settle(call, { status: "cached", usage: noUsage, answer });
  }

  async #keepAnswer({ status, answer = "", provider, model }: MadeCall): Promise<void> {
    const { cache } = this.#question;
    if (!cache || status !== "answered") return;
    await this.#deps.cache.keep(this.#context.tenant, cache.hash, { model: `${provider}/${model}`, answer, ttlMs: cache.ttlMs });
  }

  /** What is mended goes to the model that said it; what was too long for one goes to another of its alias. */
  #route({ position, repairOf }: NextCall, before: MadeCall[]): Promise<Routed> {
    const { models, need } = this.#question;
    const wanted = repairOf ? labelOf({ provider: repairOf.provider, name: repairOf.model }) : (models[position] ?? "default");
    const refusedBy = before.filter(isTooLong).map(({ provider, model }) => labelOf({ provider, name: model }));
    return this.#deps.models.route(wanted, { ...need, ...(refusedBy.length > 0 ? { refusedBy } : {}) }, this.#owner.tenant);
  }

  async #outcome({ next, routed, allowed: { outputTokensMax, cut, until } }: Begun): Promise<CallOutcome> {
    const context = until ? { ...this.#context, until } : this.#context;
    const startedAt = Date.now();
    const leftMs = Math.max(1, this.#endsAt - startedAt);
    const limited = outputTokensMax === undefined ? {} : { outputTokensMax };
    const ask = (signal: AbortSignal): Promise<ChatAnswer> => this.#call(routed, { ...this.#request(routed, next, signal), ...limited });
    const outcome = await withDeadline(context, leftMs, ask)
      .then((answer) => cutOutcome(this.#question.judge(answer, labelOf(routed)), answer, cut))
      .catch((error: unknown) => {
        const failed = outcomeOfError(error, context.signal);
        if (failed.error?.code === "defect") context.log?.("a defect in a call of a model", { stack: String((error as Error).stack) });
        return failed;
      });
    this.#deps.models.learn(routed, outcome, Date.now() - startedAt);
    // Providers tell in their errors what they were sent.
    return this.#deps.redact.value(outcome);
  }

  async #call({ model }: Routed, request: ChatRequest): Promise<ChatAnswer> {
    if (!this.#question.stream) return model.chat(request);
    const { runId, path, round } = this.#owner;
    const live = new LiveTokens(this.#deps.announce, { runId, path, round, index: this.#nextIndex });
    const shown = { text: this.#deps.redact.inPieces(), thinking: this.#deps.redact.inPieces() };
    const show = (kind: Delta["kind"], piece?: string): void => {
      const text = shown[kind](piece);
      if (text !== "") live.add({ kind, text });
    };
    try {
      return await model.stream(request, ({ kind, text }) => show(kind, text));
    } finally {
      show("thinking");
      show("text");
      live.flush();
    }
  }

  #request(routed: Routed, next: NextCall, signal: AbortSignal): ChatRequest {
    const asked = { ...this.#question.request(next.repairOf), ...mannerOf(this.#question.manner ?? {}) };
    return { ...asked, model: routed.name, signal, headers: runHeaders(this.#context, next.suffix) };
  }

  /** A settled call is known to the next attempt whatever becomes of this one. */
  async #settle(call: StartedCall, outcome: CallOutcome): Promise<MadeCall> {
    const context = this.#context;
    const unsettled: Unsettled = { call: { index: call.index, model: modelOf(call) }, outcome };
    // A step may ask several questions, each under its own key.
    context.leave({ [this.#owner.idempotencyKey]: unsettled as unknown as Json });
    try {
      const costUsd = await context.patiently(() => this.#deps.calls.settle(this.#owner, call, outcome));
      context.leave(undefined);
      return { ...madeCall(call, outcome, costUsd), round: this.#owner.round };
    } catch (error) {
      context.signal.throwIfAborted();
      throw error;
    }
  }
}

const isDowngraded = ({ code, onExceed }: Problem): boolean => code === "budget_exceeded" && onExceed === "downgradeModel";

const countedBy = ({ usage }: MadeCall): { inputTokens?: number } =>
  usage === null || usage.isEstimated ? {} : { inputTokens: usage.inputTokens };

/** What was refused before this attempt its calls tell. */
function notedBy(guard: Question["guard"], made: MadeCall[]): Pick<Worked, "guarded"> {
  const refused = made.flatMap(({ error }) => (error?.code === "guardrail" ? [`${error["rule"] as string}: retry`] : []));
  const guarded = [...new Set([...refused, ...(guard?.decided ?? [])])];
  return guarded.length === 0 ? {} : { guarded };
}

type NextCall = Next<MadeCall> & { kind: "call" };

interface Begun {
  /** What is asked: where budgets allow only another model, not what was to be asked first. */
  next: NextCall;
  routed: Routed;
  call: StartedCall;
  allowed: Allowance;
  turn: Turn | undefined;
}

/** Waits so short that they cost less here than as a timer; others may come between. */
const HOLDS_MAX = 3;
/** A timer and a free worker take a while: whoever comes early sits out the rest. */
const EARLY_MS = 250;

/** Of an answer that its budgets have cut short, they are the reason. */
const cutOutcome = (judged: CallOutcome, { finish, usage }: ChatAnswer, cut: Problem | undefined): CallOutcome =>
  cut && finish === "length" && judged.status !== "answered" ? { status: "failed", usage, error: cut } : judged;

/** What an attempt leaves to the next when Postgres was away as the answer came. */
interface Unsettled {
  call: Pick<StartedCall, "index" | "model">;
  outcome: CallOutcome;
}

const madeCall = ({ index, execution, position, model, route }: StartedCall, outcome: CallOutcome, costUsd: number | null) => ({
  index,
  execution,
  position,
  ...outcome,
  provider: model.provider,
  model: model.name,
  costUsd,
  route: route ?? null,
  ...candidatesOf(route),
});

const modelOf = ({ model: { provider, name, baseUrl } }: StartedCall): StartedCall["model"] => ({ provider, name, baseUrl });

const labelOf = ({ provider, name }: { provider: string; name: string }): string => `${provider}/${name}`;
