import type { parse } from "@marcbachmann/cel-js";
import type { BinaryOperator, Expression } from "../plan.ts";
import type { Json } from "../../contracts/json.ts";
import { limits } from "../../contracts/limits.ts";
import { lowerCall } from "./lower-call.ts";
import { ExpressionSyntaxError } from "./syntax.ts";
import { isReachable } from "./values.ts";

/** A node of the library's tree. */
export type Node = ReturnType<typeof parse>["ast"];

/** The library's tree as ours. What our subset of CEL leaves out is refused here. */
export function lower(node: Node): Expression {
  switch (node.op) {
    case "value":
      return ["lit", lowerLiteral(node.args, node.start)];
    case "id":
      return ["name", checkName(node.args, node.start)];
    case ".":
      return ["get", lower(node.args[0]), checkName(node.args[1], node.pos)];
    case ".?":
      return ["optional", lower(node.args[0]), ["lit", checkName(node.args[1], node.pos)]];
    case "[]":
      return lowerIndex(node.args, node.start);
    case "[?]":
      return ["optional", lower(node.args[0]), checkKey(lower(node.args[1]), node.start)];
    case "call":
      return lowerCall({ name: node.args[0], operands: node.args[1], isMethod: false, offset: node.start }, lower);
    case "rcall":
      return lowerCall({ name: node.args[0], operands: [node.args[1], ...node.args[2]], isMethod: true, offset: node.start }, lower);
    case "list":
      return ["list", ...node.args.map(lower)];
    case "map":
      return ["map", node.args.map(lowerEntry)];
    default:
      return lowerOperator(node);
  }
}

type OperatorNode = Exclude<Node, { op: "value" | "id" | "." | ".?" | "[]" | "[?]" | "call" | "rcall" | "list" | "map" }>;

function lowerOperator(node: OperatorNode): Expression {
  switch (node.op) {
    case "?:":
      return ["if", lower(node.args[0]), lower(node.args[1]), lower(node.args[2])];
    case "&&":
      return ["and", lower(node.args[0]), lower(node.args[1])];
    case "||":
      return ["or", lower(node.args[0]), lower(node.args[1])];
    case "!_":
      return ["not", lower(node.args)];
    case "-_":
      return lowerMinus(lower(node.args));
    default:
      return ["op", node.op satisfies BinaryOperator, lower(node.args[0]), lower(node.args[1])];
  }
}

/** `-5` is a number, not the negation of one. */
const lowerMinus = (operand: Expression): Expression =>
  operand[0] === "lit" && typeof operand[1] === "number" ? ["lit", operand[1] === 0 ? 0 : -operand[1]] : ["negate", operand];

const lowerEntry = ([key, value]: [Node, Node]): [Expression, Expression] => [checkKey(lower(key), key.start), lower(value)];

function lowerIndex([target, index]: [Node, Node], offset: number): Expression {
  const key = checkKey(lower(index), offset);
  if (key[0] === "lit" && typeof key[1] === "string") return ["get", lower(target), key[1]];
  return ["at", lower(target), key];
}

/** CEL's integers become JSON numbers; those that would lose digits, and bytes, have no place in JSON. */
function lowerLiteral(value: unknown, offset: number): Json {
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string") return value;
  if (value instanceof Uint8Array) throw new ExpressionSyntaxError('Bytes such as b"…" are not JSON; write a string.', offset);
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new ExpressionSyntaxError("This whole number is too large for a JSON number; write it as a string.", offset);
}

function checkName(name: string, offset: number): string {
  if (isReachable(name)) return name;
  throw new ExpressionSyntaxError(`\`${name}\` is not data and cannot be read; use another name.`, offset);
}

function checkKey(key: Expression, offset: number): Expression {
  if (key[0] === "lit" && typeof key[1] === "string") checkName(key[1], offset);
  return key;
}

/** Refuses what is nested too deep to be evaluated or read. */
export function checkShape(expression: Expression): void {
  if (depthOf(expression) > limits.expressionDepthMax)
    throw new ExpressionSyntaxError(
      `The expression is nested deeper than ${limits.expressionDepthMax} levels; compute a part of it in a \`set\` step.`,
      0,
    );
  if (macroDepthOf(expression) > limits.expressionMacroNestingMax)
    throw new ExpressionSyntaxError(
      `Macros stand more than ${limits.expressionMacroNestingMax} deep in each other; compute the inner list in a \`set\` step.`,
      0,
    );
}

// Without recursion: what is refused here may be too deep for it.
function depthOf(expression: Expression): number {
  let deepest = 0;
  const open: [expression: Expression, depth: number][] = [[expression, 1]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [part, depth] = next;
    deepest = Math.max(deepest, depth);
    for (const inner of partsOf(part)) open.push([inner, depth + 1]);
  }
  return deepest;
}

/** A macro's source runs once; only what is inside its bodies multiplies. */
function macroDepthOf(expression: Expression): number {
  const inner = Math.max(0, ...partsOf(expression).map(macroDepthOf));
  if (expression[0] !== "each") return inner;
  const bodies = expression.slice(4) as Expression[];
  return Math.max(macroDepthOf(expression[2]), 1 + Math.max(...bodies.map(macroDepthOf)));
}

/** The expressions an expression is made of. */
function partsOf(expression: Expression): Expression[] {
  if (expression[0] === "lit" || expression[0] === "name") return [];
  if (expression[0] === "map") return expression[1].flat();
  // Whatever else stands in a node is a word: its tag, an operator, a name.
  return (expression as unknown[]).slice(1).filter((part) => Array.isArray(part)) as Expression[];
}
