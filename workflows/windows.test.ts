import { describe, expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Answer } from "../tests/walk/plain-port.ts";
import { runPlain, type PlainRun } from "../tests/walk/run-plain.ts";
import { boom } from "../tests/walk/answers.ts";
import { definition, tool } from "../tests/walk/steps.ts";

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const each = (more: object = {}) => ({
  id: "each",
  type: "foreach",
  items: "${input}",
  concurrency: 100,
  steps: [tool("double", { arguments: { n: "${item}", plus: "${vars.plus}", first: "${steps.first.output}" } })],
  ...more,
});
const doubled = (_: string, fields: unknown) => {
  const { n } = (fields as { arguments: { n?: number } }).arguments;
  return { output: (n ?? 0) * 2 };
};

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const run = (steps: object[], input: Json, options: Parameters<typeof runPlain>[1] = {}): Promise<PlainRun> =>
    runPlain(definition(steps, { vars: { plus: 1 } }), { continues, input, answer: doubled, ...options });

  test("1,203 items are done in windows, each once, and their results come in order", async () => {
    const { end, port } = await run([tool("first"), each()], numbers(1_203));
    expect(end.result.output).toEqual(numbers(1_203).map((n) => n * 2));
    const calls = port.trace.filter(({ what, path }) => what === "start" && path.startsWith("each"));
    expect(new Set(calls.map(({ path }) => path)).size).toBe(1_203);
    expect(calls).toHaveLength(1_203);
    expect(port.parts).toHaveLength(7);
    expect(port.log.filter(({ type }) => type === "child.started")).toHaveLength(7);
  });

  test("what items set is seen after them, and `key` makes one object", async () => {
    const keyed = each({
      key: "${'k' + string(index)}",
      steps: [{ id: "v", type: "set", values: "${item}", export: { seen: "${item}" } }],
    });
    const { end } = await runPlain(definition([keyed], { vars: { seen: 0 }, output: "${[steps.each.output.k600, vars.seen > 0]}" }), {
      continues,
      input: numbers(601),
    });
    expect(end.result.output).toEqual([600, true]);
  });

  test("an item's error fails the step with the item's path and cancels the other windows", async () => {
    const answer = (path: string, fields: unknown) => (path === "each[450].double" ? boom : { ...doubled(path, fields), afterMs: 10 });
    const { end } = await run([tool("first"), each()], numbers(900), { answer });
    expect(end.error).toMatchObject({ type: "tool", detail: "boom", instance: "each[450].double" });
  });

  test("`onItemError: collect` keeps the good items", async () => {
    const answer = (path: string, fields: unknown) => (path === "each[450].double" ? boom : doubled(path, fields));
    const { end } = await run([tool("first"), each({ onItemError: "collect" })], numbers(600), { answer });
    expect((end.result.output as Json[]).filter((item) => typeof item === "object")).toHaveLength(1);
  });

  test.each([
    ["windows", numbers(600), {}],
    ["children", numbers(3), { isolate: true }],
    ["the run itself", numbers(3), {}],
  ])("what `onError: continue` lets pass in items that %s do is an error of the run", async (_, items, more) => {
    const answer = (path: string) => (path === "each[1].may" ? boom : { output: 1 });
    const { end } = await run([each({ steps: [tool("may", { onError: "continue" })], ...more })], items, { answer });
    expect(end.result).toMatchObject({ status: "completed_with_errors", errors: [{ type: "tool", instance: "each[1].may" }] });
  });

  test.each([
    ["in windows", numbers(600), {}],
    ["in children", numbers(3), { isolate: true }],
    ["in the run itself", numbers(3), {}],
  ])("it is also when the step fails or is cancelled, %s, and the run goes on", async (_, items, more) => {
    const answer = (path: string): Answer => (path.endsWith("[1].may") ? boom : { output: 1, afterMs: path.endsWith("never") ? 9_000 : 0 });
    const odd = { id: "no", type: "raise", if: "${item == 2}", error: { type: "odd" } };
    const may = tool("may", { onError: "continue" });
    const fails = each({
      steps: [may, { id: "w", type: "wait", duration: "1s" }, odd],
      catch: [{ errors: ["odd"], steps: [tool("taken")] }],
      ...more,
    });
    const waits = { ...each({ steps: [may, tool("never")], ...more }), id: "slow" };
    const quick = [{ id: "w", type: "wait", duration: "2s" }];
    const loses = { id: "p", type: "parallel", join: "race", branches: { slow: [waits], quick } };
    const { end } = await run([fails, loses], items, { answer });
    expect(end.result.status).toBe("completed_with_errors");
    expect(end.result.errors!.map(({ instance }) => instance)).toEqual(["each[1].may", "p.slow.slow[1].may"]);
  });

  test("no more errors are kept than a run may name", async () => {
    const answer = () => boom;
    const { end } = await run([each({ steps: [tool("may", { onError: "continue" })] })], numbers(600), { answer });
    expect(end.result.errors).toHaveLength(limits.passedErrorsMax);
  });

  test("finished windows are undone when the run fails later, in reverse order", async () => {
    const undoable = each({
      steps: [tool("pay", { arguments: { n: "${item}" }, compensate: [tool("undo", { arguments: { n: "${output}" } })] })],
    });
    const answer = (path: string, fields: unknown) => (path === "bad" ? boom : doubled(path, fields));
    const { port } = await run([undoable, tool("bad")], numbers(501), { answer });
    const undone = port.trace.filter(({ what, path }) => what === "start" && path.endsWith("undo")).map(({ path }) => path);
    expect(undone).toHaveLength(501);
    // One after the other, each window from its end.
    const last = undone.map((path) => Number(/\[(\d+)\]/.exec(path)![1]));
    expect(last.indexOf(199)).toBeLessThan(last.indexOf(100));
    expect(last.indexOf(500)).toBeLessThan(last.indexOf(401));
  });

  describe.each([
    ["windows", numbers(600), {}],
    ["children", numbers(3), { isolate: true }],
    ["the run itself", numbers(3), {}],
  ])("`onError` in items that %s do asks those around about the very error", (_, items, more) => {
    const answer = (path: string): Answer => (path === "each[1].may" ? { problem: makeProblem("http", "boom") } : { output: 1 });
    const caught = (onError: string, handler: object): Promise<PlainRun> =>
      run([each({ steps: [tool("may", { onError })], ...more, catch: [{ steps: [tool("taken")], ...handler }] })], items, { answer });

    test("a handler of its type takes it, and nobody is asked", async () => {
      const { end, port } = await caught("park", { errors: ["http"] });
      expect(end.result.status).toBe("completed");
      expect(port.log.filter(({ step }) => step === "each.catch0.taken")).not.toEqual([]);
    });

    test.each([
      ["of another type", { errors: ["tool"] }],
      ["whose `when` does not hold", { when: "${error.detail != 'boom' || size(input) == 0}" }],
    ])("a handler %s leaves it to `onError`", async (__, handler) => {
      const { end } = await caught("continue", handler);
      expect(end.result).toMatchObject({ status: "completed_with_errors", errors: [{ type: "http", instance: "each[1].may" }] });
    });

    test("a handler whose `when` reads what stands around takes it where it holds", async () => {
      const { end } = await caught("continue", { when: "${error.detail == 'boom' && vars.plus == 1}" });
      expect(end.result.status).toBe("completed");
    });
  });

  const isolated = (steps: object[], more: object = {}) => each({ isolate: true, concurrency: 2, steps, ...more });
  const cancels = ({ port }: PlainRun): string[] => port.trace.filter(({ what }) => what === "cancel").map(({ path }) => path);

  test("windows do not ask for the place that their run has under the definition's `concurrency`", async () => {
    const more = { concurrency: { key: "k", limit: 1 } };
    const { end } = await runPlain(definition([isolated([tool("a")])], more), { continues, input: [1, 2, 3] });
    expect(end.result).toMatchObject({ status: "completed", output: ["each[0].a", "each[1].a", "each[2].a"] });
  });

  test.each<[string, object, object]>([
    ["completed, without output", {}, { result: { status: "completed", output: null } }],
    ["completed", { output: { n: "${item}" } }, { result: { status: "completed", output: { n: 2 } } }],
    ["failed", { status: "failed", output: "bad" }, { result: { status: "failed", output: "bad" }, error: { code: "raised" } }],
    ["canceled", { status: "canceled" }, { result: { status: "canceled" }, error: { code: "canceled" } }],
  ])("`end` in an item ends the run as %s, whatever would take an error", async (_, fields, expected) => {
    const pay = tool("pay", { compensate: [tool("undo")] });
    const steps = [pay, { id: "stop", type: "end", if: "${item == 2}", ...fields }, { id: "w", type: "wait", duration: "1h" }];
    const run = await runPlain(definition([isolated(steps, { onItemError: "collect" }), tool("never")]), { continues, input: [1, 2, 3] });
    expect(run.end).toMatchObject(expected);
    expect(run.port.now()).toBeLessThan(1_000);
    const undone = run.port.log.filter(({ type }) => type === "step.compensated").map(({ step }) => step!);
    expect(undone.toSorted()).toEqual(run.end.result.status === "completed" ? [] : ["each[0].pay", "each[1].pay"]);
  });

  test("what `onError: continue` lets pass in an item is told of the run", async () => {
    const answer = (path: string) => (path === "each[1].a" ? boom : { output: 1 });
    const { end } = await runPlain(definition([isolated([tool("a", { onError: "continue" })])]), { continues, input: [1, 2], answer });
    expect(end.result).toMatchObject({ status: "completed_with_errors", errors: [{ instance: "each[1].a" }] });
  });

  test("children that items leave to themselves end with the run, not with their window", async () => {
    const leave = { id: "call", type: "workflow", workflow: "other", await: false };
    const later = { id: "w", type: "wait", duration: "1h" };
    const run = await runPlain(definition([isolated([leave]), later]), { continues, input: [1, 2] });
    expect(cancels(run)).toHaveLength(2);
    expect(run.port.trace.filter(({ what }) => what === "cancel").every(({ at }) => at >= 3_600_000)).toBe(true);
  });

  test("a window that fails cancels those that it left", async () => {
    const leave = { id: "call", type: "workflow", workflow: "other", await: false };
    const answer = (path: string) => (path.endsWith("bad") ? boom : { output: 1 });
    const run = await runPlain(definition([isolated([leave, tool("bad")])]), { continues, input: [1], answer });
    expect(run.end.result.status).toBe("failed");
    expect(cancels(run)).toHaveLength(1);
  });

  test("values that items set may be large", async () => {
    const big = { id: "v", type: "set", values: "x".repeat(15_000), export: { a: "${output}", b: "${output}" } };
    const steps = [isolated([big], { concurrency: 1 }), { id: "sum", type: "set", values: "${vars.a.size() + vars.b.size()}" }];
    const { end } = await runPlain(definition(steps, { vars: { a: "", b: "" } }), { continues, input: [1] });
    expect(end.result.output).toBe(30_000);
  });

  test("large variables of the run are seen beside those that items set", async () => {
    const steps = [
      { id: "v", type: "set", values: 1, export: { own: "${output}" } },
      { id: "both", type: "set", values: "${vars.own + vars.big.size()}" },
    ];
    const first = tool("first", { export: { big: "${output}" } });
    const answer = () => ({ output: "x".repeat(20_000) });
    const { end } = await runPlain(definition([first, isolated(steps)], { vars: { big: "", own: 0 } }), { continues, input: [1], answer });
    expect(end.result.output).toEqual([20_001]);
  });

  test("`isolate` gives each item a child run of its own", async () => {
    const { end, port } = await run([tool("first"), each({ isolate: true })], numbers(5));
    expect(end.result.output).toEqual([0, 2, 4, 6, 8]);
    expect(port.parts).toHaveLength(5);
  });

  test("of many items windows isolate theirs, so that no run holds more than those of a window", async () => {
    const { end, port } = await run([tool("first"), each({ isolate: true, concurrency: 50 })], numbers(500));
    expect(end.result.output).toEqual(numbers(500).map((n) => n * 2));
    expect(port.parts.map(({ parts }) => parts.length)).toEqual([200, 200, 100]);
  });
});

describe.each([false, true])("what is sent to the run reaches its windows, with continue-as-new after every step: %s", (continues) => {
  const listens = ({ when, ...more }: { when?: string; [field: string]: unknown } = {}) => ({
    id: "hear",
    type: "listen",
    one: { event: "paid", ...(when ? { when } : {}) },
    ...more,
  });
  const onTimeout = [{ id: "late", type: "set", values: 0 }];
  const send = (port: PlainRun["port"], walk: PlainRun["walk"], at: number, data: Json): void =>
    port.at(at, () => walk.mailbox.post({ event: "paid", data, id: `paid-${at}-${JSON.stringify(data)}`, at }));

  test.each([
    ["windows", 600, {}],
    ["children", 40, { isolate: true }],
    ["children of windows", 250, { isolate: true }],
    ["the run itself", 40, {}],
  ])("each of the items that %s do hears its own event, and each event is heard once", async (_, count, more) => {
    const items = numbers(count);
    const { end, walk } = await runPlain(
      definition([each({ ...more, steps: [listens({ when: "${event.data == item}" })], output: "${steps.hear.output.data}" })]),
      { continues, input: items, steer: (run, port) => items.forEach((n) => send(port, run, n % 7 === 0 ? 0 : 1_000 + n, n)) },
    );
    expect(end.result).toMatchObject({ status: "completed", output: items });
    expect(walk.mailbox.state().unread).toEqual([]);
  });

  test("an event that any of them would take is taken by one", async () => {
    const steps = [listens({ timeout: "5s", onTimeout })];
    const { end, port } = await runPlain(definition([each({ concurrency: 200, onItemError: "skip", steps })]), {
      continues,
      input: numbers(600),
      steer: (run, at) => [100, 200, 300].forEach((ms) => send(at, run, ms, ms)),
    });
    expect(end.result.status).toBe("completed");
    const heard = port.parts.flatMap(({ log }) => log).filter(({ type }) => type === "event.received");
    expect(heard).toHaveLength(3);
    expect(new Set(heard.map(({ data }) => data["id"]))).toEqual(new Set(["paid-100-100", "paid-200-200", "paid-300-300"]));
  });

  test("what came before an item listened is not for one that ignores it", async () => {
    const steps = [{ id: "w", type: "wait", duration: "1s" }, listens({ early: "ignore", timeout: "5s", onTimeout })];
    const { port } = await runPlain(definition([each({ concurrency: 200, steps })]), {
      continues,
      input: numbers(501),
      steer: (run, at) => [500, 2_000].forEach((ms) => send(at, run, ms, ms)),
    });
    const heard = port.parts.flatMap(({ log }) => log).filter(({ type }) => type === "event.received");
    expect(heard.map(({ data }) => data["id"])).toEqual(["paid-2000-2000"]);
  });

  test("a step that waits for a person in a window makes the run wait for that person", async () => {
    let calls = 0;
    const answer = (path: string): Answer => (path === "each[510].pay" && calls++ === 0 ? boom : { output: 1 });
    const seen: unknown[] = [];
    const { end, port } = await runPlain(definition([each({ steps: [tool("pay", { onError: "park" })] })]), {
      continues,
      answer,
      input: numbers(600),
      steer: (walk, at) => {
        at.at(5_000, () => {
          seen.push(walk.status(), walk.inspector.waits());
          void at.parts.map((part) => part.attend({ path: "each[510].pay", action: "retry", by: "ada" }));
        });
      },
    });
    expect(seen).toEqual(["needs_attention", [{ path: "each[510].pay", for: "a person: retry, skip or fail" }]]);
    expect(end.result.status).toBe("completed");
    expect(port.log.filter(({ type }) => type === "run.needs_attention")).toHaveLength(1);
  });
});

test("an event that a window has claimed for a step whose time was over meanwhile goes back to the run", async () => {
  const late = [{ id: "late", type: "set", values: "late" }];
  const hear = { id: "hear", type: "listen", timeout: "100ms", onTimeout: late, one: { event: "paid", when: "${item == 0}" } };
  const after = { id: "after", type: "listen", one: { event: "paid" } };
  const each = { id: "each", type: "foreach", items: "${input}", concurrency: 200, steps: [hear] };
  const { end, port } = await runPlain(definition([each, after], { output: "${[steps.each.output[0], steps.after.output.data]}" }), {
    continues: false,
    input: numbers(501),
    // The word about it takes 1 ms, so that the claim is under way when the time is over.
    steer: (walk, at) => at.at(98, () => walk.mailbox.post({ event: "paid", data: 7, id: "e", at: 98 })),
  });
  expect(end.result.output).toEqual(["late", 7]);
  expect(port.parts.flatMap(({ log }) => log).filter(({ type }) => type === "event.received")).toEqual([]);
});
