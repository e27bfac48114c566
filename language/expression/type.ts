import type { Json } from "../../contracts/json.ts";
import { isObject } from "../../contracts/json.ts";

/** What is known about a value when a definition is published. Publish time only. */
export type Type =
  | { kind: "any" }
  | { kind: "null" }
  | { kind: "boolean" }
  | { kind: "number" }
  | { kind: "string" }
  | { kind: "list"; items: Type }
  | ObjectType
  | { kind: "union"; members: Type[] }
  /** The result of `a.?b`. */
  | { kind: "optional"; of: Type };

export interface ObjectType {
  kind: "object";
  fields: Readonly<Record<string, Type>>;
  required: readonly string[];
  /** Whether it may have other members than `fields`. */
  open: boolean;
}

export const anyType: Type = { kind: "any" };
export const nullType: Type = { kind: "null" };
export const booleanType: Type = { kind: "boolean" };
export const numberType: Type = { kind: "number" };
export const stringType: Type = { kind: "string" };
export const anyMap: Type = { kind: "object", fields: {}, required: [], open: true };

export const listOf = (items: Type): Type => ({ kind: "list", items });

/** The kinds of value a type allows, each once; `any` stands for all. */
export const membersOf = (type: Type): Type[] => (type.kind === "union" ? type.members.flatMap(membersOf) : [type]);

const membersMax = 16;

/** The type of a value that is of one of these types. */
export function unionOf(types: Type[]): Type {
  const members = new Map<string, Type>();
  for (const member of types.flatMap(membersOf)) members.set(JSON.stringify(member), member);
  const [first] = members.values();
  if (first === undefined || members.size > membersMax) return anyType;
  if ([...members.values()].some(isAny)) return anyType;
  return members.size === 1 ? first : { kind: "union", members: [...members.values()] };
}

export const isAny = (type: Type): boolean => type.kind === "any";

export function typeOfValue(value: Json): Type {
  if (value === null) return nullType;
  if (Array.isArray(value)) return listOf(value.length === 0 ? anyType : unionOf(value.map(typeOfValue)));
  if (isObject(value)) return objectOf(Object.entries(value).map(([key, member]) => [key, typeOfValue(member)]));
  return typeof value === "string" ? stringType : typeof value === "number" ? numberType : booleanType;
}

/** A map of which every member is known. */
export const objectOf = (entries: [string, Type][]): Type => ({
  kind: "object",
  fields: Object.fromEntries(entries),
  required: entries.map(([key]) => key),
  open: false,
});

/** Whether every value of `from` may be used where `to` is wanted. Where the types do not say, it may. */
export function assignable(from: Type, to: Type): boolean {
  if (isAny(from) || isAny(to)) return true;
  if (from.kind === "union") return from.members.every((member) => assignable(member, to));
  if (to.kind === "union") return to.members.some((member) => assignable(from, member));
  if (from.kind === "list" && to.kind === "list") return assignable(from.items, to.items);
  if (from.kind === "object" && to.kind === "object") return isAssignableObject(from, to);
  if (from.kind === "optional" && to.kind === "optional") return assignable(from.of, to.of);
  return from.kind === to.kind;
}

function isAssignableObject(from: ObjectType, to: ObjectType): boolean {
  const isComplete = to.required.every((key) => from.open || fieldOf(from, key) !== undefined);
  const fits = Object.keys(to.fields).every((key) => assignable(fieldOf(from, key) ?? anyType, to.fields[key]!));
  return isComplete && fits;
}

export const fieldOf = (type: ObjectType, key: string): Type | undefined =>
  Object.hasOwn(type.fields, key) ? type.fields[key] : undefined;

const names: Readonly<Record<Type["kind"], string>> = {
  any: "any value",
  null: "null",
  boolean: "a boolean",
  number: "a number",
  string: "a string",
  list: "a list",
  object: "a map",
  union: "one of several",
  optional: "an optional",
};

/** The type in a sentence: `a string or null`. */
export const nameOf = (type: Type): string => [...new Set(membersOf(type).map((member) => names[member.kind]))].join(" or ");
