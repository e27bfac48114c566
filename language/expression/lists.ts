import type { Json, JsonObject } from "../../contracts/json.ts";
import { canonicalJson, isObject } from "../../contracts/json.ts";
import { charactersOf, kindsAre } from "./texts.ts";
import { articleOf, failure, finite, fullyLoaded, kindOf, loaded, ownMember, put, sortedKeys } from "./values.ts";
import type { Call } from "./functions.ts";

export function size(call: Call, value: Json): number {
  if (typeof value === "string") return charactersOf(value, call).length;
  return Array.isArray(value) ? value.length : sortedKeys(value as JsonObject).length;
}

export function keyBy(call: Call, list: Json[], key: string): JsonObject {
  const map: JsonObject = {};
  for (const item of call.meter.list(list)) put(map, groupKey(call, item, key), item);
  return map;
}

export function groupBy(call: Call, list: Json[], key: string): JsonObject {
  const groups = new Map<string, Json[]>();
  for (const item of call.meter.list(list)) {
    const name = groupKey(call, item, key);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  const map: JsonObject = {};
  for (const [name, group] of groups) put(map, name, group);
  return map;
}

export function merge({ meter }: Call, left: JsonObject, right: JsonObject): JsonObject {
  const map: JsonObject = {};
  for (const source of [left, right])
    for (const key of meter.list(Object.keys(source))) if (source[key] !== undefined) put(map, key, source[key]!);
  return map;
}

export function flatten({ meter, where }: Call, list: Json[]): Json[] {
  const flat: Json[] = [];
  for (const item of meter.list(list)) {
    loaded(item, where);
    if (!Array.isArray(item)) flat.push(item);
    else for (const inner of meter.list(item)) flat.push(inner);
  }
  return flat;
}

export function sort(call: Call, list: Json[]): Json[] {
  for (const item of call.meter.list(list)) loaded(item, call.where);
  return sorted(call, list, (item) => item);
}

export const sortBy = (call: Call, list: Json[], key: string): Json[] =>
  sorted(call, call.meter.list(list), (item) => memberOf(call, item, key));

function sorted({ meter }: Call, list: Json[], valueOf: (item: Json) => Json): Json[] {
  const pairs = list.map((item) => ({ item, value: valueOf(item) }));
  const kinds = new Set(pairs.map(({ value }) => kindOf(value)));
  const [kind] = kinds;
  if (kinds.size > 1 || (kind !== undefined && kind !== "number" && kind !== "string" && kind !== "boolean"))
    throw failure(`Sorting needs values of one kind, all numbers, strings or booleans; found ${[...kinds].join(", ")}.`);
  meter.spend(list.length * Math.ceil(Math.log2(list.length + 1)));
  return pairs.toSorted((left, right) => order(left.value, right.value)).map(({ item }) => item);
}

// By code unit, not by locale; both values are of one kind that JavaScript orders.
const order = (left: Json, right: Json): number => (left === right ? 0 : (left as number) < (right as number) ? -1 : 1);

export function unique({ meter, where }: Call, list: Json[]): Json[] {
  const seen = new Map<string, Json>();
  for (const item of meter.list(list)) {
    const text = meter.text(canonicalJson(fullyLoaded(item, meter, where)));
    if (!seen.has(text)) seen.set(text, item);
  }
  return [...seen.values()];
}

export const sum = (call: Call, list: Json[]): number =>
  finite(
    numbers(call, list, "sum").reduce((total, value) => total + value, 0),
    call.where,
  );

export const avg = (call: Call, list: Json[]): number => sum(call, filled(list, "avg")) / list.length;

export const min = (call: Call, list: Json[]): Json => sort(call, filled(list, "min"))[0]!;

export const max = (call: Call, list: Json[]): Json => sort(call, filled(list, "max")).at(-1)!;

export const first = (_: Call, list: Json[]): Json => filled(list, "first")[0]!;

export const last = (_: Call, list: Json[]): Json => filled(list, "last").at(-1)!;

export function slice({ meter }: Call, list: Json[], start: number, end?: number): Json[] {
  if (!Number.isInteger(start) || (end !== undefined && !Number.isInteger(end)))
    throw failure("slice needs whole numbers; negative ones count from the end.");
  return meter.list(list.slice(start, end));
}

export const reverse = ({ meter }: Call, list: Json[]): Json[] => meter.list(list).toReversed();

export function range({ meter }: Call, count: number): number[] {
  if (!Number.isInteger(count) || count < 0) throw failure(`range needs a whole number from 0, not ${count}.`);
  meter.spend(count);
  return Array.from({ length: count }, (_, index) => index);
}

export const keys = ({ meter }: Call, map: JsonObject): string[] => meter.list(sortedKeys(map));

export const values = (call: Call, map: JsonObject): Json[] => keys(call, map).map((key) => map[key]!);

export const entries = (call: Call, map: JsonObject): Json[] => keys(call, map).map((key) => ({ key, value: map[key]! }));

function numbers({ meter, where }: Call, list: Json[], name: string): number[] {
  for (const item of meter.list(list)) loaded(item, where);
  kindsAre(list, "number", name);
  return list as number[];
}

function filled(list: Json[], name: string): Json[] {
  if (list.length === 0) throw failure(`${name} of an empty list; check size(…) > 0 first.`);
  return list;
}

function memberOf({ where }: Call, item: Json, key: string): Json {
  loaded(item, where);
  const value = isObject(item) ? ownMember(item, key) : undefined;
  if (value === undefined) throw failure(`An item of the list has no \`${key}\`; every item must be a map that has it.`);
  return loaded(value, where);
}

function groupKey(call: Call, item: Json, key: string): string {
  const value = memberOf(call, item, key);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  throw failure(`\`${key}\` of an item is ${articleOf(kindOf(value))}; only a string, number or boolean can become a key.`);
}
