import type { JsonSchema } from "../contracts/json.ts";
import { intensity } from "./local-label.ts";
import { labelled, relevance, type Place, type Source } from "./local-source.ts";
import { best } from "./local-text.ts";

/** A number found in the text, or a score derived from it, made to fit the schema. */
export function chooseNumber(schema: JsonSchema, source: Source, place: Place): number {
  const range = readRange(schema);
  const found = foundNumber(source, place) ?? derivedScore(range, source, place) ?? anyNumber(source, place) ?? source.sentences.length;
  return fitRange(found + place.ordinal * (range.step ?? 1), range);
}

export interface Range {
  low?: number;
  high?: number;
  lowExclusive: boolean;
  highExclusive: boolean;
  step?: number;
}

function readRange(schema: JsonSchema): Range {
  const numberAt = (keyword: string): number | undefined => (typeof schema[keyword] === "number" ? schema[keyword] : undefined);
  const [minimum, above, maximum, below] = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"].map(numberAt);
  const low = larger(minimum, above);
  const high = smaller(maximum, below);
  const step = stepOf(schema["type"] === "integer", numberAt("multipleOf"));
  return {
    lowExclusive: above !== undefined && above === low,
    highExclusive: below !== undefined && below === high,
    ...(low === undefined ? {} : { low }),
    ...(high === undefined ? {} : { high }),
    ...(step === undefined ? {} : { step }),
  };
}

function fitRange(wanted: number, range: Range): number {
  const { low = -Infinity, high = Infinity, step } = range;
  const clamped = Math.min(high, Math.max(low, Number.isFinite(wanted) ? wanted : 0));
  if (step !== undefined) return fitSteps(clamped, range, step);
  if (clamped === low && range.lowExclusive) return high === Infinity ? low + 1 : (low + high) / 2;
  if (clamped === high && range.highExclusive) return low === -Infinity ? high - 1 : (low + high) / 2;
  return clamped;
}

function fitSteps(wanted: number, { low = -Infinity, high = Infinity, lowExclusive, highExclusive }: Range, step: number): number {
  let first = Math.ceil(low / step);
  if (lowExclusive && first * step === low) first += 1;
  let last = Math.floor(high / step);
  if (highExclusive && last * step === high) last -= 1;
  // "-0" is 0 in JSON.
  return clean(Math.max(first, Math.min(last, Math.round(wanted / step))) * step) + 0;
}

function foundNumber(source: Source, place: Place): number | undefined {
  const said = labelled(source, place.name);
  const stated = said === undefined ? undefined : numbersIn(said)[0];
  if (stated !== undefined) return stated;
  const near = best(source.sentences, 1, (sentence) => relevance(sentence, place))[0];
  return near && relevance(near, place) > 0 ? numbersIn(near.text)[place.ordinal] : undefined;
}

/** Scores have both bounds: as far between them as the text speaks for the name. */
function derivedScore(range: Range, source: Source, place: Place): number | undefined {
  if (range.low === undefined || range.high === undefined) return undefined;
  return range.low + (range.high - range.low) * Number(intensity(place.name, source).toFixed(2));
}

const anyNumber = (source: Source, place: Place): number | undefined => numbersIn(source.text.slice(0, 20_000))[place.ordinal];

const numbersIn = (text: string): number[] =>
  [...text.matchAll(/(?<![\p{L}\p{N}.])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\p{L}\p{N}.])-?\d{1,15}(?:\.\d{1,10})?/gu)].map(([found]) =>
    Number(found.replaceAll(",", "")),
  );

function stepOf(isInteger: boolean, multipleOf: number | undefined): number | undefined {
  if (multipleOf === undefined || multipleOf <= 0) return isInteger ? 1 : undefined;
  if (!isInteger) return multipleOf;
  for (let factor = 1; factor <= 1_000; factor++) if (Number.isInteger(clean(multipleOf * factor))) return clean(multipleOf * factor);
  return multipleOf;
}

const clean = (value: number): number => (Number.isInteger(value) ? value : Number(value.toPrecision(12)));

const larger = (a?: number, b?: number): number | undefined => (a === undefined ? b : b === undefined ? a : Math.max(a, b));
const smaller = (a?: number, b?: number): number | undefined => (a === undefined ? b : b === undefined ? a : Math.min(a, b));
