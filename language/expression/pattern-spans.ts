import { compiledPattern, type Instruction } from "./pattern.ts";

/** Where something was found: indexes into the text, `to` excluded. */
export interface Span {
  from: number;
  to: number;
}

/**
 * Every place of a text that belongs to some match; matches that touch or overlap are one. Each state knows the earliest place it was
 * begun at, so that one pass over the text finds them all: text times pattern, as `matchesPattern`.
 */
export function findSpans(text: string, pattern: string): Span[] {
  const program = compiledPattern(pattern);
  const characters = Array.from(text);
  const codes = characters.map((character) => character.codePointAt(0)!);
  const spans: Span[] = [];
  let waiting = new Map<number, number>();
  for (let at = 0; at <= codes.length; at++) {
    // Begun last, so that whatever was begun earlier comes first to each state.
    if (!waiting.has(0)) waiting.set(0, at);
    const here = closed(program, waiting, codes[at - 1], codes[at]);
    waiting = new Map();
    for (const [state, from] of here) {
      const instruction = program[state]!;
      if (instruction.kind === "found") add(spans, { from, to: at });
      if (instruction.kind === "character" && at < codes.length && instruction.test(codes[at]!)) keepEarliest(waiting, state + 1, from);
    }
  }
  return inText(spans, characters);
}

/** All states that are reached without reading a character, each with its earliest beginning. */
function closed(program: Instruction[], seeds: Map<number, number>, before: number | undefined, after: number | undefined) {
  const here = new Map<number, number>();
  // One beginning after the other, each with all it leads to: a state is taken by the earliest.
  for (const [seed, from] of [...seeds].toSorted(([, a], [, b]) => a - b)) {
    const open = [seed];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      if (here.has(state)) continue;
      here.set(state, from);
      const instruction = program[state]!;
      if (instruction.kind === "jump") open.push(...instruction.targets);
      if (instruction.kind === "assert" && instruction.test(before, after)) open.push(state + 1);
    }
  }
  return here;
}

function keepEarliest(states: Map<number, number>, state: number, from: number): void {
  const known = states.get(state);
  if (known === undefined || from < known) states.set(state, from);
}

/** They come by their ends. What begins before the last one's end belongs to it, and to those it reaches back over. */
function add(spans: Span[], { from, to }: Span): void {
  // Nothing was read: a place, but no text.
  if (from === to) return;
  let start = from;
  while (spans.length > 0 && spans.at(-1)!.to >= start) start = Math.min(start, spans.pop()!.from);
  spans.push({ from: start, to });
}

/** From code points to the text's own indexes. */
function inText(spans: Span[], characters: string[]): Span[] {
  const indexes = new Map<number, number>();
  const wanted = new Set(spans.flatMap(({ from, to }) => [from, to]));
  let index = 0;
  for (let at = 0; at <= characters.length; at++) {
    if (wanted.has(at)) indexes.set(at, index);
    index += characters[at]?.length ?? 0;
  }
  return spans.map(({ from, to }) => ({ from: indexes.get(from)!, to: indexes.get(to)! }));
}
