import { GIVE_ANSWER, type Brief } from "../contracts/agent-task.ts";
import type { Json } from "../contracts/json.ts";
import { checkAnswer, objectSchema } from "./llm-output.ts";
import type { ChatAnswer, Message, ToolCall } from "./model-port.ts";

/** What a turn's answer is kept as: the model call's row has it, so that a later attempt finds it. */
export type Said = Pick<ChatAnswer, "text" | "toolCalls" | "thinking">;

/** What is meant as the answer: what the model gives, or else says. */
export function answerText(said: Said): string {
  const given = givenBy(said);
  return given ? (given.malformed ?? JSON.stringify(given.arguments)) : said.text;
}

export const givenBy = ({ toolCalls }: Said): ToolCall | undefined => toolCalls.find(({ name }) => name === GIVE_ANSWER);

/** Undefined while there are calls to make. */
export function answerOf({ outputSchema }: Brief, said: Said): Json | undefined {
  const isOver = said.toolCalls.length === 0 || (outputSchema !== undefined && givenBy(said) !== undefined);
  if (!isOver) return undefined;
  if (!outputSchema) return said.text;
  const envelope = objectSchema(outputSchema);
  return envelope.unwrap(checkAnswer(answerText(said), envelope.schema).value);
}

/** The same with another answer. */
export function withAnswer({ outputSchema }: Brief, said: Said, answer: Json): Said {
  if (!outputSchema) return { text: answer as string, toolCalls: said.toolCalls };
  const given = objectSchema(outputSchema).wrap(answer);
  const { id } = givenBy(said) ?? { id: GIVE_ANSWER };
  return { text: "", toolCalls: [{ id, name: GIVE_ANSWER, arguments: given }] };
}

export const saidMessage = ({ text, toolCalls, thinking }: Said): Message => ({
  role: "assistant",
  content: text,
  ...(toolCalls.length > 0 ? { toolCalls } : {}),
  ...(thinking ? { thinking } : {}),
});
