import { Environment, ParseError } from "@marcbachmann/cel-js";
import type { Expression } from "../plan.ts";
import { limits } from "../../contracts/limits.ts";
import { checkShape, lower, type Node } from "./lower.ts";
import { ExpressionSyntaxError } from "./syntax.ts";

/** Only the library's parser is used; its checker and evaluator are not (docs/decisions/0002). */
const environment = new Environment({ enableOptionalTypes: true });

/** CEL text as a tree. Throws ExpressionSyntaxError. Publish time only. */
export function parseExpression(text: string): Expression {
  if (new TextEncoder().encode(text).length > limits.expressionBytesMax)
    throw new ExpressionSyntaxError(
      `The expression is longer than ${limits.expressionBytesMax} bytes; compute a part of it in a \`set\` step.`,
      0,
    );
  if (text.trim() === "") throw new ExpressionSyntaxError("The expression is empty; write CEL, such as input.name.", 0);
  const known = recent.get(text);
  if (known) return known;
  const expression = lowerText(text);
  checkShape(expression);
  recent.set(text, expression);
  if (recent.size > recentMax) recent.delete(recent.keys().next().value!);
  return expression;
}

/** Each expression is read twice, by the checker and by the compiler, and many stand in a definition more than once. */
const recent = new Map<string, Expression>();
const recentMax = 200;

function lowerText(text: string): Expression {
  try {
    return lower(parseNode(text));
  } catch (error) {
    // Thousands of `!` in a row take a call each in the library's parser, which counts only brackets.
    if (error instanceof RangeError) throw new ExpressionSyntaxError("The expression is nested too deep; make it simpler.", 0);
    throw error;
  }
}

function parseNode(text: string): Node {
  try {
    return environment.parse(text).ast;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const summary = (error as { summary?: string }).summary ?? error.message;
    const offset = (error as { range?: { start: number } }).range?.start ?? 0;
    throw new ExpressionSyntaxError(`This is not CEL at character ${offset + 1}: ${summary}.`, offset);
  }
}
