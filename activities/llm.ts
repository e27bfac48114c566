import type { LlmFields, Usage } from "../contracts/activities.ts";
import { Fault, makeProblem } from "../contracts/faults.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import { AnotherAttempt } from "./failures.ts";
import { checkAnswer, objectSchema, repairMessages } from "./llm-output.ts";
import { judge, outcomeOfError } from "./llm-outcome.ts";
import type { CallOutcome, CallOwner, MadeCall, ModelCalls, StartedCall } from "./model-calls.ts";
import { estimateInputTokens, noUsage, type ChatAnswer, type ChatRequest, type Message } from "./model-port.ts";
import type { Models, Routed } from "./models.ts";
import type { Need } from "./route.ts";
import { nextCall, type CallRules, type Next } from "./next-call.ts";
import type { StepContext, Work, Worked } from "./step.ts";
import { runHeaders, withDeadline } from "./work.ts";

export interface LlmDeps {
  models: Models;
  calls: ModelCalls;
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

  constructor(deps: LlmDeps, ask: Ask) {
    const { tenant, runId, path, idempotencyKey, round } = ask.context;
    this.#deps = deps;
    this.#ask = ask;
    this.#owner = { tenant, runId, path, idempotencyKey, round };
    this.#envelope = ask.schema && objectSchema(ask.schema);
  }

  async attempt(): Promise<Worked> {
    const before = await this.#madeBefore();
    const next = this.#next(before);
    return next.kind === "call" ? this.#afterCall(before, await this.#make(next, before)) : this.#conclude(next, before);
  }

  async #madeBefore(): Promise<MadeCall[]> {
    const { isAgain, left, patiently } = this.#ask.context;
    if (!isAgain) return [];
    const unsettled = left as unknown as Unsettled | undefined;
    if (unsettled) await patiently(() => this.#deps.calls.settle(this.#owner, unsettled.call, unsettled.outcome));
    return patiently(() => this.#deps.calls.made(this.#owner));
  }

  #next(made: MadeCall[]): Next<MadeCall> {
    const { fields, context } = this.#ask;
    const rules: CallRules = { models: fields.models.length, repairs: fields.repairs, retry: context.retry };
    return nextCall(made, rules, Math.random());
  }

  #afterCall(before: MadeCall[], call: MadeCall): Worked {
    const made = [...before, call];
    return this.#conclude(this.#next(made), made);
  }

  #conclude(next: Next<MadeCall>, made: MadeCall[]): Worked {
    const usage = totalOf(made);
    switch (next.kind) {
      case "answer":
        return { output: this.#read(next.record.answer ?? ""), usage, ...toldOf(usage, made) };
      case "fail":
        throw Fault.of({ ...next.error, usage: { ...usage, ...routesOf(made) } });
      case "call": {
        const last = made.at(-1)?.error ?? makeProblem("model", "No model has answered.");
        throw new AnotherAttempt({ ...last, usage: { ...usage, ...routesOf(made) } }, next.afterMs);
      }
    }
  }

  #read(answer: string): Json {
    return this.#envelope ? this.#envelope.unwrap(checkAnswer(answer, this.#envelope.schema).value) : answer;
  }

  async #make(next: Next<MadeCall> & { kind: "call" }, before: MadeCall[]): Promise<MadeCall> {
    const { fields, context } = this.#ask;
    const routed = await this.#route(next, before);
    const wanted = fields.models[next.position] ?? "default";
    const call: StartedCall = {
      index: before.length,
      position: next.position,
      model: routed,
      wanted,
      ...(routed.route ? { route: routed.route } : {}),
    };
    await context.patiently(() => this.#deps.calls.begin(this.#owner, call));
    const outcome = routed.openForMs ? skipped(routed) : await this.#outcome(routed, next);
    const costUsd = await this.#settle(call, outcome);
    context.signal.throwIfAborted();
    const { index, position } = call;
    const { status, usage, answer, error } = outcome;
    return {
      index,
      position,
      status,
      usage,
      ...(answer === undefined ? {} : { answer }),
      ...(error ? { error } : {}),
      provider: routed.provider,
      model: routed.name,
      costUsd,
      route: routed.route ?? null,
    };
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
      throw Fault.of({ ...error.problem, usage: { ...totalOf(before) } });
    }
  }

  async #outcome(routed: Routed, next: Next<MadeCall> & { kind: "call" }): Promise<CallOutcome> {
    const { context } = this.#ask;
    const startedAt = Date.now();
    const outcome = await withDeadline(context, context.timeoutMs, (signal) => routed.model.chat(this.#request(routed, next, signal))).then(
      (answer) => this.#judge(answer, routed),
      (error: unknown) => outcomeOfError(error, context.signal),
    );
    this.#deps.models.learn(routed, outcome, Date.now() - startedAt);
    return outcome;
  }

  #judge(answer: ChatAnswer, routed: Routed): CallOutcome {
    return judge(answer, {
      label: labelOf(routed),
      schema: this.#envelope?.schema,
      asksAgain: (text) => this.#ask.context.asksAgain(this.#read(text)),
    });
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
  async #settle(call: StartedCall, outcome: CallOutcome): Promise<number | null> {
    const { context } = this.#ask;
    const unsettled: Unsettled = { call: { index: call.index, model: modelOf(call) }, outcome };
    context.leave(unsettled as unknown as Json);
    try {
      const costUsd = await context.patiently(() => this.#deps.calls.settle(this.#owner, call, outcome));
      context.leave(undefined);
      return costUsd;
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

const modelOf = ({ model: { provider, name, baseUrl } }: StartedCall): StartedCall["model"] => ({ provider, name, baseUrl });

const mending = (messages: Message[], { answer = "" }: MadeCall, schema: JsonSchema): Message[] =>
  repairMessages(messages, answer, checkAnswer(answer, schema));

const labelOf = ({ provider, name }: { provider: string; name: string }): string => `${provider}/${name}`;

/** What a step has paid. Its model is the one asked last: the one that answered. */
function totalOf(made: MadeCall[]): Usage {
  const last = made.at(-1);
  const sum = (tokens: (call: MadeCall) => number): number => made.reduce((total, call) => total + tokens(call), 0);
  return {
    model: last ? `${last.provider}/${last.model}` : "none",
    inputTokens: sum(({ usage }) => (usage ?? noUsage).inputTokens),
    outputTokens: sum(({ usage }) => (usage ?? noUsage).outputTokens),
    costUsd: made.some(({ costUsd }) => costUsd === null) ? null : sum(({ costUsd }) => costUsd ?? 0),
    calls: made.filter(({ status }) => status !== "cached" && status !== "skipped").length,
  };
}

/** Why which model was asked, once per model. */
function routesOf(made: MadeCall[]): { routes?: JsonObject[] } {
  const routes = made.flatMap(({ route }) => (route ? [route] : []));
  const distinct = [...new Map(routes.map((route) => [JSON.stringify(route), route])).values()];
  return distinct.length === 0 ? {} : { routes: distinct };
}

const toldOf = (usage: Usage, made: MadeCall[]): { told?: JsonObject } => {
  const routes = routesOf(made);
  return routes.routes ? { told: { usage: { ...usage, ...routes } } } : {};
};
