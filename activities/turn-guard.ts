import { GIVE_ANSWER, knownAs, type Brief } from "../contracts/agent-task.ts";
import { Fault } from "../contracts/faults.ts";
import type { GuardrailQuestion } from "../contracts/guardrails.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { validateValue } from "../language/validate.ts";
import { placeOf, type Guard } from "./guard.ts";
import type { Message, ToolCall } from "./model-port.ts";
import { answerOf, withAnswer, type Said } from "./said.ts";

/** What a model said, as far as guardrails let it pass. */
export interface Heard {
  said: Said;
  /** About the answer. */
  question?: GuardrailQuestion;
  /** About calls, by their place. */
  questions?: (GuardrailQuestion | null)[];
}

interface Coming {
  before: Message[];
  added: Message[];
}

/** Those that the last turn asked for. */
export function callsIn(before: Message[]): ToolCall[] {
  const last = before.at(-1);
  return last?.role === "assistant" ? (last.toolCalls ?? []) : [];
}

/** What comes into an agent's conversation: its task, then what tools give. A question shows all that it is about. */
export async function passAdded(guard: Guard, brief: Brief, { before, added }: Coming) {
  const calls = callsIn(before);
  const messages: Message[] = [];
  const shown: string[] = [];
  let question: GuardrailQuestion | undefined;
  const fromElsewhere = before.length === 0 ? (brief.opening?.length ?? 0) : 0;
  for (const [place, message] of added.entries()) {
    if (place < fromElsewhere) {
      messages.push(message);
      continue;
    }
    const passed = await guard.pass({ ...pieceOf(message, brief, calls[place]), place });
    // A cast: what was a text stays one.
    messages.push({ ...message, content: passed.value as string });
    if (passed.question) shown.push(passed.value as string);
    // No step has others decide what the agent's own rules ask about.
    if (!question || (passed.question?.isAgents && !question.isAgents)) question = passed.question ?? question;
  }
  return { messages, ...(question ? { question: { ...question, payload: shown.length === 1 ? shown[0]! : shown } } : {}) };
}

/** Results come in the order of their calls: some servers give all calls one id. */
function pieceOf(message: Message, brief: Brief, call: ToolCall | undefined) {
  if (message.role !== "tool") return { on: "input" as const, value: message.content };
  return { on: "toolResults" as const, value: message.content, tool: toolOf(brief, call?.name ?? "") };
}

const toolOf = ({ tools }: Brief, name: string): string => {
  const tool = tools.find((each) => each.name === name);
  return tool ? knownAs(tool) : name;
};

/** What an agent's model says in a turn: its answer, or the calls it asks for. */
export async function passSaid(guard: Guard, brief: Brief, said: Said, call: number): Promise<Heard> {
  const answer = answerOf(brief, said);
  if (answer === undefined) return passCalls(guard, brief, said, call);
  const { value, question } = await guard.pass({ on: "output", value: answer, place: placeOf(call) });
  if (value !== answer) refuseUnfit(brief, value);
  return {
    said: value === answer ? said : withAnswer(brief, said, value),
    ...(question ? { question: { ...question, payload: value } } : {}),
  };
}

/** Before people are asked about it, and before it is in any thread. */
function refuseUnfit({ outputSchema }: Brief, answer: Json): void {
  const [first] = outputSchema ? validateValue(outputSchema, answer) : [];
  if (!first) return;
  const detail = `What a guardrail has made of the answer does not fit outputSchema: ${first.pointer || "/"} ${first.message}`;
  throw new Fault("schema", detail.slice(0, limits.errorDetailMax));
}

async function passCalls(guard: Guard, brief: Brief, said: Said, call: number): Promise<Heard> {
  const toolCalls: ToolCall[] = [];
  const questions: (GuardrailQuestion | null)[] = [];
  for (const [index, asked] of said.toolCalls.slice(0, limits.agentCallsPerTurnMax).entries()) {
    // What is no call of the agent's is not made.
    const isCall = asked.malformed === undefined && brief.tools.some(({ name }) => name === asked.name) && asked.name !== GIVE_ANSWER;
    const piece = { on: "toolCalls" as const, value: asked.arguments, tool: toolOf(brief, asked.name), place: placeOf(call, index) };
    const passed: { value: Json; question?: GuardrailQuestion } = isCall ? await guard.pass(piece) : { value: asked.arguments };
    toolCalls.push({ ...asked, arguments: passed.value });
    questions.push(passed.question ?? null);
  }
  return { said: { ...said, toolCalls: [...toolCalls, ...said.toolCalls.slice(toolCalls.length)] }, questions };
}
