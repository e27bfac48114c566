import { runInNewContext } from "node:vm";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Json } from "../../contracts/json.ts";
import type { BinaryOperator, Expression } from "../plan.ts";
import { Fault } from "../../contracts/faults.ts";
import { evaluate, fill, render, type Roots } from "./evaluate.ts";
import { parseExpression, parseTemplate } from "./parse.ts";
import { casesOf } from "../../tests/cases.ts";

const nothing: Roots = { name: () => undefined, step: () => undefined };

const number = fc.oneof(fc.integer({ min: -1_000, max: 1_000 }), fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }));
const literal = (value: number): Expression => ["lit", value === 0 ? 0 : value];

const { arithmetic } = fc.letrec<{ arithmetic: Expression }>((tie) => ({
  arithmetic: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    number.map(literal),
    fc
      .tuple(fc.constantFrom<BinaryOperator>("+", "-", "*", "/", "%"), tie("arithmetic"), tie("arithmetic"))
      .map(([operator, left, right]): Expression => ["op", operator, left, right]),
  ),
}));

test("arithmetic is JavaScript's", () => {
  fc.assert(
    fc.property(arithmetic, (expression) => {
      const expected = runInNewContext(render(expression)) as number;
      const actual = valueOrFault(expression);
      if (actual instanceof Fault) expect(isBeyondJson(expression)).toBe(true);
      else expect(actual).toBe(expected === 0 ? 0 : expected);
    }),
    { numRuns: casesOf(500) },
  );
});

const valueOrFault = (expression: Expression): Json | Fault => {
  try {
    return evaluate(expression, nothing);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
};

/** A zero divisor or overflow somewhere inside. */
const isBeyondJson = (expression: Expression): boolean =>
  expression[0] === "op" && (isBeyondJson(expression[2]) || isBeyondJson(expression[3]) || valueOrFault(expression) instanceof Fault);

const name = fc.constantFrom("a", "b", "input", "x1");
const key = fc
  .oneof(fc.constantFrom("a", "b", "in", "true", "odd key", "0"), fc.string({ unit: "grapheme", maxLength: 6 }))
  .filter((text) => !["__proto__", "constructor", "prototype"].includes(text));

const { tree } = fc.letrec<{ tree: Expression }>((tie) => {
  const one = tie("tree");
  const pair = fc.tuple(one, one);
  return {
    tree: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      number.map(literal),
      fc.oneof(fc.string({ unit: "grapheme" }), fc.boolean(), fc.constant(null)).map((value): Expression => ["lit", value]),
      name.map((text): Expression => ["name", text]),
      fc.tuple(one, key).map(([target, text]): Expression => ["get", target, text]),
      fc.tuple(one, key).map(([target, text]): Expression => ["has", target, text]),
      fc.tuple(one, key).map(([target, text]): Expression => ["optional", target, ["lit", text]]),
      fc.tuple(one, name).map(([target, text]): Expression => ["at", target, ["name", text]]),
      pair.map(([left, right]): Expression => ["and", left, right]),
      pair.map(([left, right]): Expression => ["or", left, right]),
      fc
        .tuple(fc.constantFrom<BinaryOperator>("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in"), one, one)
        .map(([operator, left, right]): Expression => ["op", operator, left, right]),
      one.map((operand): Expression => ["not", operand]),
      name.map((text): Expression => ["negate", ["name", text]]),
      fc.tuple(one, one, one).map(([condition, left, right]): Expression => ["if", condition, left, right]),
      fc.array(one, { maxLength: 3 }).map((items): Expression => ["list", ...items]),
      fc
        .array(
          fc.tuple(
            key.map((text): Expression => ["lit", text]),
            one,
          ),
          { maxLength: 2 },
        )
        .map((entries): Expression => ["map", entries]),
      pair.map(([left, right]): Expression => ["call", "orValue", left, right]),
      one.map((operand): Expression => ["call", "size", operand]),
      fc
        .tuple(fc.constantFrom<"all" | "filter" | "map">("all", "filter", "map"), name)
        .map(([macro, text]): Expression => ["each", macro, ["name", text], "x", ["name", "x"]]),
    ),
  };
});

test("parsing what a tree renders to gives the tree", () => {
  fc.assert(
    fc.property(tree, (expression) => {
      expect(parseExpression(render(expression))).toStrictEqual(expression);
    }),
    { numRuns: casesOf(2_000) },
  );
});

test("evaluating any tree gives JSON or a fault", () => {
  const roots: Roots = { name: () => ({ a: [1, "x", null], b: { a: 1 } }), step: () => undefined };
  fc.assert(
    fc.property(tree, (expression) => {
      try {
        const value = evaluate(expression, roots);
        expect(JSON.parse(JSON.stringify(value))).toStrictEqual(value);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
      }
    }),
    { numRuns: casesOf(2_000) },
  );
});

test("any text comes out of a template as it went in", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string(), (value, around) => {
      const roots: Roots = { name: () => value, step: () => undefined };
      const literal = around.replaceAll("${", () => "$${");
      expect(fill(parseTemplate(literal), roots)).toBe(around);
      expect(fill(parseTemplate("[${input}]"), roots)).toBe(`[${value}]`);
      expect(fill(parseTemplate("${input}"), roots)).toBe(value);
    }),
    { numRuns: casesOf(1_000) },
  );
});
