import { describe, expect, test } from "@jest/globals";
import type { Json } from "../contracts/json.ts";
import { boom } from "../tests/walk/answers.ts";
import type { PlainPort } from "../tests/walk/plain-port.ts";
import { runPlain, started, type PlainRun } from "../tests/walk/run-plain.ts";
import { definition, toolOnce } from "../tests/walk/steps.ts";
import type { Walk } from "./walk.ts";

/** What was sent to a run is not lost when it fails: a retry hears it. */

const sends =
  (...events: [ms: number, event: string, id: string, data?: Json][]) =>
  (walk: Walk, port: PlainPort): void => {
    for (const [ms, event, id, data = null] of events) port.at(port.now() + ms, () => walk.mailbox.deliver({ event, id, data, at: 5 }));
  };
const told = ({ port }: PlainRun, type: string): [string | undefined, unknown][] =>
  port.log.filter((event) => event.type === type).map(({ step, data }) => [step, data["id"]]);

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const run = (steps: object[], options: Parameters<typeof runPlain>[1] = {}, more: object = {}): Promise<PlainRun> =>
    runPlain(definition(steps, more), { continues, answer: (path) => ({ output: path, afterMs: 100 }), ...options });
  const fails = { answer: (path: string) => (path.endsWith("bad") ? { ...boom, afterMs: 100 } : { output: path, afterMs: 100 }) };
  const bad = (more: object = {}) => toolOnce("bad", more);

  test("an event that came early and was not taken is there for a retry, and for the retry of one that failed before it", async () => {
    const steps = [bad(), { id: "l", type: "listen", one: { event: "paid" } }];
    const first = await run(steps, { ...fails, steer: sends([10, "paid", "e1", { eur: 7 }], [20, "other", "e2"]) });
    expect(told(first, "event.kept")).toEqual([
      [undefined, "e1"],
      [undefined, "e2"],
    ]);
    const second = await run(steps, { ...fails, retryOf: first });
    const third = await run(steps, { retryOf: second, steer: sends([10, "paid", "e1"]) });
    expect(third.end.result.output).toMatchObject({ event: "paid", id: "e1", data: { eur: 7 }, at: new Date(5).toISOString() });
    expect(third.walk.mailbox.state().unread).toMatchObject([{ event: { id: "e2" } }]);
  });

  test("one that a step takes at once is told once, with its data", async () => {
    const ended = await run([{ id: "l", type: "listen", one: { event: "paid" } }], { steer: sends([10, "paid", "e1", 7]) });
    expect(told(ended, "event.kept")).toEqual([]);
    expect(ended.port.log.find(({ type }) => type === "event.received")!.data).toMatchObject({ id: "e1", data: 7, waitsFor: [] });
  });

  test.each(["keep", "ignore"])(
    "what a `listen` for all had heard it need not hear again, and nobody takes it away (early: %s)",
    async (early) => {
      const all = { id: "l", type: "listen", early, all: ["a", "b", "c"].map((event) => ({ event, as: event })), needs: [] };
      // In the retry it listens before the other does.
      const beside = { id: "m", type: "listen", one: { event: "a" }, needs: ["w"] };
      const steps = [{ id: "w", type: "wait", duration: "50ms" }, beside, all, bad({ needs: [] })];
      const first = await run(steps, { ...fails, steer: sends([10, "a", "e1", 1], [20, "b", "e2", 2]) }, { output: "${steps.l.output}" });
      expect(first.end.result.status).toBe("failed");
      const steer = sends([10, "c", "e3", 3], [20, "a", "e4", 4]);
      const second = await run(steps, { retryOf: first, steer }, { output: "${steps.l.output}" });
      expect(second.end.result.output).toMatchObject({ a: { data: 1 }, b: { data: 2 }, c: { data: 3 } });
    },
  );

  test("what a `listen` took and then failed with is spent; what it took before a step that runs again is heard again", async () => {
    const listens = (id: string, more: object = {}) => ({ id, type: "listen", one: { event: id }, ...more });
    const steps = [toolOnce("bad", { onError: "continue" }), listens("l"), listens("m", { export: { x: "${output.data + 1}" } })];
    const more = { vars: { x: 0 }, output: "${[steps.l.output.id, steps.m.output.id]}" };
    const first = await run(steps, { ...fails, steer: sends([200, "l", "e1"], [300, "m", "e2", "no number"]) }, more);
    expect(first.end.error).toMatchObject({ type: "expression", instance: "m" });
    const second = await run(steps, { retryOf: first, steer: sends([200, "m", "e3", 7]) }, more);
    expect(second.end.result.output).toEqual(["e1", "e3"]);
  });

  test("a stream goes on with the event that it could not handle, keeps what it had made of those before, and counts on", async () => {
    const handles = [
      toolOnce("go"),
      { id: "sum", type: "set", values: null, export: { total: "${vars.total + event.data}" } },
      bad({ if: "${event.data == 3}" }),
    ];
    const until = "${event.id == 'e5'}";
    const stream = { id: "l", type: "listen", one: { event: "n" }, foreach: { steps: handles }, until };
    const steps = [stream, { id: "end", type: "set", values: "${vars.total}" }];
    const more = { vars: { total: 0 } };
    const first = await run(
      steps,
      { ...fails, steer: sends(...[1, 2, 3, 4].map((n) => [n * 10, "n", `e${n}`, n] as [number, string, string, Json])) },
      more,
    );
    expect(first.end.error).toMatchObject({ instance: "l[2].bad" });
    const again = await run(steps, { ...fails, retryOf: first }, more);
    expect(again.end.error).toMatchObject({ instance: "l[2].bad" });
    const last = await run(steps, { retryOf: again, steer: sends([10, "n", "e5", 5]) }, more);
    expect(last.end.result.output).toBe(15);
    expect(started(last)).toEqual(["l[2].bad", "l[3].go", "l[4].go"]);
    expect(told(last, "event.received").map(([, id]) => id)).toEqual(["e1", "e2", "e3", "e4", "e5"]);
  });
});
