import type { Json } from "../../contracts/json.ts";
import { isObject } from "../../contracts/json.ts";
import { harmless, markedData } from "../../contracts/marks.ts";
import { matchesPattern } from "./pattern.ts";
import { articleOf, failure, finite, fullyLoaded, isBuildable, kindOf, textOf, type Meter } from "./values.ts";
import type { Call } from "./functions.ts";

/** Characters are Unicode code points, as in CEL: an emoji counts once and is never cut in two. */
export const charactersOf = (text: string, { meter }: Call): string[] => meter.list(Array.from(meter.text(text)));

export const isWithin =
  (find: (text: string, part: string) => boolean) =>
  (call: Call, text: string, part: string): boolean =>
    find(call.meter.text(text), part);

export const matches = (call: Call, text: string, pattern: string): boolean => matchesPattern(text, pattern, call.meter);

// Only A–Z and a–z: independent of language and of the Unicode version of the engine.
export const lowerAscii = ({ meter }: Call, text: string): string =>
  eachLetter(meter, text).replace(/[A-Z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 32));

export const upperAscii = ({ meter }: Call, text: string): string =>
  eachLetter(meter, text).replace(/[a-z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) - 32));

/** Of a text whose letters are taken one by one. */
function eachLetter(meter: Meter, text: string): string {
  meter.spend(text.length >> 3);
  return meter.text(text);
}

export function substring(call: Call, text: string, start: number, end?: number): string {
  const characters = charactersOf(text, call);
  const to = end ?? characters.length;
  if (!Number.isInteger(start) || !Number.isInteger(to) || start < 0 || start > to || to > characters.length)
    throw failure(`substring from ${start} to ${to} is outside the text of ${characters.length} characters.`);
  return characters.slice(start, to).join("");
}

export const split = (call: Call, text: string, separator: string): string[] =>
  separator === "" ? charactersOf(text, call) : call.meter.list(call.meter.text(text).split(separator));

export function replace({ meter }: Call, text: string, from: string, to: string): string {
  if (from === "") throw failure("replace needs a text to look for; an empty one stands everywhere.");
  const parts = meter.list(meter.text(text).split(from));
  // Counted before it is built: many places with a long text in each would not fit into memory.
  meter.textLength(text.length + (parts.length - 1) * (to.length - from.length));
  return parts.join(to);
}

export function join({ meter, where }: Call, list: Json[], separator = ""): string {
  const texts = meter.list(list).map((item) => textOf(item, meter, where));
  meter.textLength(texts.reduce((length, text) => length + text.length + separator.length, 0));
  return texts.join(separator);
}

export function toNumber({ meter, where }: Call, value: Json): number {
  if (typeof value === "number") return value;
  const text = (typeof value === "boolean" ? String(Number(value)) : meter.text(value as string)).trim();
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?$/.test(text)) throw failure(`${quote(text)} is not a number.`);
  return finite(Number(text), where);
}

export function toBoolean(_: Call, value: boolean | string): boolean {
  if (typeof value === "boolean") return value;
  if (value === "true" || value === "false") return value === "true";
  throw failure(`${quote(value)} is neither true nor false; write "true" or "false".`);
}

export const toText = ({ meter, where }: Call, value: Json): string => textOf(value, meter, where);

export const toJson = ({ meter, where }: Call, value: Json): string => meter.text(JSON.stringify(fullyLoaded(value, meter, where)));

/** Text stays readable, anything else is JSON. */
export function data(call: Call, value: Json): string {
  return call.meter.text(markedData(harmless(typeof value === "string" ? value : toJson(call, value))));
}

export function parseJson(call: Call, text: string): Json {
  const value = parse(call.meter.text(text));
  checkKeys(value, call, 0);
  return value;
}

function parse(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw failure(`${quote(text)} is not JSON: ${(error as Error).message}`);
  }
}

const nestingMax = 64;

/** Text from outside must not pass for a stored value either. */
function checkKeys(value: Json, call: Call, depth: number): void {
  call.meter.spend();
  if (depth > nestingMax) throw failure(`The JSON text is nested deeper than ${nestingMax} levels.`);
  if (Array.isArray(value)) for (const item of value) checkKeys(item, call, depth + 1);
  else if (isObject(value))
    for (const [key, member] of Object.entries(value)) {
      if (!isBuildable(key)) throw failure(`The JSON text uses the key \`${key}\`, which is reserved.`);
      checkKeys(member, call, depth + 1);
    }
}

export const quote = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);

export const kindsAre = (values: Json[], wanted: string, name: string): void => {
  const other = values.find((value) => kindOf(value) !== wanted);
  if (other !== undefined) throw failure(`${name} needs a list of ${wanted}s, but one item is ${articleOf(kindOf(other))}.`);
};
