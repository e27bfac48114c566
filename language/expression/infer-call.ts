import type { Expression } from "../plan.ts";
import { functions } from "./functions.ts";
import { memberType } from "./infer-access.ts";
import type { Inference } from "./infer.ts";
import { render } from "./render.ts";
import type { Parameter } from "./signature.ts";
import { anyMap, anyType, booleanType, isAny, listOf, membersOf, nameOf, numberType, stringType, unionOf, type Type } from "./type.ts";

type Infer = (expression: Expression, inference: Inference) => Type;
type Call = Extract<Expression, ["call", ...unknown[]]>;

/** The type of a call. `infer` leaves an optional as it is, `present` reports it. */
export function inferCall(expression: Call, inference: Inference, infer: Infer, present: Infer): Type {
  const [, name, ...operands] = expression;
  if (name === "orValue" || name === "hasValue" || name === "value") return inferOptional(expression, inference, infer);
  const found = functions.get(name);
  if (found === undefined) return anyType;
  const types = operands.map((operand) => present(operand, inference));
  types.forEach((type, at) => checkArgument({ type, operand: operands[at]!, name, parameter: found.signature.parameters[at] }, inference));
  checkKey(expression, types[0], inference);
  return resultOf(found.signature.result, types[0]);
}

function inferOptional([, name, target, fallback]: Call, inference: Inference, infer: Infer): Type {
  const type = infer(target!, inference);
  if (type.kind !== "optional" && !isAny(type))
    inference.report(`\`${render(target!)}\` is no optional; write \`.?\` instead of \`.\` before \`.${name}\`.`);
  const of = type.kind === "optional" ? type.of : type;
  if (name === "hasValue") return booleanType;
  if (name === "value") return of;
  const other = infer(fallback!, inference);
  return other.kind === "optional" ? { kind: "optional", of: unionOf([of, other.of]) } : unionOf([of, other]);
}

interface Argument {
  type: Type;
  operand: Expression;
  name: string;
  parameter: Parameter | undefined;
}

function checkArgument({ type, operand, name, parameter }: Argument, { report }: Inference): void {
  if (parameter === undefined || membersOf(type).some((member) => fits(member, parameter))) return;
  report(`\`${name}\` needs ${parameter.type} as \`${parameter.name}\`, but \`${render(operand)}\` is ${nameOf(type)}${itemsIn(type)}.`);
}

const itemsIn = (type: Type): string => (type.kind === "list" && !isAny(type.items) ? ` whose items are ${nameOf(type.items)}` : "");

function fits(type: Type, { kinds, type: wanted }: Parameter): boolean {
  if (kinds === undefined || isAny(type)) return true;
  const kind = type.kind === "object" ? "map" : type.kind;
  if (!kinds.some((one) => one === kind)) return false;
  if (type.kind !== "list" || wanted !== "list<number>") return true;
  return membersOf(type.items).some((item) => item.kind === "number" || isAny(item));
}

/** `sortBy(list, "key")`: the key must be a member of the items. */
function checkKey([, name, list, key]: Call, type: Type | undefined, inference: Inference): void {
  if (name !== "sortBy" && name !== "keyBy" && name !== "groupBy") return;
  if (key?.[0] !== "lit" || typeof key[1] !== "string" || type?.kind !== "list") return;
  memberType(type.items, key[1], ["call", "first", list!], inference);
}

/** The type a signature writes; `T` is what the first argument is a list of. */
function resultOf(text: string, first: Type | undefined): Type {
  const inner = /^list<(.*)>$/.exec(text)?.[1];
  if (inner !== undefined) return listOf(resultOf(inner, first));
  if (text === "T") return first?.kind === "list" ? first.items : anyType;
  return results[text] ?? anyType;
}

const results: Readonly<Record<string, Type>> = {
  number: numberType,
  string: stringType,
  boolean: booleanType,
  map: anyMap,
  list: listOf(anyType),
};
