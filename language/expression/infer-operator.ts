import type { BinaryOperator, Expression } from "../plan.ts";
import type { Inference } from "./infer.ts";
import { render } from "./render.ts";
import { anyType, booleanType, isAny, listOf, membersOf, nameOf, numberType, stringType, unionOf, type Type } from "./type.ts";

/** The type of `left operator right`; reported when no combination of what both sides may be can work. */
export function inferOperator(expression: Extract<Expression, ["op", ...unknown[]]>, left: Type, right: Type, { report }: Inference): Type {
  const operator = expression[1];
  if (operator === "==" || operator === "!=") return booleanType;
  const results = membersOf(left).flatMap((one) => membersOf(right).flatMap((other) => resultOf(operator, one, other)));
  if (results.length > 0) return unionOf(results);
  report(`\`${render(expression)}\`: \`${operator}\` does not work on ${nameOf(left)} and ${nameOf(right)}; ${advice(operator)}`);
  return operator === "+" ? anyType : isArithmetic(operator) ? numberType : booleanType;
}

const isArithmetic = (operator: BinaryOperator): boolean => ["-", "*", "/", "%"].includes(operator);

function advice(operator: BinaryOperator): string {
  if (operator === "in") return "on its right must be a list, or a map when its left is a string.";
  return "convert one of them, such as with string(…) or double(…).";
}

function resultOf(operator: BinaryOperator, left: Type, right: Type): Type[] {
  if (operator === "in") return isMemberTest(left, right) ? [booleanType] : [];
  if (operator === "+") return sumOf(left, right);
  const kind = commonKind(left, right);
  if (isArithmetic(operator)) return kind === "number" || kind === "any" ? [numberType] : [];
  return kind === "number" || kind === "string" || kind === "boolean" || kind === "any" ? [booleanType] : [];
}

const isMemberTest = (left: Type, right: Type): boolean =>
  isAny(right) || right.kind === "list" || (right.kind === "object" && (left.kind === "string" || isAny(left)));

function sumOf(left: Type, right: Type): Type[] {
  if (left.kind === "list" && right.kind === "list") return [listOf(unionOf([left.items, right.items]))];
  switch (commonKind(left, right)) {
    case "number":
      return [numberType];
    case "string":
      return [stringType];
    case "any":
      return [anyType];
    case "list":
      return [listOf(anyType)];
    default:
      return [];
  }
}

/** The kind both may have; `any` takes the kind of the other. */
function commonKind(left: Type, right: Type): Type["kind"] | undefined {
  if (isAny(left)) return right.kind;
  return isAny(right) || left.kind === right.kind ? left.kind : undefined;
}
