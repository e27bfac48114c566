import type { Expression } from "../plan.ts";
import type { Json } from "../../contracts/json.ts";
import { isObject } from "../../contracts/json.ts";

/** The tree as CEL text, with the fewest parentheses: what error messages quote. Parsing it gives the tree again. */
export const render = (expression: Expression): string => renderAs(expression, 0);

// How tightly the text holds together; an operand that holds less than its place needs gets parentheses.
const ternary = 1;
const or = 2;
const and = 3;
const comparison = 4;
const sum = 5;
const product = 6;
const unary = 7;
const postfix = 8;

function renderAs(expression: Expression, place: number): string {
  const text = renderNode(expression);
  return strengthOf(expression) < place ? `(${text})` : text;
}

function strengthOf(expression: Expression): number {
  switch (expression[0]) {
    case "if":
      return ternary;
    case "or":
      return or;
    case "and":
      return and;
    case "op":
      return strengthOfOperator(expression[1]);
    case "not":
    case "negate":
      return unary;
    case "lit":
      return typeof expression[1] === "number" && expression[1] < 0 ? unary : postfix;
    default:
      return postfix;
  }
}

function strengthOfOperator(operator: string): number {
  if (operator === "+" || operator === "-") return sum;
  return operator === "*" || operator === "/" || operator === "%" ? product : comparison;
}

function renderNode(expression: Expression): string {
  switch (expression[0]) {
    case "lit":
      return renderLiteral(expression[1]);
    case "name":
      return expression[1];
    case "get":
      return renderAs(expression[1], postfix) + renderMember(expression[2]);
    case "at":
      return `${renderAs(expression[1], postfix)}[${render(expression[2])}]`;
    case "optional":
      return renderAs(expression[1], postfix) + renderOptional(expression[2]);
    case "has":
      return `has(${renderAs(expression[1], postfix)}${renderMember(expression[2])})`;
    case "call":
      return renderCall(expression[1], expression.slice(2) as Expression[]);
    case "list":
      return `[${renderAll(expression.slice(1) as Expression[])}]`;
    case "map":
      return `{${expression[1].map(([key, value]) => `${render(key)}: ${render(value)}`).join(", ")}}`;
    case "each":
      return renderMacro(expression);
    default:
      return renderOperator(expression);
  }
}

type Operation = Extract<Expression, ["op" | "and" | "or" | "not" | "negate" | "if", ...unknown[]]>;

function renderOperator(expression: Operation): string {
  switch (expression[0]) {
    case "op":
      return renderBinary(expression[1], expression[2], expression[3]);
    case "and":
      return `${renderAs(expression[1], and)} && ${renderAs(expression[2], and + 1)}`;
    case "or":
      return `${renderAs(expression[1], or)} || ${renderAs(expression[2], or + 1)}`;
    case "not":
      return `!${renderAs(expression[1], unary)}`;
    case "negate":
      return `-${renderAs(expression[1], unary)}`;
    case "if":
      return `${renderAs(expression[1], ternary + 1)} ? ${render(expression[2])} : ${render(expression[3])}`;
  }
}

function renderBinary(operator: string, left: Expression, right: Expression): string {
  const strength = strengthOfOperator(operator);
  // CEL dialects disagree on how comparisons chain, so nested ones are always bracketed.
  const leftPlace = strength === comparison ? strength + 1 : strength;
  return `${renderAs(left, leftPlace)} ${operator} ${renderAs(right, strength + 1)}`;
}

const methods = new Set(["orValue", "hasValue", "value"]);

function renderCall(name: string, callArguments: Expression[]): string {
  const [target, ...rest] = callArguments;
  if (target !== undefined && methods.has(name)) return `${renderAs(target, postfix)}.${name}(${renderAll(rest)})`;
  return `${name}(${renderAll(callArguments)})`;
}

function renderMacro([, macro, source, variable, body, transform]: Extract<Expression, ["each", ...unknown[]]>): string {
  const bodies = transform === undefined ? render(body) : `${render(body)}, ${render(transform)}`;
  return `${renderAs(source, postfix)}.${macro}(${variable}, ${bodies})`;
}

const renderAll = (expressions: Expression[]): string => expressions.map(render).join(", ");

const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/;
const keywords = new Set(["true", "false", "null", "in"]);

const isPlainName = (name: string): boolean => identifier.test(name) && !keywords.has(name);

const renderMember = (name: string): string => (isPlainName(name) ? `.${name}` : `[${renderText(name)}]`);

const renderOptional = (key: Expression): string =>
  key[0] === "lit" && typeof key[1] === "string" && isPlainName(key[1]) ? `.?${key[1]}` : `[?${render(key)}]`;

function renderLiteral(value: Json): string {
  if (typeof value === "string") return renderText(value);
  if (Array.isArray(value)) return `[${value.map(renderLiteral).join(", ")}]`;
  if (!isObject(value)) return renderNumberOrWord(value);
  return `{${Object.entries(value)
    .map(([key, member]) => `${renderText(key)}: ${renderLiteral(member)}`)
    .join(", ")}}`;
}

// Whole numbers above 2^53 and those JavaScript writes as 1e+21 are not CEL integers.
const renderNumberOrWord = (value: null | boolean | number): string =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) ? value.toExponential() : String(value);

const renderText = (text: string): string => JSON.stringify(text);
