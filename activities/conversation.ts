import type { Brief } from "../contracts/agent-task.ts";
import { dataWords, holdsMark } from "../contracts/marks.ts";
import { isMarked, marked, memoriesMark, pinnedMark, summaryMark, threadMark } from "./marks.ts";
import type { Message } from "./model-port.ts";

/** An agent's conversation, as a summary sees it. */
export interface Parts {
  /** What came before the task. Empty when there was nothing. */
  opening: string[];
  task: Message;
  /** The message of what was pinned before, when it was shortened before. */
  pinned: Message | undefined;
  /** What may be summarised. */
  earlier: Message[];
  /** The calls whose results are yet to come. */
  last: Message | undefined;
}

export function partsOf(brief: Brief, conversation: Message[]): Parts {
  const at = taskAt(brief, conversation);
  const behind = conversation.slice(at + 1);
  const pinned = behind[0] && isMarked(behind[0].content, pinnedMark) ? behind[0] : undefined;
  const last = behind.at(-1)?.role === "assistant" ? behind.at(-1) : undefined;
  return {
    opening: conversation.slice(0, at).map(({ content }) => content),
    task: conversation[at]!,
    pinned,
    earlier: behind.slice(pinned ? 1 : 0, last ? -1 : undefined),
    last,
  };
}

/** The message that is the task. */
export const taskOf = (brief: Brief, conversation: Message[]): Message => conversation[taskAt(brief, conversation)]!;

/** Behind what came before it, which may have been fitted anew since. */
function taskAt({ opening = [] }: Brief, conversation: Message[]): number {
  const [first] = opening;
  const begun = conversation[0]?.content ?? "";
  return first !== undefined && openingMarks.some((mark) => isMarked(first, mark) && isMarked(begun, mark)) ? opening.length : 0;
}

const openingMarks = [memoriesMark, threadMark];

/** The only system prompt. What tools, files and people say stands in messages of its own, or in marks, and never here. */
export function systemOf(
  { instructions, tools, opening, prompt, messages = [] }: Pick<Brief, "instructions" | "tools" | "opening" | "prompt" | "messages">,
  conversation: Message[] = [],
): Message[] {
  const isSummarised = conversation.some(({ content }) => isMarked(content, summaryMark));
  const marks = opening !== undefined || isSummarised || [instructions, prompt, ...messages.map(({ content }) => content)].some(holdsMark);
  const words = [instructions, dataWords({ tools: tools.length > 0 || conversation.some(({ role }) => role === "tool"), marks })];
  const said = words.filter((text) => text !== "");
  return said.length === 0 ? [] : [{ role: "system", content: said.join("\n\n") }];
}

/** What was said, as a text about it. */
export const lineOf = (message: Message): string => {
  if (message.role === "tool") return `Result of ${message.toolCallId}: ${message.content}`;
  const calls =
    message.role === "assistant"
      ? (message.toolCalls ?? []).map(({ id, name, arguments: args }) => `${id}: ${name}(${JSON.stringify(args)})`)
      : [];
  return [`${message.role}: ${message.content}`, ...calls].join("\n");
};

/** A message of what others wrote. */
export const dataMessage = (...[mark, lines]: Parameters<typeof marked>): Message => ({ role: "user", content: marked(mark, lines) });
