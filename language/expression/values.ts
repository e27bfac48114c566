import type { Json, JsonObject } from "../../contracts/json.ts";
import { isObject } from "../../contracts/json.ts";
import { Fault } from "../../contracts/faults.ts";
import { limits } from "../../contracts/limits.ts";
import { REFERENCE_KEY, referenceHash } from "../../contracts/reference.ts";
import type { Expression } from "../plan.ts";
import { render } from "./render.ts";

/** What stands between evaluation steps: JSON, or the result of `a.?b`. */
export type Value = Json | Optional;

export class Optional {
  readonly value: Json | undefined;

  constructor(value?: Json) {
    this.value = value;
  }
}

/**
 * Evaluation has to look inside a stored value, which is not in the workflow's memory. No fault: whoever evaluates
 * loads the value (or evaluates in an activity) and tries again.
 */
export class ReferenceRead extends Error {
  readonly hash: string;

  constructor(hash: string, where: Expression) {
    super(`\`${render(where)}\` reads inside stored value ${hash}.`);
    this.name = "ReferenceRead";
    this.hash = hash;
  }
}

/** Bounds the evaluation of one field: every node, list item and piece of text costs, each step about a microsecond. */
export class Meter {
  spent = 0;
  readonly #most: number;
  readonly #sentence: string;

  /** `sentence`: what the fault says. */
  constructor(
    most: number = limits.expressionStepsMax,
    sentence = `The expressions of this field take more than ${most} steps; work on shorter lists, or do this in a tool.`,
  ) {
    this.#most = most;
    this.#sentence = sentence;
  }

  spend(steps = 1): void {
    this.spent += steps;
    if (this.spent > this.#most) throw new Fault("limit", this.#sentence);
  }

  text(text: string): string {
    this.textLength(text.length);
    return text;
  }

  /** For a text that is not built yet. */
  textLength(length: number): void {
    if (length > textLengthMax)
      throw new Fault(
        "limit",
        `This expression makes a text of more than ${textLengthMax} characters; make it shorter, or do this in a tool.`,
      );
    this.spend(1 + (length >> 7));
  }

  list<Item extends Json>(list: Item[]): Item[] {
    this.spend(1 + list.length);
    return list;
  }
}

const textLengthMax = 1024 * 1024;

/**
 * A short expression can put one large value into a list a hundred thousand times; in memory that costs nothing,
 * as JSON it would end the worker. Counts what JSON needs at least: two bytes per value, one per character.
 */
export function checkSize(value: Json, meter: Meter): void {
  let left: number = limits.blobBytesMax;
  let values = 0;
  const count = (part: Json): void => {
    if ((++values & 127) === 0) meter.spend();
    left -= typeof part === "string" ? 2 + part.length : 2;
    if (left < 0) throw new Fault("limit", `The value of this expression is larger than ${limits.blobBytesMax} bytes; take a part of it.`);
    if (Array.isArray(part)) part.forEach(count);
    else if (isObject(part)) Object.values(part).forEach(count);
  };
  count(value);
}

/** An error in the expression or its data; `&&`, `||`, `all` and `exists` may absorb it. */
export const failure = (sentence: string): Fault => new Fault("expression", sentence);

export type Kind = "null" | "boolean" | "number" | "string" | "list" | "map";

export function kindOf(value: Json): Kind {
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  const type = typeof value;
  return type === "boolean" || type === "number" || type === "string" ? type : "map";
}

export const articleOf = (kind: string): string => (kind === "null" ? "null" : `a ${kind}`);

/** The value itself, unless it is stored elsewhere. */
export function loaded(value: Json, where: Expression): Json {
  const hash = referenceHash(value);
  if (hash !== undefined) throw new ReferenceRead(hash, where);
  return value;
}

/** The value, of which nothing is stored elsewhere: for whatever reads it to the last leaf. */
export function fullyLoaded(value: Json, meter: Meter, where: Expression): Json {
  meter.spend();
  loaded(value, where);
  if (typeof value === "string") meter.spend(value.length >> 7);
  if (Array.isArray(value)) for (const item of value) fullyLoaded(item, meter, where);
  else if (isObject(value)) for (const key of Object.keys(value)) if (value[key] !== undefined) fullyLoaded(value[key]!, meter, where);
  return value;
}

const unreachable = new Set(["__proto__", "constructor", "prototype"]);

export const isReachable = (key: string): boolean => !unreachable.has(key);

/** An own property; what JavaScript adds to objects cannot be reached. */
export const ownMember = (map: JsonObject, key: string): Json | undefined =>
  isReachable(key) && Object.hasOwn(map, key) ? map[key] : undefined;

/** Sorted, so that a value gives the same lists whether it was kept in memory or came back from the store. */
export const sortedKeys = (map: JsonObject): string[] =>
  Object.keys(map)
    .filter((key) => map[key] !== undefined && isReachable(key))
    .toSorted();

/** A map with this key cannot be built: it would pass for a stored value, or change its prototype. */
export const isBuildable = (key: string): boolean => key !== REFERENCE_KEY && key !== "__proto__";

export function put(map: JsonObject, key: string, value: Json): void {
  if (!isBuildable(key)) throw failure(`The key \`${key}\` is reserved; name it otherwise.`);
  map[key] = value;
}

/** A number that JSON can carry; minus zero, which it cannot, is zero. */
export function finite(value: number, where: Expression): number {
  if (!Number.isFinite(value)) throw failure(`\`${render(where)}\` is not a finite number; check the values before calculating.`);
  return value === 0 ? 0 : value;
}

/** As text in the middle of other text: null is empty, lists and maps are JSON. */
export function textOf(value: Json, meter: Meter, where: Expression): string {
  if (value === null) return "";
  if (typeof value === "string") return meter.text(value);
  return meter.text(JSON.stringify(fullyLoaded(value, meter, where)));
}

export function isEqual(left: Json, right: Json, meter: Meter, where: Expression): boolean {
  meter.spend();
  loaded(left, where);
  loaded(right, where);
  if (Array.isArray(left)) return Array.isArray(right) && isEqualList(left, right, meter, where);
  if (isObject(left)) return isObject(right) && isEqualMap(left, right, meter, where);
  if (typeof left === "string" && typeof right === "string") meter.spend(left.length >> 7);
  return left === right;
}

const isEqualList = (left: Json[], right: Json[], meter: Meter, where: Expression): boolean =>
  left.length === right.length && left.every((item, at) => isEqual(item, right[at]!, meter, where));

function isEqualMap(left: JsonObject, right: JsonObject, meter: Meter, where: Expression): boolean {
  const keys = Object.keys(left).filter((key) => left[key] !== undefined);
  if (keys.length !== Object.keys(right).filter((key) => right[key] !== undefined).length) return false;
  return keys.every((key) => Object.hasOwn(right, key) && right[key] !== undefined && isEqual(left[key]!, right[key]!, meter, where));
}
