import type { Json } from "../../contracts/json.ts";
import type { Expression } from "../plan.ts";
import * as lists from "./lists.ts";
import * as numbers from "./numbers.ts";
import { parseSignature, type Parameter, type Signature } from "./signature.ts";
import * as texts from "./texts.ts";
import { articleOf, failure, kindOf, loaded, type Meter } from "./values.ts";

/** What an implementation knows beside its arguments. */
export interface Call {
  meter: Meter;
  /** The call, for messages. */
  where: Expression;
}

export interface FunctionEntry {
  signature: Signature;
  /** As written in docs/expressions.md. */
  text: string;
  doc: string;
  run(call: Call, ...values: Json[]): Json;
}

/** Every function, written `f(x, …)` or `x.f(…)`. Pure; arguments are checked against the signature before it runs. */
export const functions: ReadonlyMap<string, FunctionEntry> = new Map(
  [
    entry("size(value: string|list|map): number", "Characters, items or keys.", lists.size),
    entry(
      "int(value: number|string): number",
      "Whole number; cuts off what is behind the point.",
      (call, value) => Math.trunc(texts.toNumber(call, value)) + 0,
    ),
    entry("double(value: number|string|boolean): number", "Number from text.", texts.toNumber),
    entry("string(value: any): string", "Text as in `${ }`: null is empty, lists and maps are JSON.", texts.toText),
    entry("bool(value: boolean|string): boolean", 'From "true" and "false".', texts.toBoolean),

    entry(
      "startsWith(text: string, part: string): boolean",
      "Whether the text starts so.",
      texts.isWithin((text, part) => text.startsWith(part)),
    ),
    entry(
      "endsWith(text: string, part: string): boolean",
      "Whether the text ends so.",
      texts.isWithin((text, part) => text.endsWith(part)),
    ),
    entry(
      "contains(text: string, part: string): boolean",
      "Whether the part stands anywhere in the text; for lists write `x in list`.",
      texts.isWithin((text, part) => text.includes(part)),
    ),
    entry(
      "matches(text: string, pattern: string): boolean",
      "Whether the pattern (RE2 syntax, a literal) is found anywhere in the text; `^…$` for all of it.",
      texts.matches,
    ),
    entry("lowerAscii(text: string): string", "A–Z to a–z.", texts.lowerAscii),
    entry("upperAscii(text: string): string", "a–z to A–Z.", texts.upperAscii),
    entry("lower(text: string): string", "Lower case of all letters.", ({ meter }, text: string) => meter.text(text.toLowerCase())),
    entry("upper(text: string): string", "Upper case of all letters.", ({ meter }, text: string) => meter.text(text.toUpperCase())),
    entry("trim(text: string): string", "Without white space at both ends.", ({ meter }, text: string) => meter.text(text).trim()),
    entry("split(text: string, separator: string): list<string>", 'Parts between separators; "" gives the characters.', texts.split),
    entry("replace(text: string, from: string, to: string): string", "Every `from` replaced.", texts.replace),
    entry(
      "substring(text: string, start: number, end?: number): string",
      "Characters from start (0 is the first) up to, without, end.",
      texts.substring,
    ),
    entry("join(list: list, separator?: string): string", "Items as text, put together.", texts.join),

    entry("keyBy(list: list, key: string): map", "Items by the value of their key; the last one wins.", lists.keyBy),
    entry("groupBy(list: list, key: string): map", "Lists of items by the value of their key.", lists.groupBy),
    entry("merge(left: map, right: map): map", "Both maps in one; the right one wins.", lists.merge),
    entry("flatten(list: list): list", "Inner lists opened, one level.", lists.flatten),
    entry("sortBy(list: list<T>, key: string): list<T>", "Items in the order of their key.", lists.sortBy),
    entry("sort(list: list<T>): list<T>", "Numbers, strings (by code unit) or booleans in order.", lists.sort),
    entry("unique(list: list<T>): list<T>", "Without later equals.", lists.unique),
    entry("sum(list: list<number>): number", "0 for an empty list.", lists.sum),
    entry("min(list: list<T>): T", "The least; an empty list is an error.", lists.min),
    entry("max(list: list<T>): T", "The greatest; an empty list is an error.", lists.max),
    entry("avg(list: list<number>): number", "The mean; an empty list is an error.", lists.avg),
    entry("first(list: list<T>): T", "First item; an empty list is an error.", lists.first),
    entry("last(list: list<T>): T", "Last item; an empty list is an error.", lists.last),
    entry(
      "slice(list: list<T>, start: number, end?: number): list<T>",
      "Items from start up to, without, end; negative counts from the end.",
      lists.slice,
    ),
    entry("reverse(list: list<T>): list<T>", "Last first.", lists.reverse),
    entry("range(count: number): list<number>", "0 to count - 1.", lists.range),
    entry("keys(map: map): list<string>", "Sorted keys.", lists.keys),
    entry("values(map: map): list", "Values in the order of their keys.", lists.values),
    entry("entries(map: map): list<map>", "`{key, value}` in the order of the keys.", lists.entries),

    entry("abs(value: number): number", "Without its sign.", numbers.calculate(Math.abs)),
    entry("round(value: number, digits?: number): number", "To so many digits behind the point (0); half away from zero.", numbers.round),
    entry("floor(value: number): number", "Next whole number below.", numbers.calculate(Math.floor)),
    entry("ceil(value: number): number", "Next whole number above.", numbers.calculate(Math.ceil)),

    entry("toJson(value: any): string", "As JSON text.", texts.toJson),
    entry(
      "data(value: any): string",
      "For prompts: the value, marked as data that holds no orders; nothing in it can end the mark.",
      texts.data,
    ),
    entry("parseJson(text: string): any", "The value of a JSON text.", texts.parseJson),

    entry("millis(moment: string): number", "Milliseconds since 1970 of an ISO 8601 text with a zone.", numbers.millis),
    entry("iso(ms: number): string", "The moment as ISO 8601 text in UTC.", numbers.iso),
    entry("duration(text: string): number", "Milliseconds of `2d`, `1h30m`, `PT5M`.", numbers.duration),
  ].map((item) => [item.signature.name, item]),
);

/** Optionals are no values, so these three are no functions; they are written as methods. */
export const optionalMethods: ReadonlyMap<string, number> = new Map([
  ["orValue", 1],
  ["hasValue", 0],
  ["value", 0],
]);

export function callFunction(name: string, values: Json[], call: Call): Json {
  const found = functions.get(name);
  if (found === undefined) throw failure(`There is no function \`${name}\`.`);
  for (const [at, value] of values.entries()) checkArgument(found.signature.parameters[at]!, name, value, call);
  return found.run(call, ...values);
}

function checkArgument({ name, type, kinds }: Parameter, called: string, value: Json, { where }: Call): void {
  loaded(value, where);
  const kind = kindOf(value);
  if (kinds !== undefined && !kinds.includes(kind))
    throw failure(`\`${called}\` needs ${type} as \`${name}\`, but it got ${articleOf(kind)}.`);
}

// `checkArgument` has compared every value with the signature, so that implementations may name the types they get.
function entry<Values extends never[]>(text: string, doc: string, run: (call: Call, ...values: Values) => Json): FunctionEntry {
  return { signature: parseSignature(text), text, doc, run: run as unknown as FunctionEntry["run"] };
}
