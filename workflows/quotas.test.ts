import { describe, expect, test } from "@jest/globals";
import type { Delay } from "../contracts/activities.ts";
import type { Answers } from "../tests/walk/plain-port.ts";
import { runPlain } from "../tests/walk/run-plain.ts";
import { definition } from "../tests/walk/steps.ts";

const say = (id: string, more: object = {}) => ({ id, type: "llm", model: "openai/m", prompt: "Hi", ...more });
const delay = { for: "the quota of openai/m", ms: 5_000 };

/** The first so many calls of a step are told to come back. */
const delaying = (times: number, by: Delay = delay): Answers => {
  let asked = 0;
  return (path) => (path === "b" && asked++ < times ? { output: null, delay: by } : { output: path });
};

test("a model that keeps failing is waited for as long as all attempts of a step may take, not for ever", async () => {
  const outage: Delay = { for: "openai/m, which keeps failing", ms: 30_000, isOutage: true };
  const step = say("b", { totalTimeout: "10m", retry: { maxAttempts: 1 } });
  const during = (waits: number, continues: boolean) => runPlain(definition([step]), { answer: delaying(waits, outage), continues });
  for (const continues of [false, true]) {
    expect((await during(18, continues)).end.result).toMatchObject({ status: "completed" });
    const lasting = await during(1_000, continues);
    expect(lasting.end.error).toMatchObject({ code: "model", detail: expect.stringContaining("600000 ms for openai/m") as unknown });
    expect(Math.floor(lasting.port.now() / 1_000)).toBe(600);
  }
});

describe("a call whose turn comes later", () => {
  test("sleeps, says what it waits for, and is made again", async () => {
    const { end, port } = await runPlain(definition([say("a"), say("b")]), { answer: delaying(2) });
    expect(end.result).toMatchObject({ status: "completed", output: "b" });
    expect(port.now()).toBeGreaterThanOrEqual(10_000);
    const told = port.log.find(({ type }) => type === "run.waiting");
    expect(told?.data["for"]).toEqual([{ path: "b", for: delay.for }]);
    expect(port.trace.filter(({ what, path }) => what === "start" && path === "b")).toHaveLength(3);
  });

  test("uses up none of its step's attempts", async () => {
    const { end } = await runPlain(definition([say("b", { retry: { maxAttempts: 1 } })]), { answer: delaying(20) });
    expect(end.result).toMatchObject({ status: "completed" });
  });

  test("goes on waiting in another execution, and is not let in anew", async () => {
    // What its `if` saw has changed meanwhile.
    const steps = [
      {
        id: "both",
        type: "parallel",
        branches: {
          one: [say("b", { if: "${vars.n == 0}" })],
          two: [{ id: "w", type: "wait", duration: "1s" }, { id: "s", type: "set", values: 1, export: { n: "${output}" } }, say("c")],
        },
      },
    ];
    const first = await runPlain(definition(steps, { vars: { n: 0 } }), { answer: onPath("both.one.b"), continues: true });
    expect(first.end.result).toMatchObject({ status: "completed", output: { one: "both.one.b" } });
    expect(first.port.now()).toBeLessThan(7_000);
  });

  test.each(["freeze", "run"] as const)("is not made while its run is paused, with timers that %s", async (timers) => {
    const { end, port } = await runPlain(definition([say("b")]), {
      answer: delaying(1),
      steer: (walk, at) => {
        at.at(1_000, () => void walk.pause.pause({ by: "ada", scope: "run", timers }));
        at.at(60_000, () => void walk.pause.resume({ by: "ada", scope: "run" }));
      },
    });
    expect(end.result).toMatchObject({ status: "completed" });
    const [, again] = port.trace.filter(({ what }) => what === "start");
    expect(again!.at).toBeGreaterThanOrEqual(60_000);
    expect(again!.at > 63_000).toBe(timers === "freeze");
  });
});

const onPath = (wanted: string): Answers => {
  let asked = 0;
  return (path) => (path === wanted && asked++ < 1 ? { output: null, delay } : { output: path });
};
