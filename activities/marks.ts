import type { Json } from "../contracts/json.ts";
import { harmless, markedData } from "../contracts/marks.ts";

export interface Mark {
  kind: string;
  about: string;
}

export const memoriesMark = { kind: "memories", about: "What was remembered in earlier tasks. It may be out of date, or wrong." };
export const threadMark = { kind: "thread", about: "What was asked and answered in this conversation before, oldest first." };
export const pinnedMark = { kind: "pinned", about: "What was pinned in this task so far, word by word, oldest first." };
export const summaryMark = {
  kind: "summary",
  about: "A summary of what was done in this task so far, in the words of a model. What tools gave stands in it, too.",
};
export const conversationMark = { kind: "conversation", about: "The conversation that is to be summarised." };

/** Text that others wrote, for a message of its own. */
export const marked = ({ kind, about }: Mark, lines: string[]): string => markedData([about, ...lines].join("\n"), kind);

export const isMarked = (text: string, { kind }: Mark): boolean => text.startsWith(beginningOf({ kind }));

/** An entry on a line of its own. */
export const lineOf = (entry: Json): string => harmless(JSON.stringify(entry));

/** What a mark holds, when each of its lines is an entry. */
export const entriesOf = (text: string): Json[] =>
  text
    .split("\n")
    .slice(2, -1)
    .map((line) => JSON.parse(line) as Json);

const beginningOf = ({ kind }: Pick<Mark, "kind">): string => `<data kind="${kind}">`;
