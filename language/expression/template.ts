import type { Expression, Template } from "../plan.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { isObject } from "../../contracts/json.ts";
import { limits } from "../../contracts/limits.ts";
import { parseExpression } from "./cel.ts";
import { closingBrace } from "./scan.ts";
import { ExpressionSyntaxError } from "./syntax.ts";
import { isBuildable } from "./values.ts";

/** Gets what is wrong and where in the value; without one the first problem is thrown as ExpressionSyntaxError. */
export type Report = (pointer: (string | number)[], message: string) => void;

/**
 * A value whose strings may hold `${ }`. A string that is one whole expression keeps the expression's type, otherwise
 * text is interpolated; `$${` stands for `${`. Keys are taken literally.
 */
export const parseTemplate = (value: Json, report: Report = refuse): Template => parseAt(value, [], report);

/** A field that must be an expression: `${…}` or the bare CEL text. Throws ExpressionSyntaxError. */
export function parseCondition(text: string): Expression {
  const trimmed = text.trim();
  if (!trimmed.startsWith("${")) return parseExpression(text);
  const end = closingBrace(trimmed, 2);
  if (end === trimmed.length - 1) return parseExpression(trimmed.slice(2, -1));
  throw new ExpressionSyntaxError("This field is one expression; write all of it inside one ${…}.", 0);
}

function refuse(_: (string | number)[], message: string): never {
  throw new ExpressionSyntaxError(message, 0);
}

type Pointer = (string | number)[];

function parseAt(value: Json, pointer: Pointer, report: Report): Template {
  if (pointer.length > limits.yamlDepthMax) {
    report(pointer, `The value is nested deeper than ${limits.yamlDepthMax} levels; make it flatter.`);
    return { lit: null };
  }
  if (typeof value === "string") return parseText(value, pointer, report);
  if (Array.isArray(value)) return parseList(value, pointer, report);
  return isObject(value) ? parseMap(value, pointer, report) : { lit: value };
}

function parseList(list: Json[], pointer: Pointer, report: Report): Template {
  const items = list.map((item, at) => parseAt(item, [...pointer, at], report));
  const literals: Json[] = [];
  for (const item of items) {
    if (!("lit" in item)) return { list: items };
    literals.push(item.lit);
  }
  return { lit: literals };
}

function parseMap(map: JsonObject, pointer: Pointer, report: Report): Template {
  const entries: [string, Template][] = [];
  for (const [key, value] of Object.entries(map)) {
    if (isBuildable(key)) entries.push([key, parseAt(value, [...pointer, key], report)]);
    else report([...pointer, key], `The key \`${key}\` is reserved; name it otherwise.`);
  }
  const literal: JsonObject = {};
  for (const [key, value] of entries) {
    if (!("lit" in value)) return { map: entries };
    literal[key] = value.lit;
  }
  return { lit: literal };
}

function parseText(text: string, pointer: Pointer, report: Report): Template {
  try {
    const parts = partsOf(text);
    const [only] = parts;
    if (parts.length === 0) return { lit: "" };
    if (parts.length > 1) return { text: parts };
    return typeof only === "string" ? { lit: only } : { expr: only! };
  } catch (error) {
    if (!(error instanceof ExpressionSyntaxError)) throw error;
    if (report === refuse) throw error;
    report(pointer, error.message);
    return { lit: null };
  }
}

/** Texts and expressions by turns, in the order of the text. */
export function partsOf(text: string): (string | Expression)[] {
  const parts: (string | Expression)[] = [];
  let literal = "";
  for (let at = 0; at < text.length;) {
    if (text.startsWith("$${", at)) {
      literal += "${";
      at += 3;
    } else if (text.startsWith("${", at)) {
      const end = closingBrace(text, at + 2);
      if (end === undefined) throw new ExpressionSyntaxError("The ${ has no closing }; add it, or write $${ for the text itself.", at);
      if (literal !== "") parts.push(literal);
      literal = "";
      parts.push(parseInside(text, at + 2, end));
      at = end + 1;
    } else literal += text[at++];
  }
  return literal === "" ? parts : [...parts, literal];
}

function parseInside(text: string, start: number, end: number): Expression {
  try {
    return parseExpression(text.slice(start, end));
  } catch (error) {
    if (error instanceof ExpressionSyntaxError)
      throw new ExpressionSyntaxError(`\${${shown(text.slice(start, end))}}: ${error.message}`, start + error.offset);
    throw error;
  }
}

const shown = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);
