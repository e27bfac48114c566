import type { LlmFields, Usage } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import { checkAnswer, objectSchema, repairMessages, type AnswerCheck } from "./llm-output.ts";
import type { ChatAnswer, ChatRequest, Models, ResolvedModel } from "./model-port.ts";
import { fromOutside, runHeaders, withDeadline, type WorkContext } from "./work.ts";

export type Llm = (
  fields: LlmFields,
  options: { outputSchema?: JsonSchema },
  context: WorkContext,
) => Promise<{ output: Json; usage: Usage }>;

/**
 * Ask the wanted model, then its fallbacks, within one attempt.
 *
 * Out: the text, or the value of `outputSchema`; usage over all calls, also of failed and repaired ones.
 * Faults: `model` (extensions `retryable`, `retryAfterMs`), `model_output`, `timeout`, `limit`, `reserved_key`; each with
 * `usage` as an extension, since failed calls are paid for too.
 * Retry: safe; the idempotency key is the step's, `:repairN` and `:fallbackN` are added for calls that differ.
 */
export function createLlm(deps: { models: Models }): Llm {
  return async (fields, options, context) => {
    const meter = createMeter(fields.models[0] ?? "default");
    const endsAt = Date.now() + context.timeoutMs;
    const faults: Fault[] = [];
    const wanted = fields.models.length === 0 ? ["default"] : fields.models;
    for (const [index, name] of wanted.entries()) {
      try {
        const resolved = deps.models.resolve(name);
        // A model that hangs must leave time for those behind it.
        const shareMs = Math.max(1, Math.ceil((endsAt - Date.now()) / (wanted.length - index)));
        const ask = { fields, schema: options.outputSchema, resolved, fallback: index, context, meter };
        const output = await withDeadline(context, shareMs, (signal) => askModel(ask, signal));
        return { output: fromOutside(output, meter.usage().model), usage: meter.usage() };
      } catch (error) {
        if (context.signal.aborted || !(error instanceof Fault)) throw error;
        faults.push(error);
      }
    }
    throw withUsage(strongest(faults, wanted), meter);
  };
}

interface Ask {
  fields: LlmFields;
  schema: JsonSchema | undefined;
  resolved: ResolvedModel;
  /** 0 for the wanted model. */
  fallback: number;
  context: WorkContext;
  meter: Meter;
}

async function askModel(ask: Ask, signal: AbortSignal): Promise<Json> {
  const envelope = ask.schema && objectSchema(ask.schema);
  let messages = ask.fields.messages;
  for (let round = 0; ; round++) {
    const answer = await callModel(ask, { messages, signal, ...(envelope ? { outputSchema: envelope.schema } : {}) }, round);
    const text = usableText(answer, labelOf(ask.resolved), envelope !== undefined);
    if (!envelope) return text;
    const checked = checkAnswer(text, envelope.schema);
    if (checked.problems.length === 0) return envelope.unwrap(checked.value);
    if (round >= ask.fields.repairs) throw unfitFault(ask, checked, round + 1);
    messages = repairMessages(ask.fields.messages, text, checked);
  }
}

type Question = Pick<ChatRequest, "messages" | "signal" | "outputSchema">;

async function callModel(ask: Ask, question: Question, round: number): Promise<ChatAnswer> {
  const suffix = `${ask.fallback > 0 ? `:fallback${ask.fallback}` : ""}${round > 0 ? `:repair${round}` : ""}`;
  ask.meter.begin(ask.resolved);
  const answer = await ask.resolved.model.chat({
    ...question,
    model: ask.resolved.name,
    idempotencyKey: `${ask.context.idempotencyKey}${suffix}`,
    headers: runHeaders(ask.context, suffix),
  });
  ask.meter.add(answer.usage);
  return answer;
}

function usableText(answer: ChatAnswer, label: string, isStructured: boolean): string {
  if (answer.finish === "refusal")
    throw new Fault("model_output", `${label} refused to answer: ${answer.text.slice(0, 300) || "no reason given"}`);
  if (answer.text.trim() === "") throw new Fault("model_output", `${label} gave an empty answer.`);
  if (answer.finish === "length" && !isStructured)
    throw new Fault("model_output", `${label} reached its output limit; ask for a shorter answer or split the task.`);
  return answer.text;
}

function unfitFault(ask: Ask, checked: AnswerCheck, calls: number): Fault {
  const first = checked.problems[0]!;
  const extra: JsonObject = { problems: checked.problems.slice(0, 20).map(({ pointer, message }) => ({ pointer, message })) };
  const detail = `${labelOf(ask.resolved)} gave no answer that fits outputSchema in ${calls} call(s): ${first.pointer || "/"} ${first.message}`;
  return new Fault("model_output", detail, { extra });
}

const labelOf = (resolved: ResolvedModel): string => `${resolved.provider}/${resolved.name}`;

interface Meter {
  begin(resolved: ResolvedModel): void;
  add(usage: ChatAnswer["usage"]): void;
  usage(): Usage;
}

/** Adds up what a step pays. Its model is the one asked last: the one that answered. */
function createMeter(wanted: string): Meter {
  const usage: Usage = { model: wanted, inputTokens: 0, outputTokens: 0, costUsd: 0, calls: 0 };
  return {
    begin({ provider, name, costUsd }) {
      usage.model = `${provider}/${name}`;
      usage.costUsd = usage.costUsd === null || costUsd === null ? null : usage.costUsd + costUsd;
      usage.calls += 1;
    },
    add({ inputTokens, outputTokens }) {
      usage.inputTokens += inputTokens;
      usage.outputTokens += outputTokens;
    },
    usage: () => ({ ...usage }),
  };
}

/** One fault for all models: another attempt makes sense as soon as one of them may answer then, after the shortest of their waits. */
function strongest(faults: Fault[], names: string[]): Fault {
  const isRetryable = ({ problem, code }: Fault): boolean => problem["retryable"] !== false && (code === "model" || code === "timeout");
  const retryable = faults.filter(isRetryable);
  const chosen = retryable[0] ?? faults[0]!;
  if (faults.length === 1) return chosen;
  const waits = retryable.map((fault) => fault.problem["retryAfterMs"]).map((wait) => (typeof wait === "number" ? wait : 0));
  const detail = faults.map((fault, index) => `${names[index]}: ${fault.message}`).join(" | ");
  const rest = { ...chosen.problem, detail, ...(waits.length === 0 ? {} : { retryAfterMs: Math.min(...waits) }) };
  return Fault.of(rest);
}

function withUsage(fault: Fault, meter: Meter): Fault {
  const usage = meter.usage();
  return usage.calls === 0 ? fault : Fault.of({ ...fault.problem, usage: { ...usage } });
}
