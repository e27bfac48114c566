import { z } from "zod";
import { isObject, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Parts } from "./conversation.ts";
import { entriesOf, lineOf } from "./marks.ts";
import { modelName, quartersOf, type Message, type ToolCall } from "./model-port.ts";
import { defineTool, type Tool } from "./tool-registry.ts";

/** That it was called is all: what was pinned stands in the conversation, and is found there when that is shortened. */
export const pinTool: Tool = defineTool({
  name: "conversation.pin",
  description:
    "Keep a fact word by word for the rest of this task: a number, a name, an identifier, a decision. Whatever else was said or read may be replaced by a summary.",
  input: z.strictObject({
    fact: z.string().trim().min(1).max(limits.pinnedFactMax).describe("One fact, in a sentence that says what it is about."),
  }),
  output: z.strictObject({ pinned: z.literal(true) }),
  effect: "read",
  short: true,
  run: () => ({ pinned: true }),
});

/** What stays word by word, oldest first: the newest that fit, each once. */
export function pinnedIn({ pinned, earlier }: Parts, tokensMax: number): string[] {
  const facts = [...new Set([...(pinned ? (entriesOf(pinned.content) as string[]) : []), ...earlier.flatMap(factsAt)])];
  let room = tokensMax * 4;
  const first = facts.findLastIndex((fact) => (room -= quartersOf(lineOf(fact)) + 1) < 0);
  return facts.slice(first + 1);
}

/** Of calls that were made: what people have refused is not pinned. */
function factsAt(message: Message, at: number, messages: Message[]): string[] {
  if (message.role !== "assistant") return [];
  return (message.toolCalls ?? []).flatMap((call, index) => (isPinned(call, messages[at + 1 + index]) ? [factOf(call.arguments)] : []));
}

const isPinned = ({ name, arguments: args }: ToolCall, result: Message | undefined): boolean =>
  name === modelName(pinTool.name) &&
  factOf(args) !== "" &&
  result?.role === "tool" &&
  !result.isError &&
  result.content === '{"pinned":true}';

const factOf = (args: Json): string => (isObject(args) && typeof args["fact"] === "string" ? args["fact"].trim() : "");
