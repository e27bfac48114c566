import { describe, expect, test } from "@jest/globals";
import type { Answer, PlainPort } from "../tests/walk/plain-port.ts";
import { runPlain, started, type PlainRun } from "../tests/walk/run-plain.ts";
import { boom } from "../tests/walk/answers.ts";
import { definition, tool } from "../tests/walk/steps.ts";
import type { Walk } from "./walk.ts";

const stream = (foreach: object, more: object = {}) => ({ id: "l", type: "listen", one: { event: "n" }, foreach, ...more });
const told = ({ port }: PlainRun, type: string) => port.log.filter((event) => event.type === type);
const send = (walk: Walk, id: string, data: number | null = null) => walk.mailbox.deliver({ event: "n", data, id, at: 0 });
/** One event each 1,000 ms, with its number. */
const sending = (count: number) => (walk: Walk, port: PlainPort) => {
  for (let n = 0; n < count; n++) port.at(1_000 * (n + 1), () => send(walk, `e${n}`, n));
};

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const run = (steps: object[], options: Parameters<typeof runPlain>[1] = {}, more: object = {}): Promise<PlainRun> =>
    runPlain(definition(steps, more), { continues, ...options });

  test("each event is handled at a path of its own until `until` is true after one; the output is that one's", async () => {
    const steps = [tool("go"), { id: "double", type: "set", values: "${event.data * 2}" }];
    const ended = await run([stream({ steps }, { until: "${event.data == 2 && last == 4}" })], { steer: sending(5) });
    expect(ended.end.result.output).toBe(4);
    expect(started(ended)).toEqual(["l[0].go", "l[1].go", "l[2].go"]);
    expect(told(ended, "event.received").map(({ data }) => [data["id"], data["waitsFor"]])).toEqual(
      ["e0", "e1", "e2"].map((id) => [id, ["n"]]),
    );
    expect(told(ended, "listen.started")).toHaveLength(1);
    expect(told(ended, "listen.ended").map(({ data }) => data["why"])).toEqual(["until"]);
  });

  test("at most `concurrency` are handled at once; the others wait their turn", async () => {
    const ended = await run([stream({ concurrency: 2, steps: [tool("slow")] }, { until: "${event.id == 'e4'}" })], {
      answer: (path) => ({ output: path, afterMs: 10_000 }),
      steer: sending(5),
    });
    let open = 0;
    const most = Math.max(...ended.port.trace.map(({ what }) => (open += what === "start" ? 1 : -1)));
    expect(most).toBe(2);
    expect(started(ended)).toHaveLength(5);
    expect(ended.end.result.output).toBe("l[4].slow");
  });

  test("the same id counts once, and events that came before are taken", async () => {
    const ended = await run([tool("first"), stream({ steps: [tool("go")] }, { until: "${event.id == 'last'}" })], {
      answer: (path) => ({ output: path, afterMs: 5_000 }),
      steer: (walk, port) => {
        for (const [at, id] of [
          [1, "a"],
          [2, "a"],
          [6_000, "a"],
          [7_000, "last"],
        ] as const)
          port.at(at, () => send(walk, id));
      },
    });
    expect(started(ended)).toEqual(["first", "l[0].go", "l[1].go"]);
  });

  test("the first that opened takes an event first, wherever the run went on", async () => {
    const hears = [{ id: "l", type: "listen", one: { event: "e" } }];
    const later = [{ id: "w", type: "wait", duration: "1s" }, ...hears];
    const branches = {
      late: later,
      early: [...hears, { id: "w", type: "wait", duration: "5s" }],
      other: [{ id: "w", type: "wait", duration: "2s" }],
    };
    const ended = await runPlain(
      { name: "test", version: "1.0.0", steps: [{ id: "p", type: "parallel", branches }] },
      {
        continues,
        steer: (walk, port) => {
          for (const n of [3, 4]) port.at(n * 1_000, () => walk.mailbox.deliver({ event: "e", data: n, id: `${n}`, at: port.now() }));
        },
      },
    );
    expect(ended.port.log.filter(({ type }) => type === "event.received").map(({ step }) => step)).toEqual(["p.early.l", "p.late.l"]);
  });

  test("without `until` its time ends it, with what was handled last; what has begun is finished", async () => {
    const ended = await run([stream({ steps: [tool("slow")] }, { timeout: "2500ms" }), tool("after")], {
      answer: (path) => ({ output: path, afterMs: 900 }),
      steer: sending(5),
    });
    expect(started(ended)).toEqual(["l[0].slow", "l[1].slow", "after"]);
    expect(ended.end.result.status).toBe("completed");
    const cut = await run([stream({ steps: [tool("slow")] }, { timeout: "2500ms" })], {
      answer: (path) => ({ output: path, afterMs: 2_000 }),
      steer: sending(5),
    });
    expect(cut.end.result.output).toBe("l[0].slow");
    expect(cut.port.now()).toBeGreaterThanOrEqual(3_000);
  });

  test("when its time passes before `until` was true it fails, or `onTimeout` stands in", async () => {
    const until = { until: "${false}", timeout: "1500ms" };
    const failed = await run([stream({ steps: [tool("go")] }, until)], { steer: sending(1) });
    expect(failed.end.error).toMatchObject({ type: "timeout", instance: "l" });
    const late = await run([stream({ steps: [tool("go")] }, { ...until, onTimeout: [{ id: "x", type: "set", values: "late" }] })], {
      steer: sending(1),
    });
    expect(late.end.result.output).toBe("late");
  });

  test("an event that cannot be handled fails the step and cancels what is handled beside it", async () => {
    const answer = (path: string): Answer => (path === "l[1].go" ? { ...boom, afterMs: 10 } : { output: path, afterMs: 60_000 });
    const ended = await run([stream({ concurrency: 3, steps: [tool("go")] }, { timeout: "1h" })], { answer, steer: sending(4) });
    expect(ended.end.error).toMatchObject({ type: "tool", instance: "l[1].go" });
    // One that is leaving begins no step: there others have begun by then.
    if (continues) return;
    expect(ended.port.trace.filter(({ what }) => what === "cancel").map(({ path }) => path)).toEqual(["l[0].go"]);
    expect(started(ended)).toEqual(["l[0].go", "l[1].go"]);
  });

  test("a stream that is tried again goes on with the event that failed", async () => {
    let failures = 0;
    const answer = (path: string): Answer => (path === "l[1].bad" && failures++ === 0 ? boom : { output: path });
    const ended = await run([stream({ steps: [tool("go"), tool("bad")] }, { until: "${event.id == 'e2'}", onError: "park" })], {
      answer,
      steer: (walk, port) => {
        sending(3)(walk, port);
        port.at(10_000, () => void walk.attention.attend({ path: "l", action: "retry", by: "ada" }));
      },
    });
    expect(ended.end.result.status).toBe("completed");
    expect(started(ended)).toEqual(["l[0].go", "l[0].bad", "l[1].go", "l[1].bad", "l[1].bad", "l[2].go", "l[2].bad"]);
  });

  test("variables that were set while handling stay set", async () => {
    const add = { id: "add", type: "set", values: "${vars.sum + event.data}", export: { sum: "${output}" } };
    const steps = [
      stream({ steps: [add, tool("go")] }, { until: "${event.data == 3}" }),
      { id: "sum", type: "set", values: "${vars.sum}" },
    ];
    const ended = await run(steps, { steer: sending(4) }, { vars: { sum: 0 } });
    expect(ended.end.result.output).toBe(6);
  });

  test("in the background it ends with the steps beside it", async () => {
    const steps = [
      { ...stream({ steps: [tool("go")] }), background: true, needs: [] },
      { id: "w", type: "wait", duration: "2500ms", needs: [] },
    ];
    const ended = await run([{ id: "s", type: "sequence", steps }], { steer: sending(5) });
    expect(ended.end.result.status).toBe("completed");
    expect(started(ended)).toEqual(["l[0].go", "l[1].go"].map((path) => `s.${path}`));
  });

  test("finished events leave nothing behind", async () => {
    const ended = await run([stream({ steps: [tool("go")] }, { until: "${event.id == 'e49'}" })], { steer: sending(50) });
    expect(ended.walk.ledger.seed()).toMatchObject({ entries: [["l", {}]], places: [] });
  });

  test("an event without `to` goes to all that wait, and the step says how many", async () => {
    const ended = await run([{ id: "e", type: "emit", event: "news", data: { n: 1 } }]);
    expect(ended.end.result.output).toMatchObject({ event: "news", to: null, runs: 1 });
    expect(ended.port.broadcasts).toMatchObject([{ event: "news", data: { n: 1 } }]);
    expect(told(ended, "event.emitted").map(({ data }) => data)).toMatchObject([{ event: "news", runs: 1 }]);
  });

  test.each(["${run.id}", "own"])("an event to the run itself (%s) reaches it, before and while it listens", async (to) => {
    const emit = (id: string, more: object = {}) => ({ id, type: "emit", event: "news", data: id, to, ...more });
    const listens = (id: string, more: object = {}) => ({ id, type: "listen", one: { event: "news" }, ...more });
    const later = { id: "later", type: "sequence", needs: ["hears"], steps: [{ id: "w", type: "wait", duration: "1s" }, emit("two")] };
    const ended = await run([emit("one"), listens("hears"), later, listens("again", { needs: ["hears"] })], { id: "r_t_own" });
    expect(ended.end.result.output).toMatchObject({ data: "two" });
    expect(told(ended, "event.emitted")).toHaveLength(2);
  });

  test("what a `listen` still waits for is told with each event, and that its time has passed", async () => {
    const all = { id: "l", type: "listen", all: [{ event: "a" }, { event: "b" }], timeout: "5s", onTimeout: [tool("late")] };
    const ended = await run([all], {
      steer: (walk, port) => port.at(100, () => walk.mailbox.deliver({ event: "b", data: 1, id: "1", at: 0 })),
    });
    expect(told(ended, "event.received").map(({ data }) => data["waitsFor"])).toEqual([["a"]]);
    expect(told(ended, "listen.ended").map(({ data }) => data["why"])).toEqual(["timeout"]);
  });
});

test("an event that comes by signal to a full mailbox is refused in the log, and may come again later", async () => {
  const ended = await runPlain(
    { name: "test", version: "1.0.0", steps: [{ id: "w", type: "wait", duration: "1s" }] },
    {
      steer: (walk, port) =>
        port.at(10, () => {
          for (let n = 0; n < 2_001; n++) walk.mailbox.post({ event: "n", data: null, id: `e${n}`, at: 0 });
        }),
    },
  );
  expect(told(ended, "event.refused").map(({ data }) => data["id"])).toEqual(["e2000"]);
});

test("an event whose name is too long is no event", async () => {
  const { end } = await runPlain({ name: "test", version: "1.0.0", steps: [{ id: "e", type: "emit", event: "x".repeat(256) }] });
  expect(end.error).toMatchObject({ type: "expression", instance: "e" });
});
