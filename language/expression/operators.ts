import type { BinaryOperator, Expression } from "../plan.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { render } from "./render.ts";
import { articleOf, failure, finite, isEqual, kindOf, loaded, ownMember, type Meter } from "./values.ts";

type Operation = Extract<Expression, ["op", ...unknown[]]>;

/** `left operator right`; what it cannot do names both kinds and the text of the expression. */
export function operate(expression: Operation, left: Json, right: Json, meter: Meter): Json {
  const operator = expression[1];
  loaded(left, expression[2]);
  loaded(right, expression[3]);
  switch (operator) {
    case "==":
      return isEqual(left, right, meter, expression);
    case "!=":
      return !isEqual(left, right, meter, expression);
    case "in":
      return contains(expression, right, left, meter);
    case "+":
      return add(expression, left, right, meter);
    case "-":
    case "*":
    case "/":
    case "%":
      return calculate(expression, operator, left, right);
    default:
      return compare(expression, operator, left, right);
  }
}

export function negate(expression: Expression, value: Json): number {
  loaded(value, expression);
  if (typeof value !== "number") throw failure(`\`${render(expression)}\` needs a number, but the value is ${articleOf(kindOf(value))}.`);
  return finite(-value, expression);
}

function contains(expression: Operation, container: Json, value: Json, meter: Meter): boolean {
  if (Array.isArray(container)) return container.some((item) => isEqual(item, value, meter, expression));
  if (kindOf(container) !== "map" || typeof value !== "string") throw unfit(expression, value, container);
  return ownMember(container as JsonObject, value) !== undefined;
}

function add(expression: Operation, left: Json, right: Json, meter: Meter): Json {
  if (typeof left === "number" && typeof right === "number") return finite(left + right, expression);
  if (typeof left === "string" && typeof right === "string") return meter.text(left + right);
  if (Array.isArray(left) && Array.isArray(right)) return meter.list([...left, ...right]);
  throw unfit(expression, left, right);
}

function calculate(expression: Operation, operator: "-" | "*" | "/" | "%", left: Json, right: Json): number {
  if (typeof left !== "number" || typeof right !== "number") throw unfit(expression, left, right);
  if (right === 0 && (operator === "/" || operator === "%"))
    throw failure(`\`${render(expression)}\` divides by zero; check the divisor first.`);
  return finite(arithmetic[operator](left, right), expression);
}

const arithmetic = {
  "-": (left: number, right: number) => left - right,
  "*": (left: number, right: number) => left * right,
  "/": (left: number, right: number) => left / right,
  "%": (left: number, right: number) => left % right,
} as const;

function compare(expression: Operation, operator: BinaryOperator, left: Json, right: Json): boolean {
  const kind = kindOf(left);
  if (kind !== kindOf(right) || !ordered.has(kind)) throw unfit(expression, left, right);
  // Both are of the same ordered kind; strings compare by code unit, not by locale.
  const [a, b] = [left as number, right as number];
  if (operator === "<") return a < b;
  if (operator === "<=") return a <= b;
  return operator === ">" ? a > b : a >= b;
}

const ordered = new Set(["number", "string", "boolean"]);

function unfit(expression: Operation, left: Json, right: Json): Error {
  const kinds = `${articleOf(kindOf(left))} and ${articleOf(kindOf(right))}`;
  return failure(
    `\`${render(expression)}\`: \`${expression[1]}\` does not work on ${kinds}; convert one of them, such as with string(…) or double(…).`,
  );
}
