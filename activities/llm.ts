import type { LlmFields } from "../contracts/activities.ts";
import type { JsonSchema } from "../contracts/json.ts";
import { requestHash } from "./answer-cache.ts";
import { Asking, type LlmDeps, type Question } from "./asking.ts";
import { checkAnswer, objectSchema, repairMessages } from "./llm-output.ts";
import { judge } from "./llm-outcome.ts";
import { estimateInputTokens } from "./model-port.ts";
import type { StepContext, Work } from "./step.ts";

/**
 * Ask the wanted model, mend what does not fit, go on to its fallbacks: one call per attempt of the activity, so that no answer
 * is paid for again because of what came after it.
 *
 * Out: the text, or the value of `outputSchema`; usage over all calls, also failed ones.
 * Faults: `model` (extension `upstreamStatus`), `model_output`, `timeout`, `limit`, `reserved_key`; each with `usage` as an extension.
 * `AnotherAttempt`: another call follows.
 */
export function createLlm(deps: LlmDeps): Work<LlmFields> {
  return async (fields, { outputSchema }, context) => new Asking(deps, questionOf(fields, outputSchema, context), context).attempt();
}

function questionOf(fields: LlmFields, wanted: JsonSchema | undefined, context: StepContext): Question {
  const envelope = wanted && objectSchema(wanted);
  const schema = envelope?.schema;
  const read: Question["read"] = (answer) => (envelope ? envelope.unwrap(checkAnswer(answer, envelope.schema).value) : answer);
  return {
    models: fields.models,
    repairs: fields.repairs,
    ...(fields.stream ? { stream: true } : {}),
    ...(fields.cache ? { cache: { hash: requestHash(fields, wanted), ttlMs: fields.cache.ttlMs } } : {}),
    need: { inputTokens: estimateInputTokens(fields), task: envelope ? "structured" : "text" },
    request: (repairOf) => ({
      messages: schema && repairOf ? repairMessages(fields.messages, repairOf.answer ?? "", schema) : fields.messages,
      ...(schema ? { outputSchema: schema } : {}),
    }),
    judge: (answer, label) => judge(answer, { label, schema, asksAgain: (text) => context.asksAgain(read(text)) }),
    read,
  };
}
