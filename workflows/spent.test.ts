import { describe, expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import type { Answer } from "../tests/walk/plain-port.ts";
import { runPlain } from "../tests/walk/run-plain.ts";
import { definition } from "../tests/walk/steps.ts";

const llm = (id: string, more: object = {}) => ({ id, type: "llm", prompt: "Hi", ...more });
const usage = (costUsd: number | null) => ({ model: "a/b", inputTokens: 1_000, outputTokens: 200, costUsd, calls: 1 });
const paid = (costUsd: number | null): Answer => ({ output: "", usage: usage(costUsd), afterMs: 10 });

async function play(steps: object[], answer: (path: string) => Answer, more: object = {}) {
  const { end, port } = await runPlain(definition(steps, more), { answer });
  return { spent: end.result.spent, shown: port.shown };
}

describe("what was asked of models", () => {
  test("is shown with what the run's budget allows, and ends with the run", async () => {
    const budget = { usd: 1.5, tokens: 5_000_000 };
    const { spent, shown } = await play([llm("a"), llm("b")], () => paid(0.0123), { budget });
    expect(spent).toEqual({ calls: 2, inputTokens: 2_000, outputTokens: 400, costUsd: 0.0246 });
    expect(shown).toContain("- models: $0.0246 of $1.50, 2 calls, 2,400 of 5,000,000 tokens\n");
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
