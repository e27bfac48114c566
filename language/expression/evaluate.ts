import type { Expression, Template } from "../plan.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import type { Fault } from "../../contracts/faults.ts";
import { absent, element, hasMember, member, optionalMember } from "./access.ts";
import { callFunction } from "./functions.ts";
import { attempt, iterate } from "./macros.ts";
import { negate, operate } from "./operators.ts";
import { render } from "./render.ts";
import { articleOf, checkSize, failure, kindOf, loaded, Meter, Optional, put, textOf, type Value } from "./values.ts";

export { Meter, ReferenceRead } from "./values.ts";
export { render } from "./render.ts";

/** What the names in an expression stand for. `step` serves `steps.<id>`; undefined = absent. */
export interface Roots {
  name(name: string): Json | undefined;
  step(id: string): Json | undefined;
}

/**
 * The value of an expression. Pure: no clock, no randomness, no locale.
 *
 * Faults: expression (the sentence quotes the text of the expression), limit (steps or text length).
 * Throws ReferenceRead when it has to look inside a stored value; passing one along is fine.
 */
export function evaluate(expression: Expression, roots: Roots, meter = new Meter()): Json {
  const value = toJson(expression, { roots, meter });
  checkSize(value, meter);
  return value;
}

/**
 * The value of a template, whose expressions share one meter. Text that comes out of an expression is never read as a template again.
 * Faults as evaluate.
 */
export function fill(template: Template, roots: Roots, meter = new Meter()): Json {
  if ("lit" in template) return template.lit;
  if ("expr" in template) return evaluate(template.expr, roots, meter);
  if ("text" in template) return fillText(template.text, roots, meter);
  if ("list" in template) return template.list.map((item) => fill(item, roots, meter));
  const map: JsonObject = {};
  for (const [key, value] of template.map) put(map, key, fill(value, roots, meter));
  return map;
}

function fillText(parts: (string | Expression)[], roots: Roots, meter: Meter): string {
  const texts = parts.map((part) => (typeof part === "string" ? part : textOf(evaluate(part, roots, meter), meter, part)));
  return meter.text(texts.join(""));
}

interface Scope {
  roots: Roots;
  meter: Meter;
  /** The innermost macro variable. */
  bound?: { name: string; value: Json; outer: Scope["bound"] };
}

function valueOf(expression: Expression, scope: Scope): Value {
  scope.meter.spend();
  switch (expression[0]) {
    case "lit":
      return expression[1];
    case "name":
      return lookUp(expression, scope);
    case "get":
    case "at":
    case "optional":
    case "has":
      return access(expression, scope);
    case "call":
      return call(expression, scope);
    case "list":
      return (expression.slice(1) as Expression[]).map((item) => toJson(item, scope));
    case "map":
      return buildMap(expression[1], scope);
    case "each":
      return runMacro(expression, scope);
    default:
      return combine(expression, scope);
  }
}

type Operation = Extract<Expression, ["op" | "and" | "or" | "not" | "negate" | "if", ...unknown[]]>;

function combine(expression: Operation, scope: Scope): Value {
  switch (expression[0]) {
    case "op":
      return operate(expression, toJson(expression[2], scope), toJson(expression[3], scope), scope.meter);
    case "and":
      return decide(expression[1], expression[2], false, scope);
    case "or":
      return decide(expression[1], expression[2], true, scope);
    case "not":
      return !toBoolean(expression[1], scope);
    case "negate":
      return negate(expression, toJson(expression[1], scope));
    case "if":
      return valueOf(toBoolean(expression[1], scope) ? expression[2] : expression[3], scope);
  }
}

/** `&&` and `||` as CEL has them: a side that decides wins, even over an error in the other. */
function decide(left: Expression, right: Expression, deciding: boolean, scope: Scope): boolean {
  const first = attempt(() => toBoolean(left, scope), scope.meter);
  if (first === deciding) return deciding;
  const second = attempt(() => toBoolean(right, scope), scope.meter);
  if (second === deciding) return deciding;
  const error: boolean | Fault = typeof first === "boolean" ? second : first;
  if (typeof error !== "boolean") throw error;
  return !deciding;
}

function lookUp(expression: Extract<Expression, ["name", string]>, scope: Scope): Json {
  for (let bound = scope.bound; bound !== undefined; bound = bound.outer) if (bound.name === expression[1]) return bound.value;
  const value = scope.roots.name(expression[1]);
  if (value === undefined) throw absent(expression);
  return value;
}

type Access = Extract<Expression, ["get" | "at" | "optional" | "has", ...unknown[]]>;

function access(expression: Access, scope: Scope): Value {
  const key = typeof expression[2] === "string" ? expression[2] : toJson(expression[2], scope);
  const target = targetOf(expression, key, scope);
  switch (expression[0]) {
    case "get":
      return member(target, expression[2], expression);
    case "at":
      return element(target, key, expression);
    case "optional":
      return optionalMember(target, key, expression);
    case "has":
      return hasMember(target, expression[2], expression);
  }
}

/** `steps` is no value of its own: only the step that is asked for is looked up. */
function targetOf(expression: Access, key: Json, scope: Scope): Value {
  const target = expression[1];
  if (target[0] !== "name" || target[1] !== "steps" || typeof key !== "string") return valueOf(target, scope);
  const step = scope.roots.step(key);
  return step === undefined ? {} : { [key]: step };
}

function call(expression: Extract<Expression, ["call", ...unknown[]]>, scope: Scope): Value {
  const [, name, ...operands] = expression;
  if (name === "orValue" || name === "hasValue" || name === "value") return readOptional(expression, scope);
  return callFunction(
    name,
    operands.map((operand) => toJson(operand, scope)),
    { meter: scope.meter, where: expression },
  );
}

function readOptional(expression: Extract<Expression, ["call", ...unknown[]]>, scope: Scope): Value {
  const [, name, target, fallback] = expression;
  const optional = valueOf(target!, scope);
  if (!(optional instanceof Optional))
    throw failure(`\`${render(expression)}\`: \`${name}\` works on optionals only; read \`${render(target!)}\` with \`.?\`.`);
  if (name === "hasValue") return optional.value !== undefined;
  if (optional.value !== undefined) return optional.value;
  if (name === "value") throw absent(target!);
  return valueOf(fallback!, scope);
}

function buildMap(entries: [Expression, Expression][], scope: Scope): Json {
  const map: JsonObject = {};
  for (const [keyExpression, value] of entries) {
    const key = loaded(toJson(keyExpression, scope), keyExpression);
    if (typeof key !== "string")
      throw failure(`The key \`${render(keyExpression)}\` must be a string, but it is ${articleOf(kindOf(key))}.`);
    put(map, key, toJson(value, scope));
  }
  return map;
}

function runMacro(expression: Extract<Expression, ["each", ...unknown[]]>, scope: Scope): Json {
  const [, macro, source, name, body, transform] = expression;
  const inner = (value: Json): Scope => ({ ...scope, bound: { name, value, outer: scope.bound } });
  const isFiltered = macro !== "map" || transform !== undefined;
  const bodies = {
    test: (item: Json) => !isFiltered || toBoolean(body, inner(item)),
    transform: (item: Json) => toJson(transform ?? body, inner(item)),
  };
  return iterate(expression, toJson(source, scope), bodies, scope.meter);
}

function toBoolean(expression: Expression, scope: Scope): boolean {
  const value = loaded(toJson(expression, scope), expression);
  if (typeof value === "boolean") return value;
  throw failure(`\`${render(expression)}\` must be true or false, but it is ${articleOf(kindOf(value))}; compare it with something.`);
}

function toJson(expression: Expression, scope: Scope): Json {
  const value = valueOf(expression, scope);
  if (value instanceof Optional) throw failure(`\`${render(expression)}\` may be absent; end it with \`.orValue(…)\`.`);
  return value;
}
