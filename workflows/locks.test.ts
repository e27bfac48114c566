import { describe, expect, test } from "@jest/globals";
import { limits } from "../contracts/limits.ts";
import { runPlain, started, type PlainRun } from "../tests/walk/run-plain.ts";
import { definition, tool } from "../tests/walk/steps.ts";

const wait = (id: string, seconds: number) => ({ id, type: "wait", duration: seconds * 1_000 });
const scope = (id: string, key: string, steps: object[]) => ({ id, type: "sequence", lock: { key }, steps });
const parallel = (branches: Record<string, object[]>) => ({ id: "p", type: "parallel", branches });

describe.each([
  ["in one execution", false],
  ["in a new execution after every step", true],
])("%s", (_, continues) => {
  const walk = (steps: object[], more: object = {}, options: Parameters<typeof runPlain>[1] = {}): Promise<PlainRun> =>
    runPlain(definition(steps, more), { continues, ...options });

  test("what holds a lock is not disturbed between its steps, and the next comes in the order of asking", async () => {
    const branch = (name: string) => [scope("s", "k", [tool(`${name}1`), wait("w", 60), tool(`${name}2`)])];
    const run = await walk([parallel({ a: branch("a"), b: branch("b"), c: branch("c") })]);
    const steps = (name: string): string[] => [`p.${name}.s.${name}1`, `p.${name}.s.${name}2`];
    expect([run.end.result.status, started(run)]).toEqual(["completed", [...steps("a"), ...steps("b"), ...steps("c")]]);
    if (continues) expect(run.executions).toBeGreaterThan(3);
  });

  test("the key stays what it was, whatever becomes of the variables it is made of", async () => {
    const change = { id: "change", type: "set", values: 1, export: { key: "other" } };
    const first = [scope("s", "${vars.key}", [change, wait("w", 60), tool("a")])];
    const run = await walk([parallel({ a: first, b: [wait("w", 1), scope("s", "k", [tool("b")])] })], { vars: { key: "k" } });
    expect([run.end.result.status, started(run)]).toEqual(["completed", ["p.a.s.a", "p.b.s.b"]]);
  });

  test("who is cancelled while waiting leaves the line", async () => {
    const hasty = {
      id: "hasty",
      type: "sequence",
      timeout: 5_000,
      catch: [{ steps: [tool("late")] }],
      steps: [scope("s", "k", [tool("never")])],
    };
    const run = await walk([
      parallel({
        a: [scope("s", "k", [wait("w", 60)])],
        b: [wait("w", 1), hasty],
        c: [wait("w", 2), scope("s", "k", [tool("c")])],
      }),
    ]);
    expect([run.end.result.status, started(run)]).toEqual(["completed", ["p.b.hasty.catch0.late", "p.c.s.c"]]);
  });

  test("a holder that is cancelled cleans up before the next comes", async () => {
    const attempt = { id: "t", type: "try", steps: [wait("w", 600)], finally: [wait("f", 60), tool("clean")] };
    const hasty = {
      id: "hasty",
      type: "sequence",
      timeout: 5_000,
      catch: [{ steps: [tool("late")] }],
      steps: [scope("s", "k", [attempt])],
    };
    const run = await walk([parallel({ a: [hasty], b: [wait("w", 1), scope("s", "k", [tool("b")])] })]);
    expect(started(run)[0]).toBe("p.a.hasty.s.t.finally.clean");
    expect(new Set(started(run).slice(1))).toEqual(new Set(["p.a.hasty.catch0.late", "p.b.s.b"]));
  });

  test("a run that is cancelled keeps its place until it has cleaned up", async () => {
    const run = await walk(
      [wait("w", 600)],
      { concurrency: {}, finally: [wait("f", 60), tool("clean")] },
      { steer: (steered, at) => at.at(5_000, () => steered.cancel("enough")) },
    );
    expect([run.end.result.status, started(run)]).toEqual(["canceled", ["finally.clean"]]);
  });
});

test("a step inside the holder of its key fails at once", async () => {
  const inner = scope("inner", "${vars.key}", [tool("never")]);
  const run = await runPlain(
    { name: "t", version: "1.0.0", vars: { key: "k" }, steps: [scope("outer", "${input.key}", [inner])] },
    { input: { key: "k" } },
  );
  expect(run.end.error).toMatchObject({ code: "lock", instance: "outer.inner" });
});

test.each([
  ["", "empty"],
  ["x".repeat(200), "too long"],
])("a key that is %j is refused", async (key) => {
  const run = await runPlain({ name: "t", version: "1.0.0", steps: [scope("s", "${input.key}", [tool("never")])] }, { input: { key } });
  expect(run.end.error).toMatchObject({ code: "expression", instance: "s" });
});

test.each([
  ["steps without an agent of the same id, each of its own", {}, "t", [0, 0]],
  ["steps of one agent, one after the other", { agent: "clerk" }, "t", [0, 1]],
  ["steps of one agent, also under the longest name", { agent: "clerk" }, "ß".repeat(limits.threadNameMax), [0, 1]],
])("a thread is held by %s", async (_whose, more, thread, minutes) => {
  const work = { id: "work", type: "agent", prompt: "Go.", thread, ...more };
  const thought = { transcript: "t", tokens: 10, calls: [], isDone: true, answer: "done" };
  const { end, port } = await runPlain(
    { name: "test", version: "1.0.0", steps: [parallel({ a: [work], b: [work] })] },
    { continues: false, answer: () => ({ output: thought, afterMs: 60_000 }) },
  );
  const begun = port.trace.filter(({ what }) => what === "start").map(({ at }) => Math.floor(at / 60_000));
  expect([end.result.status, begun]).toEqual(["completed", minutes]);
});
