import type { Expression, Macro } from "../plan.ts";
import type { Node } from "./lower.ts";
import { functions, optionalMethods } from "./functions.ts";
import { PatternError } from "./pattern-syntax.ts";
import { checkPattern } from "./pattern.ts";
import { limits } from "../../contracts/limits.ts";
import { suggestion } from "./suggest.ts";
import { ExpressionSyntaxError } from "./syntax.ts";
import { isReachable } from "./values.ts";

export interface CallNode {
  name: string;
  /** A method's target is the first. */
  operands: Node[];
  isMethod: boolean;
  offset: number;
}

/** `f(x)` and `x.f()`: a macro, a method of optionals, or a function of our table. */
export function lowerCall(call: CallNode, lower: (node: Node) => Expression): Expression {
  const { name, operands, isMethod } = call;
  if (name === "has" && !isMethod) return lowerHas(call, lower);
  const macro = isMethod ? macros.get(name) : undefined;
  if (macro !== undefined) return lowerMacro(macro, call, lower);
  checkCall(call);
  const lowered = operands.map(lower);
  if (name === "matches") checkMatches(lowered[1]!, call.offset);
  return ["call", name, ...lowered];
}

const macros: ReadonlyMap<string, Macro> = new Map(
  (["all", "exists", "exists_one", "filter", "map"] as const).map((macro) => [macro, macro]),
);

function lowerHas({ operands, offset }: CallNode, lower: (node: Node) => Expression): Expression {
  const operand = operands.length === 1 ? lower(operands[0]!) : undefined;
  if (operand?.[0] === "get") return ["has", operand[1], operand[2]];
  if (operand?.[0] === "optional") return ["call", "hasValue", operand];
  throw new ExpressionSyntaxError("`has` takes one member, such as has(input.name); for a computed key write `key in map`.", offset);
}

function lowerMacro(macro: Macro, { operands, offset }: CallNode, lower: (node: Node) => Expression): Expression {
  const [source, variable, body, transform, ...rest] = operands;
  const isRightCount = body !== undefined && rest.length === 0 && (transform === undefined || macro === "map");
  if (!isRightCount || variable?.op !== "id")
    throw new ExpressionSyntaxError(
      `\`${macro}\` is written list.${macro}(x, expression with x)${macro === "map" ? " or list.map(x, filter, value)" : ""}.`,
      offset,
    );
  if (variable.args === "steps" || !isReachable(variable.args))
    throw new ExpressionSyntaxError(`\`${variable.args}\` cannot name a macro's variable; call it x.`, variable.start);
  const each: Extract<Expression, ["each", ...unknown[]]> = ["each", macro, lower(source!), variable.args, lower(body)];
  if (transform !== undefined) each.push(lower(transform));
  return each;
}

function checkCall({ name, operands, isMethod, offset }: CallNode): void {
  const parameters = isMethod ? optionalMethods.get(name) : undefined;
  if (parameters !== undefined) return checkCount(name, operands.length - 1, [parameters, parameters], offset);
  if (optionalMethods.has(name)) throw new ExpressionSyntaxError(`\`${name}\` is written behind an optional, as a.?b.${name}(…).`, offset);
  const found = functions.get(name);
  if (found === undefined) throw unknownFunction(name, isMethod, offset);
  const { required, parameters: all } = found.signature;
  checkCount(found.text, operands.length, [required, all.length], offset);
}

function checkCount(called: string, count: number, [least, most]: [number, number], offset: number): void {
  if (count >= least && count <= most) return;
  const wanted = least === most ? `${least}` : `${least} to ${most}`;
  throw new ExpressionSyntaxError(`\`${called}\` takes ${wanted} argument${wanted === "1" ? "" : "s"}, but ${count} are given.`, offset);
}

function unknownFunction(name: string, isMethod: boolean, offset: number): ExpressionSyntaxError {
  if (macros.has(name)) return new ExpressionSyntaxError(`\`${name}\` is written behind a list: list.${name}(x, …).`, offset);
  const known = isMethod ? [...functions.keys(), ...optionalMethods.keys(), ...macros.keys()] : [...functions.keys(), "has"];
  return new ExpressionSyntaxError(`There is no function \`${name}\`; docs/expressions.md lists them.${suggestion(name, known)}`, offset);
}

function checkMatches(pattern: Expression, offset: number): void {
  if (pattern[0] !== "lit" || typeof pattern[1] !== "string")
    throw new ExpressionSyntaxError("The pattern of `matches` must be a literal string, so that it can be checked now.", offset);
  if (new TextEncoder().encode(pattern[1]).length > limits.regexBytesMax)
    throw new ExpressionSyntaxError(
      `The pattern of \`matches\` is longer than ${limits.regexBytesMax} bytes; use several shorter ones.`,
      offset,
    );
  try {
    checkPattern(pattern[1]);
  } catch (error) {
    if (error instanceof PatternError) throw new ExpressionSyntaxError(error.message, offset);
    throw error;
  }
}
