import { describe, expect, test } from "@jest/globals";
import type { ToolFields } from "../contracts/activities.ts";
import { makeProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { UpdateArguments } from "../contracts/messages.ts";
import type { Answer } from "../tests/walk/plain-port.ts";
import { runPlain } from "../tests/walk/run-plain.ts";
import { definition, tool } from "../tests/walk/steps.ts";

const pay = (more: object = {}) => tool("pay", more);
const unknown = makeProblem("effect_unknown", "who knows", { effect: "token-1" });
const late = makeProblem("timeout", "late");

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const asked: ToolFields[] = [];
  const run = (
    step: object,
    answer: (fields: ToolFields) => Answer,
    attended: Omit<UpdateArguments["attend"], "path" | "by"> = { action: "fail" },
  ) => {
    asked.length = 0;
    return runPlain(definition([step, { id: "after", type: "set", values: "${steps.pay.output}" }]), {
      continues,
      answer: (_, fields) => {
        asked.push(fields as unknown as ToolFields);
        return answer(fields as unknown as ToolFields);
      },
      steer: (walk, at) => at.at(1_000, () => void walk.attention.attend({ path: "pay", by: "ada", ...attended }).catch(() => undefined)),
    });
  };
  const once = ({ told }: ToolFields): Answer => (told ? { output: told.happened ? told.result : "done" } : { problem: unknown });

  test.each([
    ["take", { happened: true, result: 7 }, 7],
    ["retry", { happened: false }, "done"],
  ] as const)("what a person says of an effect by %s goes to the worker", async (action, said, output) => {
    const { end } = await run(pay({ onError: "continue", catch: [{ steps: [pay({ id: "other" })] }] }), once, { action, result: 7 });
    expect(end.result).toMatchObject({ status: "completed", output });
    expect(asked.map(({ told }) => told)).toEqual([undefined, { by: "ada", effect: "token-1", ...said }]);
  });

  test("let fail, it is an error as any other: it parks no second time and is caught", async () => {
    const handled = pay({ onError: "park", catch: [{ errors: ["effect_unknown"], steps: [{ id: "c", type: "set", values: "caught" }] }] });
    expect((await run(handled, once)).end.result).toMatchObject({ status: "completed", output: "caught" });
    expect((await run(pay({ onError: "park" }), once)).end.error).toMatchObject({ type: "effect_unknown" });
  });

  test("a call that gave no answer in time is settled before its error is believed", async () => {
    const found = await run(pay(), ({ settle }) => (settle ? { output: "paid" } : { problem: late }));
    expect(found.end.result).toMatchObject({ status: "completed", output: "paid" });
    const nothing = await run(pay(), ({ settle }) => ({ problem: settle ? { ...late, isSettled: true } : late }));
    expect(nothing.end.error).toMatchObject({ type: "timeout", detail: "late" });
    expect(asked.map(({ settle }) => settle)).toEqual([undefined, true]);
  });

  test("so is the error of a tool that cannot tell", async () => {
    const torn = makeProblem("tool", "cut off", { mayHaveHappened: true });
    const found = await run(pay(), ({ settle }) => (settle ? { output: "paid" } : { problem: torn }));
    expect(found.end.result).toMatchObject({ status: "completed", output: "paid" });
  });

  test("one that nobody can settle is asked of a person", async () => {
    const answer = ({ told }: ToolFields): Answer => (told ? { output: (told as { result: Json }).result } : { problem: late });
    const { end } = await run(pay(), answer, { action: "take", result: 3 });
    expect(end.result).toMatchObject({ status: "completed", output: 3 });
    expect(asked.at(-1)!.told).toEqual({ by: "ada", happened: true, result: 3 });
  });

  test("a step that only reads has nothing to settle", async () => {
    const { end } = await run(pay({ effect: "read" }), () => ({ problem: late }));
    expect(end.error).toMatchObject({ type: "timeout" });
    expect(asked).toHaveLength(1);
  });
});
