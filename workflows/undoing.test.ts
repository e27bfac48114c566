import { describe, expect, test } from "@jest/globals";
import { makeProblem, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Answer } from "../tests/walk/plain-port.ts";
import { runPlain, started, type PlainRun } from "../tests/walk/run-plain.ts";
import { boom, fails } from "../tests/walk/answers.ts";
import { definition, tool } from "../tests/walk/steps.ts";

const undoable = (id: string, more: object = {}) => tool(id, { compensate: [tool("undo", { arguments: { what: "${output}" } })], ...more });
const told = ({ port }: PlainRun, type: string): (string | undefined)[] =>
  port.log.filter((event) => event.type === type).map(({ step }) => step);

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const run = (steps: object[], options: Parameters<typeof runPlain>[1] = {}, more: object = {}): Promise<PlainRun> =>
    runPlain(definition(steps, more), { continues, ...options });

  test("a failed run undoes its steps in reverse order, items and branches too, before its finally", async () => {
    const items = { id: "each", type: "foreach", items: "${[1, 2]}", concurrency: 1, steps: [undoable("pay")] };
    const ended = await run(
      [undoable("a"), { id: "s", type: "sequence", steps: [undoable("b")] }, items, tool("bad")],
      { answer: fails("bad") },
      { finally: [tool("last")] },
    );
    expect(ended.end.result.status).toBe("failed");
    expect(started(ended).slice(5)).toEqual([
      "each[1].pay.compensate.undo",
      "each[0].pay.compensate.undo",
      "s.b.compensate.undo",
      "a.compensate.undo",
      "finally.last",
    ]);
    expect(told(ended, "step.compensated")).toEqual(["each[1].pay", "each[0].pay", "s.b", "a"]);
  });

  test("what cannot be undone is named in the run's error, and the others are undone", async () => {
    const ended = await run([undoable("a"), undoable("b"), tool("bad")], { answer: fails("bad", "b.compensate.undo") });
    expect(ended.end.error).toMatchObject({
      type: "tool",
      instance: "bad",
      detail: "boom Not undone: b.",
      unresolved: [{ path: "b", type: "tool" }],
    });
    expect(told(ended, "step.compensated")).toEqual(["a"]);
    expect(told(ended, "compensation.failed")).toEqual(["b"]);
  });

  test.each([
    ["of a step, lets its error pass", { onError: "continue" }, {}, "refunded"],
    ["of all steps, lets none pass: which of them matter is not said", {}, { defaults: { onError: "continue" } }, "not refunded"],
    ["is not asked of a person", { onError: "park" }, {}, "not refunded"],
  ])("in what undoes a step `onError` %s", async (_, own, more, end) => {
    const pays = tool("pay", { compensate: [tool("notify", own), tool("refund")] });
    const odd = { id: "no", type: "raise", error: { type: "odd" }, onError: "fail" };
    const ended = await run([pays, odd], { answer: fails("pay.compensate.notify") }, more);
    const isRefunded = end === "refunded";
    expect(ended.end.result.status).toBe("failed");
    expect(started(ended).includes("pay.compensate.refund")).toBe(isRefunded);
    expect(told(ended, "step.compensated")).toEqual(isRefunded ? ["pay"] : []);
    expect(told(ended, "compensation.failed")).toEqual(isRefunded ? [] : ["pay"]);
    expect(told(ended, "step.parked")).toEqual([]);
  });

  test("items in windows that undo a step ask nobody", async () => {
    const items = { id: "each", type: "foreach", items: "${range(501)}", steps: [tool("undo", { onError: "park" })] };
    const steps = [tool("pay", { compensate: [items] }), { id: "no", type: "raise", error: { type: "odd" } }];
    const ended = await run(steps, { answer: fails("pay.compensate.each[300].undo") });
    expect(ended.end.error).toMatchObject({ type: "odd", unresolved: [{ path: "pay" }] });
  });

  test("a cancelled run undoes, also a call that was under way, and no second cancel cuts it", async () => {
    const ended = await run([undoable("a"), undoable("long")], {
      answer: (path) => ({ output: path, afterMs: 100 }),
      steer: (walk, at) => {
        at.at(150, () => walk.cancel("enough"));
        at.at(250, () => walk.cancel("really"));
      },
    });
    expect(ended.end.result.status).toBe("canceled");
    expect(told(ended, "step.compensated")).toEqual(["long", "a"]);
  });

  test("a step that failed for certain is not undone; one that timed out is", async () => {
    // What became of `b` is of no matter: it may be done twice.
    const late = (path: string): Answer =>
      path === "b" ? { problem: makeProblem("timeout", "late", { isSettled: true }) } : { output: path };
    const steps = [undoable("x", pass), undoable("b", pass), odd];
    const ended = await run(steps, { answer: (path) => (path === "x" ? boom : late(path)) });
    expect(told(ended, "step.compensated")).toEqual(["b"]);
  });

  const pass = { onError: "continue" };
  const odd = { id: "no", type: "raise", error: { type: "odd" } };

  test("what may have been done is undone, whoever says so; of what was done for sure its answer is known then", async () => {
    const problems: Record<string, Problem> = {
      cut: makeProblem("http", "broke off", { mayHaveHappened: true }),
      refused: makeProblem("http", "400"),
      rejected: makeProblem("schema", "no such answer", { hasHappened: true, answer: "paid" }),
    };
    const seen: unknown[] = [];
    const ended = await run([...Object.keys(problems).map((id) => undoable(id, pass)), odd], {
      answer: (path, fields) => {
        if (path.endsWith("undo")) seen.push((fields as { arguments: { what: Json } }).arguments.what);
        const problem = problems[path];
        return problem ? { problem } : { output: path };
      },
    });
    expect(told(ended, "step.compensated")).toEqual(["rejected", "cut"]);
    expect(seen).toEqual(["paid", null]);
  });

  test("what was done is undone also when nothing can be made of its result", async () => {
    const foreign = { type: "activity", activity: "pay", arguments: {}, compensate: [tool("undo")], ...pass, retry: { maxAttempts: 1 } };
    const steps = [
      undoable("exported", { export: { n: "${int(output)}" }, ...pass }),
      { ...foreign, id: "checked", outputSchema: { type: "number" } },
      { ...foreign, id: "asked", retry: { maxAttempts: 1, while: "${true}" } },
      odd,
    ];
    const ended = await run(steps, {
      steer: (_, port) => (port.validate = async () => makeProblem("schema", "not a number")),
    });
    expect(told(ended, "step.failed")).toEqual(["exported", "checked", "asked", "no"]);
    expect(told(ended, "step.compensated")).toEqual(["asked", "checked", "exported"]);
  });

  test("handlers of which none took the error are not asked again after `finally` has changed what they look at", async () => {
    const last = [
      { id: "s", type: "set", values: 1, export: { x: 1 } },
      { id: "w", type: "wait", duration: "1s" },
    ];
    const handler = { when: "${vars.x > 0}", steps: [tool("mend")] };
    const attempt = { id: "t", type: "try", steps: [tool("bad")], catch: [handler], finally: [...last, tool("tidy")] };
    const ended = await run([attempt], { answer: fails("t.bad") }, { vars: { x: 0 } });
    expect(started(ended)).toEqual(["t.bad", "t.finally.tidy"]);
    expect(ended.end.error).toMatchObject({ type: "tool", instance: "t.bad" });
  });

  test("a `try` that catches leaves its steps registered, with `undo` it undoes them before its handler", async () => {
    const attempt = (more: object) => ({
      id: "t",
      type: "try",
      steps: [undoable("a"), tool("bad")],
      catch: [{ steps: [tool("mend")] }],
      ...more,
    });
    const kept = await run([attempt({}), { id: "no", type: "raise", error: { type: "odd" } }], { answer: fails("t.bad") });
    expect(started(kept)).toEqual(["t.a", "t.bad", "t.catch0.mend", "t.a.compensate.undo"]);
    const undone = await run([attempt({ undo: true }), tool("after")], { answer: fails("t.bad") });
    expect(started(undone)).toEqual(["t.a", "t.bad", "t.a.compensate.undo", "t.catch0.mend", "after"]);
    expect(undone.end.result.status).toBe("completed");
  });

  const twice = { retry: { maxAttempts: 2, initialInterval: "1s", jitter: 0 } };
  const failsOnce = (bad: string) => {
    let isMended = false;
    return (path: string): Answer => {
      if (path !== bad || isMended) return { output: path };
      isMended = true;
      return boom;
    };
  };

  test("what a `try` has undone is done again by its next attempt, and told as another attempt", async () => {
    const again = { id: "again", type: "raise" };
    const steps = [{ id: "s", type: "sequence", steps: [undoable("pay")] }, tool("bad")];
    const ended = await run([{ id: "t", type: "try", undo: true, ...twice, steps, catch: [{ steps: [again] }] }], {
      answer: failsOnce("t.bad"),
    });
    expect(started(ended)).toEqual(["t.s.pay", "t.bad", "t.s.pay.compensate.undo", "t.s.pay", "t.bad"]);
    expect(told(ended, "step.completed").filter((path) => path === "t.s.pay")).toHaveLength(2);
    expect(ended.end.result.status).toBe("completed");
  });

  test("what is done again after it was undone is another effect, what undoes it then too; all else keeps its key", async () => {
    const steps = [tool("mail"), undoable("pay"), tool("bad")];
    const { port } = await run(
      [{ id: "t", type: "try", undo: true, ...twice, steps, catch: [{ steps: [{ id: "no", type: "raise", error: { type: "odd" } }] }] }],
      {
        answer: fails("t.bad"),
      },
    );
    const root = port.keys[0]!.slice(0, port.keys[0]!.indexOf(":"));
    const round = (again: string): string[] => [`t.pay${again}`, "t.bad", `t.pay.compensate.undo${again}`];
    expect(port.keys).toEqual(["t.mail", ...round(""), ...round("#2")].map((path) => `${root}:${path}`));
  });

  test("a window that was finished and then undone is done again, under other keys", async () => {
    let isMended = false;
    const answer = (path: string): Answer => {
      if (path !== "t.each[1].may" || isMended) return { output: path };
      isMended = true;
      return boom;
    };
    const each = { id: "each", type: "foreach", items: [0, 1], isolate: true, concurrency: 1, steps: [undoable("pay"), tool("may")] };
    const again = { steps: [{ id: "no", type: "raise", error: { type: "odd" } }] };
    const ended = await run([{ id: "t", type: "try", undo: true, ...twice, steps: [each], catch: [again] }], { answer });
    expect(ended.end.result.status).toBe("completed");
    const keys = [ended.port, ...ended.port.parts].flatMap((port) => port.keys).map((key) => key.slice(key.indexOf(":") + 1));
    expect(keys.filter((key) => key.startsWith("t.each[0].pay")).toSorted()).toEqual([
      "t.each[0].pay",
      "t.each[0].pay#2",
      "t.each[0].pay.compensate.undo",
    ]);
  });

  test("handlers and `finally` come anew with each attempt", async () => {
    const handler = { steps: [tool("note"), { id: "again", type: "raise" }] };
    const steps = [tool("good"), tool("bad")];
    const ended = await run([{ id: "t", type: "try", ...twice, steps, catch: [handler], finally: [tool("tidy")] }], {
      answer: fails("t.bad"),
    });
    const round = ["t.bad", "t.catch0.note", "t.finally.tidy"];
    expect(started(ended)).toEqual(["t.good", ...round, ...round]);
    expect(told(ended, "step.completed").filter((path) => path === "t.finally.tidy")).toHaveLength(2);
  });

  test("what the handler of a `try` with `undo` does is not undone with the rest", async () => {
    const handler = { steps: [undoable("mend"), { id: "w", type: "wait", duration: "1s" }] };
    const steps = [undoable("a"), tool("bad")];
    const ended = await run([{ id: "t", type: "try", undo: true, steps, catch: [handler] }], { answer: fails("t.bad") });
    expect(told(ended, "step.compensated")).toEqual(["t.a"]);
  });

  test("a run that fails in its `finally` undoes its steps, too", async () => {
    const ended = await run([undoable("a")], { answer: fails("finally.bad") }, { finally: [tool("bad")] });
    expect(ended.end.error).toMatchObject({ instance: "finally.bad" });
    expect(told(ended, "step.compensated")).toEqual(["a"]);
  });

  test("what the run's `finally` does is not undone", async () => {
    const last = [undoable("tidy"), { id: "w", type: "wait", duration: "1s" }, tool("end")];
    const ended = await run([undoable("a"), tool("bad")], { answer: fails("bad") }, { finally: last });
    expect(told(ended, "step.compensated")).toEqual(["a"]);
  });

  test("a completed run undoes nothing", async () => {
    const ended = await run([undoable("a"), undoable("b")]);
    expect(started(ended)).toEqual(["a", "b"]);
  });

  test("a step for which there is no room among what is to be undone is not done", async () => {
    const branches = { a: [undoable("x")], b: [undoable("x")], c: [undoable("x")] };
    const others = Array.from({ length: limits.undosMax - 2 }, () => ({ path: "old[0+]", page: [] }));
    const ended = await run([{ id: "p", type: "parallel", branches }], {
      answer: (path) => ({ output: path, afterMs: 100 }),
      steer: (walk) => walk.undoing.registerWindow("old[0+]", others),
    });
    expect(ended.end.error).toMatchObject({ type: "limit", instance: "p.c.x" });
    expect(started(ended)).toEqual(["p.a.x", "p.b.x", "p.b.x.compensate.undo", "p.a.x.compensate.undo"]);
  });

  test("undoing sees what the step saw", async () => {
    const compensate = [tool("undo", { arguments: { item: "${item}", first: "${steps.first.output}", own: "${output}" } })];
    const seen: unknown[] = [];
    const steps = [tool("first"), { id: "each", type: "foreach", items: '${["x"]}', steps: [tool("pay", { compensate })] }, tool("bad")];
    await run(steps, {
      answer: (path, fields) => {
        if (path.endsWith("undo")) seen.push((fields as { arguments: unknown }).arguments);
        return fails("bad")(path);
      },
    });
    expect(seen).toEqual([{ item: "x", first: "first", own: "each[0].pay" }]);
  });

  test("a scope that is retried repeats only what failed, after its back-off, and then gives up", async () => {
    const retry = { maxAttempts: 3, initialInterval: "1s", backoff: 2, jitter: 0 };
    const ended = await run([{ id: "s", type: "sequence", retry, steps: [tool("good"), tool("bad")] }], { answer: fails("s.bad") });
    expect(ended.port.trace.filter(({ what, path }) => what === "start" && path === "s.bad").map(({ at }) => at)).toEqual([
      1, 1_002, 3_003,
    ]);
    expect(started(ended).filter((path) => path === "s.good")).toHaveLength(1);
    expect(ended.end.error).toMatchObject({ type: "tool", instance: "s.bad" });
    expect(told(ended, "step.retrying")).toEqual(["s", "s"]);
  });

  test("a scope whose content is not good enough is done again as a whole", async () => {
    let calls = 0;
    const retry = { maxAttempts: 3, initialInterval: "1s", while: "${output < 2}" };
    const ended = await run([{ id: "s", type: "sequence", retry, steps: [tool("n")] }], { answer: () => ({ output: ++calls }) });
    expect(ended.end.result.output).toBe(2);
    expect(
      ended.port.log.filter(({ type, step }) => type === "step.completed" && step === "s.n").map(({ data }) => data["output"]),
    ).toEqual([1, 2]);
  });

  test("`totalTimeout` spans all attempts", async () => {
    const retry = { maxAttempts: 10, initialInterval: "1s", backoff: 1, jitter: 0 };
    const ended = await run([{ id: "s", type: "sequence", retry, totalTimeout: "2500ms", steps: [tool("bad")] }], {
      answer: fails("s.bad"),
    });
    expect(started(ended)).toHaveLength(3);
  });

  test("a background step does not keep its scope open, and its error fails the scope", async () => {
    const watchdog = (ms: string) => ({
      id: "dog",
      type: "sequence",
      background: true,
      needs: [],
      steps: [
        { id: "w", type: "wait", duration: ms },
        { id: "no", type: "raise", error: { type: "late" } },
      ],
    });
    const work = { ...tool("work"), needs: [] };
    const answer = (path: string): Answer => ({ output: path, afterMs: 1_000 });
    const quick = await run([{ id: "s", type: "sequence", steps: [watchdog("5s"), work] }], { answer });
    expect(quick.end.result.status).toBe("completed");
    const slow = await run([{ id: "s", type: "sequence", steps: [watchdog("500ms"), work] }], { answer });
    expect(slow.end.error).toMatchObject({ type: "late" });
  });

  test("`rest: finish` gives the join's result at once and the scope around waits for the others", async () => {
    const branches = { quick: [tool("a")], slow: [{ id: "w", type: "wait", duration: "5s" }, tool("b")] };
    const ended = await run([{ id: "p", type: "parallel", join: "any", rest: "finish", branches }, tool("after")]);
    expect(started(ended)).toEqual(["p.quick.a", "after", "p.slow.b"]);
    expect(ended.end.result).toMatchObject({ status: "completed", output: "after" });
  });

  const slowly = [{ id: "w", type: "wait", duration: "5s" }, tool("b"), { id: "v", type: "wait", duration: "5s" }, tool("c")];
  const withRest = { id: "p", type: "parallel", join: "any", rest: "finish", branches: { quick: [tool("a")], slow: slowly } };

  test("what a join has left goes on, when an error has cancelled it, with the next attempt of the scope around", async () => {
    const steps = [withRest, { id: "pause", type: "wait", duration: "7s" }, tool("bad")];
    const ended = await run([{ id: "s", type: "sequence", ...twice, steps }, tool("after")], { answer: failsOnce("s.bad") });
    expect(started(ended)).toEqual(["s.p.quick.a", "s.p.slow.b", "s.bad", "s.bad", "s.p.slow.c", "after"]);
    expect(ended.end.result.status).toBe("completed");
  });

  const restOfItems = {
    id: "p",
    type: "foreach",
    items: "${[0, 1, 2, 3]}",
    concurrency: 2,
    join: "any",
    rest: "finish",
    steps: [{ id: "w", type: "wait", duration: "${index * 2000}" }, tool("a")],
  };
  test.each([
    ["of branches", withRest, ["p.quick.a", "bad", "bad", "p.slow.b", "p.slow.c"]],
    ["of items", restOfItems, ["p[0].a", "bad", "bad", "p[1].a", "p[2].a", "p[3].a"]],
  ])("the rest %s goes on in a retry of the run, what is over is taken over, and so in the retry of that", async (_, step, calls) => {
    let bad = 2;
    const answer = (path: string): Answer => (path === "bad" && bad-- > 0 ? boom : { output: path });
    const runs = [await run([step, tool("bad")], { answer })];
    while (runs.at(-1)!.end.error) runs.push(await run([step, tool("bad")], { answer, retryOf: runs.at(-1)! }));
    const all = runs.flatMap(started);
    expect(all.filter((path) => path === "bad")).toHaveLength(3);
    expect([...new Set(all)].toSorted()).toEqual([...new Set(calls)].toSorted());
    expect(all.filter((path) => path !== "bad")).toHaveLength(new Set(calls).size - 1);
  });

  test("what a join has left falls under the budget of its step, however it goes on", async () => {
    const ended = await run([{ ...withRest, budget: { modelCalls: 9 } }, tool("after")]);
    expect(started(ended)).toEqual(["p.quick.a", "after", "p.slow.b", "p.slow.c"]);
    const scopes = ["p.quick.a", "p.slow.b", "p.slow.c"].map((path) => ended.port.budgets.get(path));
    expect(scopes).toEqual(Array(3).fill([expect.stringMatching(/:p$/)]));
  });

  const undoneSlowly = { id: "t", type: "try", steps: [{ id: "w", type: "wait", duration: "9s" }], finally: [tool("tidy"), tool("up")] };
  const cases = [
    { name: "one", when: "${item == 1}", steps: [undoneSlowly] },
    {
      name: "none",
      when: "${item == 0}",
      steps: [
        { id: "v", type: "set", values: 1, export: { stop: true } },
        { id: "no", type: "raise", error: { type: "odd" } },
      ],
    },
  ];
  const decided = (until: string) => {
    const steps = [{ id: "s", type: "switch", cases, default: [tool("late")] }];
    return [{ id: "each", type: "foreach", items: "${[0, 1, 2]}", concurrency: 2, onItemError: "collect", until, steps }];
  };

  test("an `until` that failed has decided, also while what it cancelled is put back", async () => {
    const ended = await run(decided("${done[7] == 1}"), {}, { vars: { stop: false } });
    expect(ended.end.error).toMatchObject({ type: "expression" });
    expect(started(ended)).toEqual(["each[1].s.one.t.finally.tidy", "each[1].s.one.t.finally.up"]);
  });

  test("an `until` that held after an item had failed has decided, too", async () => {
    const ended = await run(decided("${vars.stop}"), {}, { vars: { stop: false } });
    expect(ended.end.result.output).toEqual([{ error: expect.objectContaining({ type: "odd" }) }, null, null]);
    expect(started(ended)).toEqual(["each[1].s.one.t.finally.tidy", "each[1].s.one.t.finally.up"]);
  });

  test("`until` ends a join by what came so far", async () => {
    const steps = [
      { id: "w", type: "wait", duration: "${item * 1000}" },
      { id: "v", type: "set", values: "${item}" },
    ];
    const ended = await run([{ id: "each", type: "foreach", items: "${[3, 1, 2, 9]}", until: "${done.size() == 2}", steps }]);
    expect(ended.end.result.output).toEqual([null, 1, 2, null]);
    expect(ended.port.now()).toBe(2_000);
  });
});
