import type { Expression } from "../plan.ts";
import type { Json } from "../../contracts/json.ts";
import { isObject } from "../../contracts/json.ts";
import { render } from "./render.ts";
import { articleOf, failure, isReachable, kindOf, loaded, Optional, ownMember, type Value } from "./values.ts";

/** `a.b`; on an optional the absence goes on. */
export function member(target: Value, key: string, expression: Expression): Value {
  if (target instanceof Optional) return optionalMember(target, key, expression);
  const value = read(target, key, expression);
  if (value === undefined) throw absent(expression);
  return value;
}

/** `a[b]`: an item of a list by its whole number, or a member of a map by its text. */
export function element(target: Value, index: Json, expression: Expression): Value {
  if (target instanceof Optional) return optionalMember(target, index, expression);
  const value = read(target, index, expression);
  if (value === undefined) throw Array.isArray(target) ? outside(target, index, expression) : absent(expression);
  return value;
}

/** `a.?b`, `a[?b]`; what is read from null or from nothing is absent. */
export function optionalMember(target: Value, key: Json, expression: Expression): Optional {
  const base = target instanceof Optional ? target.value : target;
  return base === undefined || base === null ? new Optional() : new Optional(read(base, key, expression));
}

/** `has(a.b)` */
export function hasMember(target: Value, key: string, expression: Expression): boolean {
  return optionalMember(target, key, expression).value !== undefined;
}

export const absent = (expression: Expression): Error =>
  failure(`\`${render(expression)}\` is absent; if it may be, read it with \`.?\` and \`.orValue(…)\`.`);

function read(target: Json, key: Json, expression: Expression): Json | undefined {
  loaded(target, targetOf(expression));
  if (Array.isArray(target)) return readItem(target, key, expression);
  if (isObject(target)) return readKey(target, key, expression);
  const kind = kindOf(target);
  throw failure(`\`${render(expression)}\` cannot be read, because \`${render(targetOf(expression))}\` is ${articleOf(kind)}.`);
}

function readItem(list: Json[], index: Json, expression: Expression): Json | undefined {
  loaded(index, expression);
  if (typeof index !== "number" || !Number.isInteger(index))
    throw failure(
      `\`${render(expression)}\` cannot be read: \`${render(targetOf(expression))}\` is a list, so its index must be a whole number.`,
    );
  return list[index];
}

function readKey(map: { [key: string]: Json }, key: Json, expression: Expression): Json | undefined {
  loaded(key, expression);
  if (typeof key !== "string")
    throw failure(`\`${render(expression)}\` cannot be read: \`${render(targetOf(expression))}\` is a map, so its key must be a string.`);
  if (!isReachable(key)) throw failure(`\`${render(expression)}\` cannot be read: \`${key}\` is not data.`);
  return ownMember(map, key);
}

const outside = (list: Json[], index: Json, expression: Expression): Error =>
  failure(`\`${render(expression)}\` is absent: index ${JSON.stringify(index)} is outside the list of ${list.length}.`);

/** What the member is read of. */
const targetOf = (expression: Expression): Expression => expression[1] as Expression;
