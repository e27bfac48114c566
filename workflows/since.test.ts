import { expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import { runPlain } from "../tests/walk/run-plain.ts";
import type { Answer, Answers, PlainPort } from "../tests/walk/plain-port.ts";
import { definition, tool } from "../tests/walk/steps.ts";
import type { Walk } from "./walk.ts";

const refused: Answer = { problem: makeProblem("budget_exceeded", "too much", { onExceed: "pause", budgets: [] }) };
const failed: Answer = { problem: makeProblem("guardrail", "not polite", { retryable: false }) };
const fine: Answer = { output: "done" };
const say = { id: "say", type: "llm", model: "fast", prompt: "Hi", onError: "park" };

/** From where on each attempt of the step goes on; a person says retry to all that fail. */
async function since(answers: Answer[], steps: object[] = [say], more: object = {}): Promise<(number | undefined)[]> {
  const { end, port } = await runPlain(definition(steps, more), {
    answer: (path, _, attempt) => (path.endsWith("say") ? answers[attempt - 1]! : { ...fine, afterMs: 500 }),
    steer: (walk, { at }) => {
      for (const ms of answers.keys())
        at(1_000 * (ms + 1), () => void walk.attention.attend({ path: "say", by: "ada", action: "retry" }).catch(() => undefined));
    },
  });
  expect(end.result).toMatchObject({ status: "completed" });
  return port.since;
}

test("a call that a budget refuses goes on with what was said, however often it is refused", async () => {
  expect(await since([refused, refused, fine])).toEqual([undefined, 1, 1]);
  expect(await since([failed, refused, fine])).toEqual([undefined, undefined, 2]);
});

test("one that fails for another reason asks anew", async () => {
  expect(await since([failed, fine])).toEqual([undefined, undefined]);
  expect(await since([refused, failed, fine])).toEqual([undefined, 1, undefined]);
});

test("in a retry of the run its first attempt, and what goes on with that, has what the run before was told", async () => {
  const review = definition([say]);
  const attend =
    (action: "retry" | "fail", ...times: number[]) =>
    (walk: Walk, port: PlainPort) => {
      const begin = port.now();
      for (const ms of times) port.at(begin + ms, () => void walk.attention.attend({ path: "say", by: "ada", action }));
    };
  const before = await runPlain(review, { answer: () => refused, steer: attend("fail", 1_000) });
  expect(before.port.retryOf).toEqual([undefined]);
  const answers = [refused, failed, fine];
  const answer: Answers = (_, __, attempt) => answers[attempt - 1]!;
  const again = await runPlain(review, { retryOf: before, answer, steer: attend("retry", 1_000, 2_000) });
  expect(again.end.result).toMatchObject({ status: "completed" });
  expect(again.port.retryOf).toEqual([before.port.run, before.port.run, undefined]);
});

test("one that asks something else by now asks anew", async () => {
  const other = tool("other", { needs: [], export: { word: "${output}" } });
  const steps = [{ ...say, needs: [], prompt: "Say ${vars.word}" }, other];
  expect(await since([refused, fine], steps, { vars: { word: "hello" } })).toEqual([undefined, undefined, undefined]);
});

test("a tool has nothing that was said", async () => {
  expect(await since([refused, fine], [tool("say", { onError: "park" })])).toEqual([undefined, undefined]);
});
