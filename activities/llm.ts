import type { LlmFields } from "../contracts/activities.ts";
import { Fault, makeProblem } from "../contracts/faults.ts";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { requestHash, type AnswerCache } from "./answer-cache.ts";
import { AnotherAttempt } from "./failures.ts";
import { checkAnswer, objectSchema, repairMessages } from "./llm-output.ts";
import { judge, outcomeOfError } from "./llm-outcome.ts";
import { boundedUsage, toldUsage, totalOf } from "./llm-usage.ts";
import { LiveTokens } from "./live-tokens.ts";
import type { CallOutcome, CallOwner, MadeCall, ModelCalls, StartedCall } from "./model-calls.ts";
import { estimateInputTokens, noUsage, type ChatAnswer, type ChatRequest, type Message } from "./model-port.ts";
import type { Models, Routed } from "./models.ts";
import type { Need } from "./route.ts";
import { nextCall, type CallRules, type Next } from "./next-call.ts";
import type { Announce } from "./record.ts";
import type { StepContext, Work, Worked } from "./step.ts";
import { runHeaders, withDeadline } from "./work.ts";

export interface LlmDeps {
  models: Models;
  calls: ModelCalls;
  cache: AnswerCache;
  /** Where the words of a streamed answer go. */
  announce: Announce;
}

/**
 * Ask the wanted model, mend what does not fit, go on to its fallbacks: one call per attempt of the activity, so that no answer
 * is paid for again because of what came after it. What is to be done follows from the calls made so far (`nextCall`), which
 * Postgres keeps (`ModelCalls`).
 *
 * Out: the text, or the value of `outputSchema`; usage over all calls, also failed ones.
 * Faults: `model` (extension `upstreamStatus`), `model_output`, `timeout`, `limit`, `reserved_key`; each with `usage` as an extension.
 * `AnotherAttempt`: another call follows.
 */
export function createLlm(deps: LlmDeps): Work<LlmFields> {
  return async (fields, { outputSchema }, context) => new Asking(deps, { fields, schema: outputSchema, context }).attempt();
}

interface Ask {
  fields: LlmFields;
  schema: JsonSchema | undefined;
  context: StepContext;
}

class Asking {
  readonly #deps: LlmDeps;
  readonly #ask: Ask;
  readonly #owner: CallOwner;
  readonly #envelope: ReturnType<typeof objectSchema> | undefined;
  readonly #endsAt: number;
  #nextIndex = 0;

  constructor(deps: LlmDeps, ask: Ask) {
    const { tenant, runId, path, idempotencyKey, attempt } = ask.context;
    this.#deps = deps;
    this.#ask = ask;
    this.#owner = { tenant, runId, path, idempotencyKey, round: attempt };
    this.#endsAt = Date.now() + ask.context.timeoutMs;
    this.#envelope = ask.schema && objectSchema(ask.schema);
  }

  async attempt(): Promise<Worked> {
    const before = await this.#madeBefore();
    const next = this.#next(before);
    if (next.kind !== "call") return this.#conclude(next, before);
    const cached = before.length === 0 ? await this.#cached() : undefined;
    const made = [...before, cached ?? (await this.#make(next, before))];
    return this.#conclude(this.#next(made), made);
  }

  /**
   * The calls of this step so far. Those of an execution that was reset count when they had come to an answer: what failed then is
   * to be tried anew.
   */
  async #madeBefore(): Promise<MadeCall[]> {
    const { left, patiently, execution } = this.#ask.context;
    const unsettled = left as unknown as Unsettled | undefined;
    if (unsettled) await patiently(() => this.#deps.calls.settle(this.#owner, unsettled.call, unsettled.outcome));
    const made = await patiently(() => this.#deps.calls.made(this.#owner));
    this.#nextIndex = made.length;
    const own = made.filter((call) => call.execution === execution);
    return own.length === 0 && this.#next(made).kind === "answer" ? made : own;
  }

  #next(made: MadeCall[]): Next<MadeCall> {
    const { fields, context } = this.#ask;
    const rules: CallRules = { models: fields.models.length, repairs: fields.repairs, retry: context.retry };
    return nextCall(made, rules, Math.random());
  }

  #conclude(next: Next<MadeCall>, made: MadeCall[]): Worked {
    switch (next.kind) {
      case "answer":
        return { output: this.#read(next.record.answer ?? ""), usage: totalOf(made), told: { usage: toldUsage(made) } };
      case "fail":
        throw Fault.of({ ...next.error, usage: boundedUsage(made) });
      case "call": {
        const last = made.at(-1)?.error ?? makeProblem("model", "No model has answered.");
        throw new AnotherAttempt({ ...last, usage: boundedUsage(made) }, next.afterMs);
      }
    }
  }

  #read(answer: string): Json {
    return this.#envelope ? this.#envelope.unwrap(checkAnswer(answer, this.#envelope.schema).value) : answer;
  }

  async #make(next: Next<MadeCall> & { kind: "call" }, before: MadeCall[]): Promise<MadeCall> {
    const { fields, context } = this.#ask;
    const routed = await this.#route(next, before);
    const call: StartedCall = {
      index: this.#nextIndex,
      execution: context.execution,
      position: next.position,
      model: routed,
      wanted: fields.models[next.position] ?? "default",
      startedAt: new Date(),
      ...(routed.route ? { route: routed.route } : {}),
    };
    await context.patiently(() => this.#deps.calls.begin(this.#owner, call));
    const outcome = routed.openForMs ? skipped(routed) : await this.#outcome(routed, next);
    const made = await this.#settle(call, outcome);
    context.signal.throwIfAborted();
    await this.#keepAnswer(made);
    return made;
  }

  /** An earlier answer to the same request, as a call that was not made. One that no longer fits is none. */
  async #cached(): Promise<MadeCall | undefined> {
    const { fields, schema, context } = this.#ask;
    if (!fields.cache) return undefined;
    const found = await this.#deps.cache.find(context.tenant, requestHash(fields, schema)).catch(() => null);
    if (!found || this.#judge({ text: found.answer, toolCalls: [], finish: "stop", usage: noUsage }, found.model).status !== "answered")
      return undefined;
    const [provider, ...name] = found.model.split("/");
    const model = { provider: provider ?? "", name: name.join("/") };
    const wanted = fields.models[0] ?? "default";
    const call: StartedCall = { index: this.#nextIndex, execution: context.execution, position: 0, model, wanted, startedAt: new Date() };
    await context.patiently(() => this.#deps.calls.begin(this.#owner, call));
    return this.#settle(call, { status: "cached", usage: noUsage, answer: found.answer });
  }

  async #keepAnswer({ status, answer = "", provider, model }: MadeCall): Promise<void> {
    const { fields, schema, context } = this.#ask;
    if (!fields.cache || status !== "answered") return;
    const kept = { model: `${provider}/${model}`, answer, ttlMs: fields.cache.ttlMs };
    await this.#deps.cache.keep(context.tenant, requestHash(fields, schema), kept);
  }

  /** What is mended goes to the model that said it. A name that nobody answers to ends the step. */
  async #route({ position, repairOf }: Next<MadeCall> & { kind: "call" }, before: MadeCall[]): Promise<Routed> {
    const { fields } = this.#ask;
    const wanted = fields.models[position] ?? "default";
    const need: Need = { inputTokens: estimateInputTokens(fields), task: this.#envelope ? "structured" : "text" };
    try {
      return await this.#deps.models.route(repairOf ? `${repairOf.provider}/${repairOf.model}` : wanted, need);
    } catch (error) {
      if (!(error instanceof Fault) || before.length === 0) throw error;
      throw Fault.of({ ...error.problem, usage: boundedUsage(before) });
    }
  }

  async #outcome(routed: Routed, next: Next<MadeCall> & { kind: "call" }): Promise<CallOutcome> {
    const { context } = this.#ask;
    const startedAt = Date.now();
    const leftMs = Math.max(1, this.#endsAt - startedAt);
    const outcome = await withDeadline(context, leftMs, (signal) => this.#call(routed, this.#request(routed, next, signal))).then(
      (answer) => this.#judge(answer, labelOf(routed)),
      (error: unknown) => outcomeOfError(error, context.signal),
    );
    this.#deps.models.learn(routed, outcome, Date.now() - startedAt);
    return outcome;
  }

  async #call({ model }: Routed, request: ChatRequest): Promise<ChatAnswer> {
    if (!this.#ask.fields.stream) return model.chat(request);
    const { runId, path, round } = this.#owner;
    const live = new LiveTokens(this.#deps.announce, { runId, path, round, index: this.#nextIndex });
    try {
      return await model.stream(request, (delta) => live.add(delta));
    } finally {
      live.flush();
    }
  }

  #judge(answer: ChatAnswer, label: string): CallOutcome {
    return judge(answer, { label, schema: this.#envelope?.schema, asksAgain: (text) => this.#ask.context.asksAgain(this.#read(text)) });
  }

  #request(routed: Routed, next: Next<MadeCall> & { kind: "call" }, signal: AbortSignal): ChatRequest {
    const { fields, context } = this.#ask;
    const schema = this.#envelope?.schema;
    return {
      model: routed.name,
      messages: schema && next.repairOf ? mending(fields.messages, next.repairOf, schema) : fields.messages,
      ...(schema ? { outputSchema: schema } : {}),
      signal,
      headers: runHeaders(context, next.suffix),
    };
  }

  /** A settled call is known to the next attempt whatever becomes of this one. */
  async #settle(call: StartedCall, outcome: CallOutcome): Promise<MadeCall> {
    const { context } = this.#ask;
    const unsettled: Unsettled = { call: { index: call.index, model: modelOf(call) }, outcome };
    context.leave(unsettled as unknown as Json);
    try {
      const costUsd = await context.patiently(() => this.#deps.calls.settle(this.#owner, call, outcome));
      context.leave(undefined);
      return madeCall(call, outcome, costUsd);
    } catch (error) {
      context.signal.throwIfAborted();
      throw error;
    }
  }
}

/** What an attempt leaves to the next when Postgres was away as the answer came. */
interface Unsettled {
  call: Pick<StartedCall, "index" | "model">;
  outcome: CallOutcome;
}

/** A provider that keeps failing is left alone for a while: the row says so. */
const skipped = ({ provider, name, openForMs }: Routed): CallOutcome => ({
  status: "skipped",
  usage: noUsage,
  error: makeProblem("model", `${provider}/${name} keeps failing and is not asked for ${Math.ceil((openForMs ?? 0) / 1_000)} s.`, {
    retryable: true,
    retryAfterMs: openForMs ?? 0,
  }),
});

const madeCall = ({ index, execution, position, model, route }: StartedCall, outcome: CallOutcome, costUsd: number | null): MadeCall => ({
  index,
  execution,
  position,
  ...outcome,
  provider: model.provider,
  model: model.name,
  costUsd,
  route: route ?? null,
});

const modelOf = ({ model: { provider, name, baseUrl } }: StartedCall): StartedCall["model"] => ({ provider, name, baseUrl });

const mending = (messages: Message[], { answer = "" }: MadeCall, schema: JsonSchema): Message[] =>
  repairMessages(messages, answer, checkAnswer(answer, schema));

const labelOf = ({ provider, name }: { provider: string; name: string }): string => `${provider}/${name}`;
