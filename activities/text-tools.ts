import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { defineTool, type Tool } from "./tool-registry.ts";

const textLines = defineTool({
  name: "text.lines",
  description: "Split a text into its lines, without empty ones unless keepEmpty.",
  input: z.strictObject({ text: z.string(), keepEmpty: z.boolean().default(false) }),
  output: z.array(z.string()),
  effect: "read",
  short: true,
  run({ text, keepEmpty }) {
    refuseLong(text, limits.textSplitMax);
    return linesOf(text).filter((line) => keepEmpty || line.trim() !== "");
  },
});

const textCount = defineTool({
  name: "text.count",
  description: "How long a text is, in characters, words and lines.",
  input: z.strictObject({ text: z.string() }),
  output: z.strictObject({ characters: z.int(), words: z.int(), lines: z.int() }),
  effect: "read",
  short: true,
  run({ text }) {
    refuseLong(text, limits.textCountMax);
    return { characters: charactersIn(text), words: wordsIn(text), lines: text === "" ? 0 : linesOf(text).length };
  },
});

const textCut = defineTool({
  name: "text.cut",
  description: "A part of a text: from a character on, at most so many. Says whether something is left behind it.",
  input: z.strictObject({
    text: z.string(),
    from: z.int().min(0).default(0),
    max: z.int().min(1).max(limits.textPartMax).default(10_000),
  }),
  output: z.strictObject({ text: z.string(), next: z.int().nullable().describe("Where the rest begins; null at the end") }),
  effect: "read",
  short: true,
  run({ text, from, max }) {
    const start = placeAfter(text, from, 0);
    const end = placeAfter(text, max, start);
    return { text: text.slice(start, end), next: end < text.length ? from + max : null };
  },
});

/** Work on texts that definitions and models have at hand. */
export const textTools: Tool[] = [textLines, textCount, textCut];

const linesOf = (text: string): string[] => text.split(/\r\n|\n|\r/);

function refuseLong(text: string, charactersMax: number): void {
  if (text.length <= charactersMax) return;
  throw new Fault("limit", `\`text\` has ${text.length} characters; at most ${charactersMax} are taken. Give a part of it (\`text.cut\`).`);
}

/** What people count: an emoji is one. */
function charactersIn(text: string): number {
  let count = 0;
  for (const _ of segmentsOf(text, "grapheme")) count += 1;
  return count;
}

function wordsIn(text: string): number {
  let count = 0;
  for (const { isWordLike } of segmentsOf(text, "word")) if (isWordLike) count += 1;
  return count;
}

/** From pieces of the text: each segment holds a copy of all that it was found in, which of a long text is more than any memory. */
function* segmentsOf(text: string, granularity: "grapheme" | "word"): Generator<Intl.SegmentData> {
  const segmenter = new Intl.Segmenter("en", { granularity });
  for (let at = 0; at < text.length;) {
    const piece = text.slice(at, placeAfter(text, SEGMENTED_AT_ONCE, at));
    const isLast = at + piece.length >= text.length;
    let next = piece.length;
    for (const segment of segmenter.segment(piece)) {
      // What the end of the piece may have cut begins the next one.
      if (!isLast && segment.index > 0 && segment.index + segment.segment.length === piece.length) next = segment.index;
      else yield segment;
    }
    at += next;
  }
}

const SEGMENTED_AT_ONCE = 1_000;

/** Where so many code points from a place on end. */
function placeAfter(text: string, characters: number, from: number): number {
  let at = from;
  for (let left = characters; left > 0 && at < text.length; left -= 1) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return at;
}
