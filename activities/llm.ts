import type { LlmFields } from "../contracts/activities.ts";
import type { JsonSchema } from "../contracts/json.ts";
import { dataWords, holdsMark } from "../contracts/marks.ts";
import { requestHash } from "./answer-cache.ts";
import { Asking, type LlmDeps, type Question } from "./asking.ts";
import { Guard, placeOf, type GuardDeps } from "./guard.ts";
import { checkAnswer, objectSchema, refusedMessages, repairMessages } from "./llm-output.ts";
import { judge } from "./llm-outcome.ts";
import type { MadeCall } from "./model-calls.ts";
import { estimateInputTokens, type Message } from "./model-port.ts";
import type { StepContext, Work } from "./step.ts";

/**
 * Ask the wanted model, mend what does not fit, go on to its fallbacks: one call per attempt of the activity, so that no answer
 * is paid for again because of what came after it.
 *
 * Out: the text, or the value of `outputSchema`; usage over all calls, also failed ones.
 * Faults: `model` (extension `upstreamStatus`), `model_output`, `timeout`, `limit`, `reserved_key`; each with `usage` as an extension.
 * `AnotherAttempt`: another call follows.
 */
export function createLlm(deps: LlmDeps, guarding: GuardDeps): Work<LlmFields> {
  return async (given, { outputSchema: wanted }, context) => {
    const guard = given.guard && new Guard(guarding, given.guard, context);
    const passed = guard ? await passMessages(guard, given.messages) : given.messages;
    const fields = { ...given, messages: withWords(passed) };
    return new Asking(deps, questionOf(fields, { wanted, guard }, context), context).attempt();
  };
}

/** What the definition says to the model as its system is its author's own. */
async function passMessages(guard: Guard, messages: LlmFields["messages"]): Promise<LlmFields["messages"]> {
  const passed: LlmFields["messages"] = [];
  for (const [place, message] of messages.entries()) {
    const { role, content } = message;
    // A cast: what was a text stays one.
    passed.push(
      role === "system" ? message : { role, content: (await guard.pass({ on: "input", value: content, place })).value as string },
    );
  }
  return passed;
}

/** Where data is marked, the model is told what that means. */
function withWords(messages: LlmFields["messages"]): LlmFields["messages"] {
  if (!messages.some(({ content }) => holdsMark(content))) return messages;
  const words = dataWords({ tools: false, marks: true });
  const [first, ...others] = messages;
  if (first?.role !== "system") return [{ role: "system", content: words }, ...messages];
  return [{ role: "system", content: `${first.content}\n\n${words}` }, ...others];
}

interface Wanted {
  wanted: JsonSchema | undefined;
  guard: Guard | undefined;
}

function questionOf(fields: LlmFields, { wanted, guard }: Wanted, context: StepContext): Question {
  const envelope = wanted && objectSchema(wanted);
  const schema = envelope?.schema;
  const read: Question["read"] = (answer) => (envelope ? envelope.unwrap(checkAnswer(answer, envelope.schema).value) : answer);
  return {
    models: fields.models,
    repairs: fields.repairs,
    ...(fields.manner ? { manner: fields.manner } : {}),
    ...(fields.stream && !guard?.looksAt("output") ? { stream: true } : {}),
    ...(fields.cache ? { cache: { hash: requestHash(fields, wanted), ttlMs: fields.cache.ttlMs } } : {}),
    need: { inputTokens: estimateInputTokens(fields), task: envelope ? "structured" : "text" },
    request: (repairOf) => ({
      messages: messagesFor(fields.messages, repairOf, schema),
      ...(schema ? { outputSchema: schema } : {}),
    }),
    judge: (answer, label) => judge(answer, { label, schema, hasTools: false, asksAgain: (text) => context.asksAgain(read(text)) }),
    read,
    ...(guard ? { guard: guardOfAnswer(guard, read) } : {}),
  };
}

const messagesFor = (messages: Message[], repairOf: MadeCall | undefined, schema: JsonSchema | undefined): Message[] => {
  const { answer = "", error } = repairOf ?? {};
  if (error?.code === "guardrail") return refusedMessages(messages, answer, error.detail);
  return schema && repairOf ? repairMessages(messages, answer, schema) : messages;
};

const guardOfAnswer = (guard: Guard, read: Question["read"]): Question["guard"] => ({
  pass: async (answer, call) => (await guard.pass({ on: "output", value: read(answer), place: placeOf(call) })).value,
  usages: guard.usages,
  decided: guard.decided,
});
