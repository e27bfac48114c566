import type { Expression, Template } from "../plan.ts";
import { inferCall } from "./infer-call.ts";
import { elementType, memberType } from "./infer-access.ts";
import { inferOperator } from "./infer-operator.ts";
import { render } from "./render.ts";
import { suggestion } from "./suggest.ts";
import {
  anyMap,
  anyType,
  booleanType,
  listOf,
  membersOf,
  nameOf,
  numberType,
  objectOf,
  stringType,
  typeOfValue,
  unionOf,
  type Type,
} from "./type.ts";

/** What the names in an expression stand for. `step` serves `steps.<id>`; `missing` is the sentence to report. */
export interface TypeScope {
  name(name: string): Type | undefined;
  step(id: string): Type | { missing: string };
  /** All names, for suggestions. */
  names(): string[];
}

/** Everything an inference needs beside the expression. */
export interface Inference {
  scope: TypeScope;
  report: (message: string) => void;
}

/**
 * The type of an expression. Reports, each as a sentence that says what to do: unknown names, members that the
 * schemas do not have, operands and arguments that can never fit, conditions that are never true or false.
 * What may fit passes: an absent optional member, or a wrong one of several types, fails when the step runs.
 */
export const inferType = (expression: Expression, scope: TypeScope, report: (message: string) => void): Type =>
  infer(expression, { scope, report });

export function typeOfTemplate(template: Template, scope: TypeScope, report: (message: string) => void): Type {
  if ("lit" in template) return typeOfValue(template.lit);
  if ("expr" in template) return present(template.expr, { scope, report });
  if ("list" in template) return listOf(unionOf(template.list.map((item) => typeOfTemplate(item, scope, report))));
  if ("map" in template) return objectOf(template.map.map(([key, value]) => [key, typeOfTemplate(value, scope, report)]));
  for (const part of template.text) if (typeof part !== "string") present(part, { scope, report });
  return stringType;
}

function infer(expression: Expression, inference: Inference): Type {
  switch (expression[0]) {
    case "lit":
      return typeOfValue(expression[1]);
    case "name":
      return inferName(expression[1], inference);
    case "get":
    case "has":
    case "at":
    case "optional":
      return inferAccess(expression, inference);
    case "call":
      return inferCall(expression, inference, infer, present);
    case "list":
      return listOf(unionOf((expression.slice(1) as Expression[]).map((item) => present(item, inference))));
    case "map":
      return inferMap(expression[1], inference);
    case "each":
      return inferMacro(expression, inference);
    default:
      return inferCombination(expression, inference);
  }
}

/** The type of a value: an optional that nothing reads is reported. */
function present(expression: Expression, inference: Inference): Type {
  const type = infer(expression, inference);
  if (type.kind !== "optional") return type;
  inference.report(`\`${render(expression)}\` may be absent; end it with \`.orValue(…)\`.`);
  return type.of;
}

function inferName(name: string, { scope, report }: Inference): Type {
  const type = scope.name(name);
  if (type !== undefined) return type;
  // As a whole, `steps` has no schema; its members are asked for one by one.
  if (name === "steps") return anyMap;
  report(
    `\`${name}\` is not known here.${suggestion(name, ["steps", ...scope.names()]) || ` Known are ${["steps", ...scope.names()].join(", ")}.`}`,
  );
  return anyType;
}

type Access = Extract<Expression, ["get" | "has" | "at" | "optional", ...unknown[]]>;

function inferAccess(expression: Access, inference: Inference): Type {
  const key = typeof expression[2] === "string" ? expression[2] : literalText(expression[2]);
  const type = key === undefined ? inferElement(expression, inference) : inferMember(expression, key, inference);
  if (expression[0] === "has") return booleanType;
  return expression[0] === "optional" && type.kind !== "optional" ? { kind: "optional", of: type } : type;
}

const literalText = (key: Expression): string | undefined => (key[0] === "lit" && typeof key[1] === "string" ? key[1] : undefined);

function inferMember(expression: Access, key: string, inference: Inference): Type {
  const target = expression[1];
  if (target[0] === "name" && target[1] === "steps") {
    const step = inference.scope.step(key);
    if (!("missing" in step)) return step;
    inference.report(step.missing);
    return anyType;
  }
  return memberType(infer(target, inference), key, target, inference);
}

function inferElement(expression: Access, inference: Inference): Type {
  const index = expression[2] as Expression;
  return elementType({ target: infer(expression[1], inference), index: present(index, inference), expression }, inference);
}

function inferMap(entries: [Expression, Expression][], inference: Inference): Type {
  const fields: [string, Type][] = [];
  for (const [key, value] of entries) {
    const keyType = present(key, inference);
    if (!membersOf(keyType).some((member) => member.kind === "string" || member.kind === "any"))
      inference.report(`The key \`${render(key)}\` is ${nameOf(keyType)}; keys of a map must be strings.`);
    const type = present(value, inference);
    const name = literalText(key);
    if (name !== undefined) fields.push([name, type]);
  }
  return fields.length === entries.length ? objectOf(fields) : anyMap;
}

function inferMacro([, macro, source, name, body, transform]: Extract<Expression, ["each", ...unknown[]]>, inference: Inference): Type {
  const sourceType = present(source, inference);
  const items = membersOf(sourceType).flatMap(itemsOf);
  if (items.length === 0) inference.report(`\`${render(source)}\` is ${nameOf(sourceType)}; \`${macro}\` needs a list or a map.`);
  const item = items.length === 0 ? anyType : unionOf(items);
  const inner: Inference = { ...inference, scope: withName(inference.scope, name, item) };
  if (macro === "map" && transform === undefined) return listOf(present(body, inner));
  inferCondition(body, inner);
  if (transform !== undefined) return listOf(present(transform, inner));
  return macro === "filter" ? listOf(item) : booleanType;
}

function itemsOf(type: Type): Type[] {
  if (type.kind === "list") return [type.items];
  if (type.kind === "object") return [stringType];
  return type.kind === "any" ? [anyType] : [];
}

const withName = (scope: TypeScope, name: string, type: Type): TypeScope => ({
  name: (asked) => (asked === name ? type : scope.name(asked)),
  step: (id) => scope.step(id),
  names: () => [name, ...scope.names()],
});

type Combination = Extract<Expression, ["op" | "and" | "or" | "not" | "negate" | "if", ...unknown[]]>;

function inferCombination(expression: Combination, inference: Inference): Type {
  switch (expression[0]) {
    case "op":
      return inferOperator(expression, present(expression[2], inference), present(expression[3], inference), inference);
    case "and":
    case "or":
      inferCondition(expression[1], inference);
      inferCondition(expression[2], inference);
      return booleanType;
    case "not":
      inferCondition(expression[1], inference);
      return booleanType;
    case "negate":
      return inferNegation(expression[1], inference);
    case "if":
      inferCondition(expression[1], inference);
      return inferBranches(infer(expression[2], inference), infer(expression[3], inference));
  }
}

/** A branch may stay optional; then the whole is. */
function inferBranches(left: Type, right: Type): Type {
  if (left.kind !== "optional" && right.kind !== "optional") return unionOf([left, right]);
  const [of, other] = [left, right].map((type) => (type.kind === "optional" ? type.of : type)) as [Type, Type];
  return { kind: "optional", of: unionOf([of, other]) };
}

function inferCondition(expression: Expression, inference: Inference): void {
  const type = present(expression, inference);
  if (membersOf(type).some((member) => member.kind === "boolean" || member.kind === "any")) return;
  inference.report(`\`${render(expression)}\` is ${nameOf(type)}, but it must be true or false; compare it with something.`);
}

function inferNegation(operand: Expression, inference: Inference): Type {
  const type = present(operand, inference);
  if (!membersOf(type).some((member) => member.kind === "number" || member.kind === "any"))
    inference.report(`\`-${render(operand)}\` needs a number, but \`${render(operand)}\` is ${nameOf(type)}.`);
  return numberType;
}
