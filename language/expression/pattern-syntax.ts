/** A pattern as a tree. Characters are code points. */
export type PatternNode =
  | { kind: "character"; test: CharacterTest }
  | { kind: "assert"; test: (before: number | undefined, after: number | undefined) => boolean }
  | { kind: "sequence"; parts: PatternNode[] }
  | { kind: "choice"; choices: PatternNode[] }
  | { kind: "repeat"; body: PatternNode; min: number; max: number | undefined };

export type CharacterTest = (character: number) => boolean;

export class PatternError extends Error {}

interface Reader {
  characters: string[];
  at: number;
  ignoreCase: boolean;
}

/** Reads RE2 syntax: literals, classes, groups, `|`, `* + ? {n,m}`, `^ $ \b`, `(?i)` in front. Throws PatternError. */
export function parsePattern(pattern: string): PatternNode {
  const ignoreCase = pattern.startsWith("(?i)");
  const reader: Reader = { characters: Array.from(ignoreCase ? pattern.slice(4) : pattern), at: 0, ignoreCase };
  const node = readChoice(reader);
  if (reader.at < reader.characters.length) throw new PatternError("The pattern has a `)` too much; remove it or write `\\)`.");
  return node;
}

function readChoice(reader: Reader): PatternNode {
  const choices = [readSequence(reader)];
  while (take(reader, "|")) choices.push(readSequence(reader));
  return choices.length === 1 ? choices[0]! : { kind: "choice", choices };
}

function readSequence(reader: Reader): PatternNode {
  const parts: PatternNode[] = [];
  for (let next = peek(reader); next !== undefined && next !== "|" && next !== ")"; next = peek(reader)) parts.push(readRepeat(reader));
  return { kind: "sequence", parts };
}

function readRepeat(reader: Reader): PatternNode {
  const body = readAtom(reader);
  const counts = readCounts(reader);
  if (counts === undefined) return body;
  // Lazy or greedy makes no difference to whether a text matches.
  take(reader, "?");
  if (isQuantifier(peek(reader)) || readCounts(reader) !== undefined)
    throw new PatternError("The pattern has two quantifiers in a row; put the first into a group.");
  return { kind: "repeat", body, ...counts };
}

const isQuantifier = (character: string | undefined): boolean => character === "*" || character === "+" || character === "?";

function readCounts(reader: Reader): { min: number; max: number | undefined } | undefined {
  if (take(reader, "*")) return { min: 0, max: undefined };
  if (take(reader, "+")) return { min: 1, max: undefined };
  if (take(reader, "?")) return { min: 0, max: 1 };
  const counted = /^\{(\d{1,3})(,(\d{0,3}))?\}/.exec(reader.characters.slice(reader.at, reader.at + 10).join(""));
  if (counted === null) return undefined;
  reader.at += counted[0].length;
  const min = Number(counted[1]);
  const max = counted[2] === undefined ? min : counted[3] === "" ? undefined : Number(counted[3]);
  if (max !== undefined && max < min)
    throw new PatternError(`The pattern has \`${counted[0]}\`; the first count must not be the greater one.`);
  return { min, max };
}

function readAtom(reader: Reader): PatternNode {
  const character = reader.characters[reader.at++]!;
  switch (character) {
    case "(":
      return readGroup(reader);
    case "[":
      return { kind: "character", test: readClass(reader) };
    case ".":
      return { kind: "character", test: (code) => code !== newline };
    case "^":
      return { kind: "assert", test: (before) => before === undefined };
    case "$":
      return { kind: "assert", test: (_, after) => after === undefined };
    case "\\":
      return readEscape(reader);
    case "*":
    case "+":
    case "?":
      throw new PatternError(`The pattern has \`${character}\` with nothing to repeat; write \`\\${character}\` for the character itself.`);
    default:
      return { kind: "character", test: exactly(character, reader) };
  }
}

function readGroup(reader: Reader): PatternNode {
  if (take(reader, "?") && !take(reader, ":"))
    throw new PatternError("The pattern uses `(?`; only `(?:…)` is supported, no lookahead, lookbehind or named groups.");
  const node = readChoice(reader);
  if (!take(reader, ")")) throw new PatternError("The pattern has a `(` without its `)`.");
  return node;
}

function readEscape(reader: Reader): PatternNode {
  const next = peek(reader);
  if (next === "b" || next === "B") {
    reader.at++;
    return { kind: "assert", test: (before, after) => (isWord(before) !== isWord(after)) === (next === "b") };
  }
  return { kind: "character", test: readEscaped(reader).test };
}

/** What stands behind a backslash; `code` when it is a single character. */
function readEscaped(reader: Reader): { test: CharacterTest; code?: number } {
  const character = reader.characters[reader.at++];
  if (character === undefined) throw new PatternError("The pattern ends with `\\`; write `\\\\` for the character itself.");
  const known = classes[character];
  if (known !== undefined) return { test: known };
  const control = controls[character];
  if (control !== undefined) return { test: exactly(control, reader), code: control.codePointAt(0)! };
  if (/[1-9k]/.test(character)) throw new PatternError("The pattern refers back to a group; back references are not supported.");
  if (/[A-Za-z0]/.test(character))
    throw new PatternError(`The pattern has \`\\${character}\`, which is not supported; use a class such as [a-z].`);
  return { test: exactly(character, reader), code: character.codePointAt(0)! };
}

function readClass(reader: Reader): CharacterTest {
  const isNegated = take(reader, "^");
  const tests: CharacterTest[] = [];
  while (tests.length === 0 || peek(reader) !== "]") {
    if (peek(reader) === undefined) throw new PatternError("The pattern has a `[` without its `]`.");
    tests.push(readRange(reader));
  }
  reader.at++;
  return (code) => tests.some((test) => test(code)) !== isNegated;
}

function readRange(reader: Reader): CharacterTest {
  const from = readMember(reader);
  const isRange = peek(reader) === "-" && reader.characters[reader.at + 1] !== undefined && reader.characters[reader.at + 1] !== "]";
  if (from.code === undefined || !isRange) return from.test;
  reader.at++;
  const to = readMember(reader);
  if (to.code === undefined || to.code < from.code)
    throw new PatternError("The pattern has a range such as [z-a]; write the lower character first.");
  const [low, high] = [from.code, to.code];
  return foldable((code) => code >= low && code <= high, reader);
}

function readMember(reader: Reader): { test: CharacterTest; code?: number } {
  const character = reader.characters[reader.at++];
  if (character === undefined) throw new PatternError("The pattern has a `[` without its `]`.");
  return character === "\\" ? readEscaped(reader) : { test: exactly(character, reader), code: character.codePointAt(0)! };
}

const newline = 10;
const isDigit: CharacterTest = (code) => code >= 48 && code <= 57;
const isLower = (code: number): boolean => code >= 97 && code <= 122;
const isUpper = (code: number): boolean => code >= 65 && code <= 90;
const isWord = (code: number | undefined): boolean =>
  code !== undefined && (isDigit(code) || isLower(code) || isUpper(code) || code === 95);
const isSpace: CharacterTest = (code) => code === 32 || (code >= 9 && code <= 13);

const classes: Readonly<Record<string, CharacterTest | undefined>> = {
  d: isDigit,
  D: (code) => !isDigit(code),
  w: isWord,
  W: (code) => !isWord(code),
  s: isSpace,
  S: (code) => !isSpace(code),
};

const controls: Readonly<Record<string, string | undefined>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v" };

const exactly = (character: string, reader: Reader): CharacterTest => {
  const wanted = character.codePointAt(0)!;
  return foldable((code) => code === wanted, reader);
};

const foldable = (test: CharacterTest, reader: Reader): CharacterTest =>
  reader.ignoreCase ? (code) => test(code) || test(isLower(code) ? code - 32 : isUpper(code) ? code + 32 : code) : test;

const peek = (reader: Reader): string | undefined => reader.characters[reader.at];

function take(reader: Reader, character: string): boolean {
  if (peek(reader) !== character) return false;
  reader.at++;
  return true;
}
