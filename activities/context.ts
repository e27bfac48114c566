import type { ContextReport } from "../contracts/agent-task.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { defaults, limits } from "../contracts/limits.ts";
import { isMarked, entriesOf, lineOf, marked, memoriesMark, threadMark, type Mark } from "./marks.ts";
import { estimateInputTokens, estimateMessageTokens, quartersOf, type Message, type ToolSpec } from "./model-port.ts";

/** What a task could begin with. */
export interface ContextParts {
  /** Tokens that the model may be given, its answer included. */
  window: number;
  system: Message[];
  tools: ToolSpec[];
  task: string;
  /** Best first. */
  memories: Json[];
  /** Oldest first. */
  thread: Said[];
}

/** An exchange, as the model sees it. */
export type Said = { asked: string; answered: string; at: string };

export interface Context {
  /** Messages before the task: data, each in a mark of its own. */
  opening: string[];
  report: ContextReport;
}

/**
 * What a task begins with, within its window. Instructions, tools and the task are given whole, or the task fails (fault `limit`); room for
 * the answer is kept; memories get up to a quarter of the window, the thread what is left: its newest exchanges whole, then
 * shortened ones, and the oldest not at all. `docs/memory.md` has this as a table.
 */
export function assemble({ window, system, tools, task, memories, thread }: ContextParts): Context {
  const fixed = estimateInputTokens({ messages: [...system, { role: "user", content: task }], tools });
  if (fixed > window)
    throw new Fault(
      "limit",
      `Instructions, tools and task need about ${fixed} tokens, the window has ${window}: make them smaller, raise \`contextTokens\`, or take a model with a larger window.`,
    );
  const answer = Math.min(defaults.budgetOutputTokens, Math.floor(window / 8));
  const room = Math.max(0, window - fixed - answer);
  const recalled = fill(memoriesMark, Math.min(room, Math.floor(window / 4)), memories);
  const told = fillThread(room - recalled.tokens, thread);
  return {
    opening: [recalled.text, told.text].filter((text) => text !== ""),
    report: {
      window,
      fixed,
      answer,
      memories: { found: memories.length, given: recalled.count, tokens: recalled.tokens },
      thread: { exchanges: thread.length, whole: told.whole, shortened: told.count - told.whole, tokens: told.tokens },
    },
  };
}

/**
 * What a task has begun with, in less room, by the same rules; as it was where it fits. A part of which nothing fits stays as an empty mark, so
 * that the task is found behind as many messages as before.
 */
export function fitAgain(opening: string[], room: number): string[] {
  if (opening.reduce((tokens, text) => tokens + estimateMessageTokens(quartersOf(text)), 0) <= room) return opening;
  const of = (mark: Mark): Json[] => opening.filter((text) => isMarked(text, mark)).flatMap(entriesOf);
  const recalled = fill(memoriesMark, Math.floor(room / 2), of(memoriesMark));
  const told = fillThread(room - recalled.tokens, of(threadMark) as Said[]);
  return opening.map((text) => {
    const [mark, filled] = isMarked(text, memoriesMark) ? [memoriesMark, recalled] : [threadMark, told];
    return filled.text === "" ? marked(mark, []) : filled.text;
  });
}

interface Filled {
  text: string;
  count: number;
  tokens: number;
}

/** As many of the first entries as fit. */
function fill(mark: Mark, room: number, entries: Json[]): Filled {
  const pile = new Pile(mark, room);
  for (const entry of entries) pile.add(lineOf(entry));
  return pile.filled();
}

/** From the newest on: whole, then shortened, then none. */
function fillThread(room: number, thread: Said[]): Filled & { whole: number } {
  const pile = new Pile(threadMark, room);
  let whole = 0;
  for (const said of thread.toReversed()) {
    if (whole === pile.count && pile.add(lineOf(said))) whole += 1;
    else if (!pile.add(lineOf(shortened(said)))) break;
  }
  return { ...pile.filled((lines) => lines.toReversed()), whole };
}

const shortened = ({ asked, answered, at }: Said): Said => ({ asked: start(asked), answered: start(answered), at });

const start = (text: string): string =>
  text.length <= limits.exchangeShortMax
    ? text
    : `${text.slice(0, limits.exchangeShortMax)} [${text.length - limits.exchangeShortMax} more]`;

/** Lines in a mark, as long as they fit. */
class Pile {
  readonly #mark: Mark;
  readonly #room: number;
  readonly #lines: string[] = [];
  #quarters: number;

  constructor(mark: Mark, room: number) {
    this.#mark = mark;
    this.#room = room;
    this.#quarters = quartersOf(marked(mark, []));
  }

  get count(): number {
    return this.#lines.length;
  }

  add(line: string): boolean {
    const quarters = this.#quarters + quartersOf(line) + 1;
    if (estimateMessageTokens(quarters) > this.#room) return false;
    this.#quarters = quarters;
    this.#lines.push(line);
    return true;
  }

  filled(order: (lines: string[]) => string[] = (lines) => lines): Filled {
    const text = this.count === 0 ? "" : marked(this.#mark, order(this.#lines));
    return { text, count: this.count, tokens: text === "" ? 0 : estimateMessageTokens(quartersOf(text)) };
  }
}
