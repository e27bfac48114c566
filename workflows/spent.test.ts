import { describe, expect, test } from "@jest/globals";
import { NANO, type BudgetLeft, type BudgetRef } from "../contracts/budgets.ts";
import { makeProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { Answer } from "../tests/walk/plain-port.ts";
import { runPlain } from "../tests/walk/run-plain.ts";
import { definition, tool } from "../tests/walk/steps.ts";
import { Spent } from "./spent.ts";

const llm = (id: string, more: object = {}) => ({ id, type: "llm", prompt: "Hi", ...more });
const usage = (costUsd: number | null) => ({ model: "a/b", inputTokens: 1_000, outputTokens: 200, costUsd, calls: 1 });
const paid = (costUsd: number | null): Answer => ({ output: "", usage: usage(costUsd), afterMs: 10 });

interface Play extends Record<string, unknown> {
  budgets?: BudgetRef[];
  continues?: boolean;
}

async function play(steps: object[], answer: (path: string) => Answer, { budgets, continues = false, ...more }: Play = {}) {
  const { end, port } = await runPlain(definition(steps, more), { answer, continues, ...(budgets ? { budgets } : {}) });
  return { spent: end.result.spent, shown: port.shown.replaceAll("\\", "") };
}

describe("what was asked of models", () => {
  test("is shown, and ends with the run", async () => {
    const { spent, shown } = await play([llm("a"), llm("b")], () => paid(0.0123));
    expect(spent).toEqual({ calls: 2, inputTokens: 2_000, outputTokens: 400, costUsd: 0.0246 });
    expect(shown).toContain("- models: $0.0246, 2 calls, 2,400 tokens\n");
  });

  test("counts a step that failed, and says when a price is not known", async () => {
    const failed: Answer = { problem: makeProblem("model", "no", { usage: usage(null) }), afterMs: 10 };
    const { spent, shown } = await play([llm("a", { catch: [{ steps: [llm("b")] }] })], (path) => (path === "a" ? failed : paid(0.5)));
    expect(spent).toMatchObject({ calls: 2, costUsd: 0.5, isPartial: true });
    expect(shown).toContain("- models: at least $0.50, 2 calls, 2,400 tokens\n");
  });

  test("is carried on to the next execution, once", async () => {
    const steps = ["a", "b", "c", "d"].map((id) => llm(id));
    const { end } = await runPlain(definition(steps), { answer: () => paid(0.25), continues: true });
    expect(end.result.spent).toMatchObject({ calls: 4, costUsd: 1 });
  });

  test("is not shown by a run that asks none", async () => {
    const { spent, shown } = await play([{ id: "a", type: "set", values: 1 }], () => paid(1));
    expect([spent, shown.includes("models:")]).toEqual([undefined, false]);
  });
});

describe("what budgets leave", () => {
  const own = "run:r_00000000000000000000000000";
  const budget = { usd: 2, toolCalls: 20, wallTime: "1h" };
  const until = Date.UTC(2026, 10, 22, 14, 5);
  const left = (scope: string, more: Partial<BudgetLeft> = {}): BudgetLeft => ({
    scope,
    caps: { nanoUsd: 5 * NANO, tokens: 10_000 },
    left: { nanoUsd: 1.9 * NANO, tokens: 2_400 },
    ...more,
  });

  test("is shown as what is allowed before the first call", async () => {
    const { shown } = await play([{ id: "a", type: "set", values: 1 }], () => paid(1), { budget });
    expect(shown).toContain("- budget r_00000000000000000000000000: $2.00, 20 calls of tools, calls for 3,600 s from the first one on\n");
  });

  test.each([false, true])(
    "is what the last call told, also with caps that were changed (next execution after every step: %s)",
    async (continues) => {
      const told = left(own, {
        caps: { nanoUsd: 5 * NANO, toolCalls: 20, wallTimeMs: 3_600_000 },
        left: { nanoUsd: 1.9 * NANO, toolCalls: 3 },
        until,
      });
      const steps = [llm("a"), tool("b"), { id: "c", type: "set", values: 1 }];
      const { shown } = await play(steps, (path) => (path === "b" ? { output: 1, budgets: [told] } : paid(1)), { budget, continues });
      const amounts = "$1.90 left of $5.00, 3 calls of tools left of 20, calls until 2026-11-22 14:05 UTC";
      expect(shown).toContain(`- budget r_00000000000000000000000000: ${amounts}\n`);
    },
  );

  test("is shown of the runs above, and of no others", async () => {
    const above: BudgetRef = { scope: "run:r_above", caps: { nanoUsd: NANO }, onExceed: "pause" };
    const answer = (): Answer => ({ output: "", budgets: [left("run:r_above"), left("run:r_other")] });
    const { spent, shown } = await play([llm("a")], answer, { budgets: [above] });
    expect(shown).toContain("- budget r_above: $1.90 left of $5.00, 2,400 tokens left of 10,000\n");
    expect(shown).not.toContain("r_other");
    expect(spent).toMatchObject({ calls: 0, budgets: [{ scope: "run:r_above" }] });
  });

  test("is learned from a child's end", () => {
    const sum = new Spent([{ scope: own, caps: {}, onExceed: "pause" }]);
    sum.add({ calls: 0, inputTokens: 0, outputTokens: 0, costUsd: 0, budgets: [left(own), left("run:child")] as unknown as Json });
    expect(sum.lines()).toEqual([expect.stringContaining("$1.90 left of $5.00")]);
    expect(sum.sum?.budgets).toHaveLength(1);
  });
});
