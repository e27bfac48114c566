import { describe, expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import type { UpdateArguments } from "../contracts/messages.ts";
import { runPlain } from "../tests/walk/run-plain.ts";

const root = "r_00000000000000000000000000";
const budget = { usd: 1 };
const tool = (id: string, more: object = {}) => ({ id, type: "tool", tool: "test.echo", arguments: {}, ...more });
const definition = (steps: object[], more: object = {}) => ({ name: "test", version: "1.0.0", steps, ...more });
const above = { scope: "run:mother", caps: { tokens: 1 }, onExceed: "pause" as const };

describe("what a call falls under", () => {
  test("is the budgets of the runs above, the run's and those of what is around it", async () => {
    const steps = [
      { id: "some", type: "parallel", budget, branches: { one: [tool("a", { budget })], two: [tool("b")] } },
      tool("last", { compensate: [tool("undo")] }),
      { id: "bad", type: "raise", error: { type: "no", detail: "no" } },
    ];
    const { port } = await runPlain(definition(steps, { budget }), { budgets: [above] });
    expect(Object.fromEntries(port.budgets)).toEqual({
      "some.one.a": ["run:mother", `run:${root}`, `step:${root}:some`, `step:${root}:some.one.a`],
      "some.two.b": ["run:mother", `run:${root}`, `step:${root}:some`],
      last: ["run:mother", `run:${root}`],
      "last.compensate.undo": ["run:mother", `run:${root}`],
    });
  });

  test("is nothing when nobody says so", async () => {
    const { port } = await runPlain(definition([tool("a")]));
    expect(port.budgets.get("a")).toEqual([]);
  });

  test("is the same in a window of a foreach", async () => {
    const items = Array.from({ length: 600 }, (_, n) => n);
    const each = { id: "each", type: "foreach", items: "${input}", steps: [tool("a")], budget };
    const { port } = await runPlain(definition([each], { budget }), { input: items });
    expect(port.parts.length).toBeGreaterThan(0);
    expect(port.budgets.get("each[599].a")).toEqual([`run:${root}`, `step:${root}:each`]);
  });
});

describe("a call that a budget refuses", () => {
  const refusal = (onExceed: string) => ({ problem: makeProblem("budget_exceeded", "too much", { onExceed, budgets: [] }) });
  const handled = tool("a", { catch: [{ steps: [{ id: "c", type: "set", values: "caught" }] }] });
  const run = (onExceed: string, action: UpdateArguments["attend"]["action"]) =>
    runPlain(definition([handled]), {
      answer: (_, __, attempt) => (attempt === 1 ? refusal(onExceed) : { output: "done" }),
      steer: (walk, at) => at.at(1_000, () => void walk.attention.attend({ path: "a", by: "ada", action }).catch(() => undefined)),
    });

  test.each(["pause", "downgradeModel"])("with %s waits, whoever would take the error, and is made when it may", async (onExceed) => {
    const { end, port } = await run(onExceed, "retry");
    expect(end.result).toMatchObject({ status: "completed", output: "done" });
    expect(port.log.map(({ type }) => type)).toEqual(expect.arrayContaining(["step.parked", "run.needs_attention", "step.attended"]));
  });

  test("that a person lets fail is an error as any other", async () => {
    expect((await run("pause", "fail")).end.result).toMatchObject({ status: "completed", output: "caught" });
  });

  test("is asked about once, however deep it stands, and whatever `onError` says", async () => {
    const around = { id: "around", type: "sequence", steps: [tool("a", { onError: "park" })] };
    const { end, port } = await runPlain(definition([around]), {
      answer: () => refusal("pause"),
      steer: (walk, at) => at.at(1_000, () => void walk.attention.attend({ path: "around.a", by: "ada", action: "fail" })),
    });
    expect(end.error).toMatchObject({ code: "budget_exceeded", instance: "around.a" });
    expect(port.log.filter(({ type }) => type === "step.parked").map(({ step }) => step)).toEqual(["around.a"]);
  });

  test("with fail is one at once", async () => {
    const { end, port } = await run("fail", "retry");
    expect(end.result).toMatchObject({ status: "completed", output: "caught" });
    expect(port.log.map(({ type }) => type)).not.toContain("step.parked");
  });
});
