import { GIVE_ANSWER, type Brief, type CallResult, type ThinkFields, type Thought } from "../contracts/agent-task.ts";
import type { Usage } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import type { GuardrailQuestion } from "../contracts/guardrails.ts";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { resolve, store } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import { refuseInactive } from "./agent-state.ts";
import { askedCalls, inlineArgumentBytes } from "./asked-calls.ts";
import { Asking, type LlmDeps, type Question } from "./asking.ts";
import { lineOf, partsOf, systemOf, taskOf } from "./conversation.ts";
import { judge } from "./llm-outcome.ts";
import { Guard, type GuardDeps } from "./guard.ts";
import { objectSchema, refusedMessages, repairMessages } from "./llm-output.ts";
import { totalOf } from "./llm-usage.ts";
import type { CallOutcome, MadeCall } from "./model-calls.ts";
import { estimateInputTokens, type ChatAnswer, type Message, type ToolSpec } from "./model-port.ts";
import { answerOf, answerText, givenBy, saidMessage, type Said } from "./said.ts";
import { shorten } from "./shorten.ts";
import type { Work, Worked } from "./step.ts";
import type { Threads } from "./threads.ts";
import { resultMessages } from "./tool-results.ts";
import { Transcripts } from "./transcripts.ts";
import { passAdded, passSaid, type Heard } from "./turn-guard.ts";

/**
 * One turn of an agent: what the calls of the turn before gave is added to its conversation, and a model says what comes next.
 *
 * Out: `Thought`. Without `outputSchema` a text without calls is the answer; with it, a call of `give_answer` whose arguments fit.
 * Faults and retry: as `createLlm`.
 */
export function createThink(deps: ThinkDeps): Work<ThinkFields> {
  const think: Work<ThinkFields> = async (fields, _, context) => {
    const transcripts = new Transcripts(deps.database, context.tenant);
    const { brief, before } = await context.patiently(async () => ({
      brief: (await transcripts.load(fields.brief)) as unknown as Brief,
      before: await transcripts.read(fields.transcript),
    }));
    const agents = [...(brief.agent === undefined ? [] : [brief.agent]), ...(context.agents ?? [])];
    await context.patiently(() => refuseInactive(deps.database, context.tenant, ...agents));
    if (fields.shorten) return shorten(deps, { brief, fields, before, context });
    const guard = brief.guard && new Guard(deps, brief.guard, context);
    const load = (result: CallResult): Promise<CallResult> =>
      context.patiently(async () => (await resolve(deps.database, context.tenant, result)) as CallResult);
    const coming = before.length === 0 ? beginningOf(brief) : await resultMessages({ brief, before, fields }, load);
    const added = guard ? await passAdded(guard, brief, { before, added: coming }) : { messages: coming };
    if (added.question) {
      const asks = await storedPayload(added.question);
      return unasked(added.messages, { tokens: 0, asks }, guard!.usages.length > 0 ? totalOf([], guard!.usages) : undefined);
    }
    const conversation = [...before, ...added.messages];
    const question = questionOf(brief, fields, { conversation, guard });
    const answered = await new Asking(deps, question, context).attempt().catch((error: unknown) => tooLongFor(brief, conversation, error));
    if (answered instanceof Fault) return unasked(added.messages, tooLong, answered.problem["usage"] as unknown as Usage | undefined);
    const { output, inputTokens = 0, ...worked } = answered;
    // The provider counts; where it has counted more, what the conversation is thought to take grows alike.
    const scale = Math.max(1, inputTokens / question.need.inputTokens);
    const thought = await thoughtOf(output as unknown as Heard, { messages: added.messages, scale });
    const { transcript, answer, isDone, asks } = thought;
    // What people have yet to let pass belongs to no thread.
    if (isDone && brief.thread && !asks)
      await deps.threads.add(brief.thread, { asked: taskOf(brief, conversation).content, answer, transcript }, context);
    return { ...worked, output: thought as unknown as Json, isOurs: true };

    /** No model has said anything to what was added. It stands in the conversation: the next turn asks about exactly that. */
    async function unasked(messages: Message[], more: Pick<Thought, "tokens" | "asks" | "isTooLong">, usage?: Usage): Promise<Worked> {
      const transcript = await context.patiently(() => transcripts.extend(fields.transcript, messages));
      const thought: Thought = { transcript, calls: [], isDone: false, answer: null, ...more };
      const paid = usage ? { usage, told: { usage: { ...usage } } } : {};
      return { output: thought as unknown as Json, isOurs: true, ...(guard ? { guarded: [...guard.decided] } : {}), ...paid };
    }

    async function thoughtOf(
      { said, question: asks, questions }: Heard,
      { messages, scale }: { messages: Message[]; scale: number },
    ): Promise<Thought> {
      const transcript = await context.patiently(() => transcripts.extend(fields.transcript, [...messages, saidMessage(said)]));
      const answer = answerOf(brief, said);
      const asked = { brief, fields, questions: questions ?? [], keep: stored };
      const calls = answer === undefined ? await askedCalls(said.toolCalls, asked) : [];
      const tokens = estimateInputTokens({ messages: [...before, ...messages, saidMessage(said)] }) * scale;
      const handoff = calls.findIndex((call) => call.handoff !== undefined && call.problem === undefined);
      const thought: Thought = { transcript, tokens, calls, isDone: answer !== undefined, answer: answer ?? null };
      if (handoff >= 0) thought.handoff = handoff;
      return { ...thought, ...(asks ? { asks: await storedPayload(asks) } : {}) };
    }

    async function storedPayload(asks: GuardrailQuestion): Promise<GuardrailQuestion> {
      return { ...asks, payload: await stored(asks.payload, inlineArgumentBytes) };
    }

    // Nothing but the record: a defect of ours in it would be taken for a record that is away.
    function stored(value: Json, inlineMax: number): Promise<Json> {
      return context.patiently(() => store(deps.database, context.tenant, value, inlineMax));
    }
  };
  return Object.assign(think, { readsParts: true as const });
}

/** The next turn begins with a shorter conversation, where there is something to leave out. Throws what is no such fault. */
function tooLongFor(brief: Brief, conversation: Message[], error: unknown): Fault {
  const { opening, earlier } = partsOf(brief, conversation);
  const mayShorten = !brief.messages && (opening.length > 0 || earlier.length > 0);
  if (error instanceof Fault && error.code === "context_too_long" && mayShorten) return error;
  throw error;
}

/** Longer than any conversation may be, whatever its model is thought to take. */
const tooLong = { tokens: limits.agentContextTokensMax + 1, isTooLong: true } as const;

type ThinkDeps = LlmDeps & GuardDeps & { database: Database; threads: Threads };

interface Turn {
  conversation: Message[];
  guard: Guard | undefined;
}

function questionOf(brief: Brief, fields: ThinkFields, { conversation, guard }: Turn): Question {
  const envelope = brief.outputSchema && objectSchema(brief.outputSchema);
  const tools = specsOf(brief);
  const messages = [...systemOf(brief, conversation), ...(tools.length === 0 ? conversation.map(withoutCalls) : conversation)];
  return {
    agent: brief.owner ?? brief.agent,
    models: fields.models,
    repairs: fields.repairs,
    ...(brief.manner ? { manner: brief.manner } : {}),
    // Words that were shown cannot be taken back.
    ...(fields.stream && !guard?.looksAt("output") ? { stream: true } : {}),
    need: { inputTokens: estimateInputTokens({ messages, tools }), task: tools.length > 0 ? "tools" : "text" },
    request: (repairOf) => ({
      messages: messagesFor(messages, repairOf, envelope?.schema),
      ...(tools.length > 0 ? { tools } : {}),
      ...(repairOf && !isRefused(repairOf) ? { toolChoice: { name: GIVE_ANSWER } } : {}),
    }),
    judge: (answer, label) => judgeTurn(answer, label, { schema: envelope?.schema, hasTools: tools.length > 0 }),
    read: (answer) => ({ said: JSON.parse(answer) as Json }),
    ...(guard ? { guard: guardOfTurn(guard, brief) } : {}),
  };
}

/** What the model is told of its tools. */
export function specsOf({ tools, outputSchema }: Brief): ToolSpec[] {
  const given = tools.map(({ name, description, parameters }) => ({ name, description, parameters }));
  if (!outputSchema) return given;
  const { schema } = objectSchema(outputSchema);
  return [...given, { name: GIVE_ANSWER, description: "Give your answer, when you have it. It ends the task.", parameters: schema }];
}

/** What others wrote comes before the task, in messages of its own. */
const beginningOf = ({ opening = [], prompt, messages }: Brief): Message[] => [
  ...opening.map((content) => ({ role: "user" as const, content })),
  ...(messages ?? [{ role: "user" as const, content: prompt }]),
];

const guardOfTurn = (guard: Guard, brief: Brief): Question["guard"] => ({
  pass: async (answer, call) => (await passSaid(guard, brief, JSON.parse(answer) as Said, call)) as unknown as Json,
  usages: guard.usages,
  decided: guard.decided,
});

/** Providers take no calls where there are no tools: those of an agent that has handed the conversation over are told. */
function withoutCalls(message: Message): Message {
  if (message.role === "tool") return { role: "user", content: lineOf(message) };
  return message.role === "assistant" && message.toolCalls ? { role: "assistant", content: lineOf(message) } : message;
}

const isRefused = ({ error }: MadeCall): boolean => error?.code === "guardrail";

function messagesFor(messages: Message[], repairOf: MadeCall | undefined, schema: JsonSchema | undefined): Message[] {
  if (!repairOf?.answer) return messages;
  const said = JSON.parse(repairOf.answer) as Said;
  if (isRefused(repairOf)) return refusedMessages(messages, lineOf(saidMessage(said)), repairOf.error!.detail);
  return schema ? repairMessages(messages, answerText(said), schema) : messages;
}

/** A turn that calls tools has no answer to fit the schema yet. */
function judgeTurn(
  answer: ChatAnswer,
  label: string,
  { schema, hasTools }: { schema: JsonSchema | undefined; hasTools: boolean },
): CallOutcome {
  const { text, toolCalls, thinking } = answer;
  const said: Said = { text, toolCalls, ...(thinking ? { thinking } : {}) };
  const isOver = toolCalls.length === 0 || givenBy(said) !== undefined;
  return judge(answer, { label, text: answerText(said), kept: JSON.stringify(said), schema: isOver ? schema : undefined, hasTools });
}
