import {
  ASK_HUMAN,
  GIVE_ANSWER,
  type AskedCall,
  type Brief,
  type CallResult,
  type ThinkFields,
  type Thought,
  unguarded,
} from "../contracts/agent-task.ts";
import { isObject, type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { usesReservedKey } from "../contracts/reference.ts";
import { store } from "../prisma/blobs.ts";
import { storable } from "../prisma/storable.ts";
import type { Database } from "../prisma/client.ts";
import { refuseInactive } from "./agent-state.ts";
import { Asking, type LlmDeps, type Question } from "./asking.ts";
import { judge } from "./llm-outcome.ts";
import { checkAnswer, objectSchema, repairMessages } from "./llm-output.ts";
import type { CallOutcome } from "./model-calls.ts";
import { estimateInputTokens, type ChatAnswer, type Message, type ToolCall, type ToolSpec } from "./model-port.ts";
import { shorten, systemOf } from "./shorten.ts";
import type { Work } from "./step.ts";
import type { Threads } from "./threads.ts";
import { Transcripts } from "./transcripts.ts";

/** What a turn's answer is kept as: the model call's row has it, so that a later attempt finds it. */
type Said = Pick<ChatAnswer, "text" | "toolCalls" | "thinking">;

/** Arguments above this travel as references, so that what a turn gives is always small. */
const inlineArgumentBytes = 2_048;

/**
 * One turn of an agent: what the calls of the turn before gave is added to its conversation, and a model says what comes next.
 *
 * Out: `Thought`. Without `outputSchema` a text without calls is the answer; with it, a call of `give_answer` whose arguments fit.
 * Faults and retry: as `createLlm`.
 */
export function createThink(deps: LlmDeps & { database: Database; threads: Threads }): Work<ThinkFields> {
  return async (fields, _, context) => {
    const transcripts = new Transcripts(deps.database, context.tenant);
    const { brief, before } = await context.patiently(async () => ({
      brief: (await transcripts.load(fields.brief)) as unknown as Brief,
      before: await transcripts.read(fields.transcript),
    }));
    if (brief.agent !== undefined) await context.patiently(() => refuseInactive(deps.database, context.tenant, brief.agent!));
    if (fields.shorten) return shorten(deps, { brief, fields, before, context });
    const added = before.length === 0 ? beginningOf(brief) : resultMessages(before, fields);
    const question = questionOf(brief, fields, [...before, ...added]);
    const { output, usage, told } = await new Asking(deps, question, context).attempt();
    const said = output as unknown as Said;
    const thought = await context.patiently(async (): Promise<Thought> => {
      const transcript = await transcripts.extend(fields.transcript, [...added, saidMessage(said)]);
      const answer = answerOf(brief, said);
      const calls =
        answer === undefined
          ? await Promise.all(
              said.toolCalls.slice(0, limits.agentCallsPerTurnMax).map((call, index) => asked(call, fields.toolCalls + index)),
            )
          : [];
      const tokens = estimateInputTokens({ messages: [...before, ...added, saidMessage(said)] });
      return { transcript, tokens, calls, isDone: answer !== undefined, answer: answer ?? null };
    });
    const { transcript, answer, isDone } = thought;
    if (isDone && brief.thread) await deps.threads.add(brief.thread, { asked: brief.prompt, answer, transcript }, context);
    return { output: thought as unknown as Json, isOurs: true, ...(usage ? { usage } : {}), ...(told ? { told } : {}) };

    async function asked({ id, name, arguments: args, malformed }: ToolCall, made: number): Promise<AskedCall> {
      const tool = brief.tools.find((each) => each.name === name);
      const refused = (problem: string): AskedCall => ({ ...unguarded, id, name, arguments: null, problem });
      if (!tool)
        return refused(`There is no tool ${name.slice(0, 80)}. There is: ${brief.tools.map((each) => each.name).join(", ") || "none"}.`);
      const problem = problemOf({ name, args, malformed, made }, brief);
      if (problem !== undefined) return refused(problem);
      const { description: _d, parameters: _p, ...target } = tool;
      return {
        ...target,
        id,
        arguments: await store(deps.database, context.tenant, args, name === ASK_HUMAN ? limits.inlineBytesMax : inlineArgumentBytes),
      };
    }
  };
}

interface Wish {
  name: string;
  args: Json;
  malformed: string | undefined;
  /** Calls of the task before it. */
  made: number;
}

function problemOf({ name, args, malformed, made }: Wish, { toolCallsMax = Number.POSITIVE_INFINITY }: Brief): string | undefined {
  if (made >= toolCallsMax) return `The task may make ${toolCallsMax} calls of tools, and has made them.`;
  if (malformed !== undefined) return `The arguments of ${name} are not JSON.`;
  if (usesReservedKey(args)) return `The arguments of ${name} hold a reserved key.`;
  return undefined;
}

function questionOf(brief: Brief, fields: ThinkFields, conversation: Message[]): Question {
  const messages = [...systemOf(brief), ...conversation];
  const envelope = brief.outputSchema && objectSchema(brief.outputSchema);
  const tools = specsOf(brief);
  return {
    ...(brief.agent === undefined ? {} : { agent: brief.agent }),
    models: fields.models,
    repairs: fields.repairs,
    ...(fields.stream ? { stream: true } : {}),
    need: { inputTokens: estimateInputTokens({ messages, tools }), task: tools.length > 0 ? "structured" : "text" },
    request: (repairOf) => ({
      messages:
        envelope && repairOf?.answer
          ? repairMessages(messages, answerText(JSON.parse(repairOf.answer) as Said), envelope.schema)
          : messages,
      ...(tools.length > 0 ? { tools } : {}),
      ...(repairOf ? { toolChoice: { name: GIVE_ANSWER } } : {}),
    }),
    judge: (answer, label) => judgeTurn(answer, label, envelope?.schema),
    read: (answer) => JSON.parse(answer) as Json,
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
const beginningOf = ({ opening = [], prompt }: Brief): Message[] => [...opening, prompt].map((content) => ({ role: "user", content }));

/** A turn that calls tools has no answer to fit the schema yet. */
function judgeTurn(answer: ChatAnswer, label: string, schema: JsonSchema | undefined): CallOutcome {
  const { text, toolCalls, thinking } = answer;
  const said: Said = { text, toolCalls, ...(thinking ? { thinking } : {}) };
  const isOver = toolCalls.length === 0 || givenBy(said) !== undefined;
  return judge(answer, { label, text: answerText(said), kept: JSON.stringify(said), schema: isOver ? schema : undefined });
}

/** What is meant as the answer: what the model gives, or else says. */
function answerText(said: Said): string {
  const given = givenBy(said);
  return given ? (given.malformed ?? JSON.stringify(given.arguments)) : said.text;
}

const givenBy = ({ toolCalls }: Said): ToolCall | undefined => toolCalls.find(({ name }) => name === GIVE_ANSWER);

/** Undefined while there are calls to make. */
function answerOf({ outputSchema }: Brief, said: Said): Json | undefined {
  const isOver = said.toolCalls.length === 0 || (outputSchema !== undefined && givenBy(said) !== undefined);
  if (!isOver) return undefined;
  if (!outputSchema) return said.text;
  const envelope = objectSchema(outputSchema);
  return envelope.unwrap(checkAnswer(answerText(said), envelope.schema).value);
}

const saidMessage = ({ text, toolCalls, thinking }: Said): Message => ({
  role: "assistant",
  content: text,
  ...(toolCalls.length > 0 ? { toolCalls } : {}),
  ...(thinking ? { thinking } : {}),
});

/** One for each call that the model asked for last: providers take nothing else. */
function resultMessages(before: Message[], { results, contextTokens }: ThinkFields): Message[] {
  const last = before.at(-1);
  const calls = last?.role === "assistant" ? (last.toolCalls ?? []) : [];
  // Together half of the conversation's room: four characters count as a token.
  const room = Math.min(limits.agentResultBytesMax, Math.floor((contextTokens * 2) / Math.max(1, calls.length)));
  return calls.map(({ id }, index) => ({ role: "tool", toolCallId: id, ...contentOf(results[index], room) }));
}

function contentOf(result: CallResult | undefined, room: number): { content: string; isError?: true } {
  if (!result) return { content: "The call was not made: there were too many at once.", isError: true };
  if ("error" in result) return { content: clipped(errorText(result.error), room), isError: true };
  return { content: clipped(typeof result.output === "string" ? result.output : JSON.stringify(result.output), room) };
}

const errorText = (error: Json): string => {
  const { title = "Error", detail = "", errors } = (isObject(error) ? error : {}) as JsonObject;
  return `${title as string}: ${detail as string}${errors === undefined ? "" : ` ${JSON.stringify(errors)}`}`;
};

/** A result must leave room for the rest of the conversation. */
function clipped(text: string, room: number): string {
  const rest = text.length - room;
  return rest <= 0 ? text : `${storable(text.slice(0, room))}\n[${rest} more characters were left out]`;
}
