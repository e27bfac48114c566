import { describe, expect, test } from "@jest/globals";
import { readDefinitionValue, type Plan } from "../language/index.ts";
import { runPlain, started, type PlainRun } from "../tests/walk/run-plain.ts";
import { definition, tool } from "../tests/walk/steps.ts";

const scope = (more: object, inner = tool("a", { lock: { key: "inner" } })) => ({ id: "s", type: "sequence", steps: [inner], ...more });
const planOf = (value: object): Plan => {
  const read = readDefinitionValue(value, { hashOf: () => "new" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.plan;
};
const slow = { answer: (path: string) => ({ output: path, afterMs: 1_000 }) };

describe.each([false, true])("with continue-as-new after every step: %s", (continues) => {
  const changed = (before: object, after: object, atMs: number, refused?: (error: Error) => void): Promise<PlainRun> =>
    runPlain(before, {
      continues,
      ...slow,
      steer: (walk, at) =>
        at.at(atMs, () => {
          try {
            walk.leaving.changePlan({ plan: planOf(after), kind: "patch", by: "ada" });
          } catch (error) {
            refused?.(error as Error);
          }
        }),
    });

  test("steps that have not started are added, replaced and removed", async () => {
    const before = definition([tool("a"), tool("b"), tool("c")]);
    const after = definition([tool("a"), tool("new"), tool("c", { arguments: { more: 1 } })], {
      output: "${steps.c.output}",
      vars: { fresh: 1 },
    });
    const run = await changed(before, after, 500);
    expect(started(run)).toEqual(["a", "new", "c"]);
    expect(run.end.result).toMatchObject({ status: "completed", output: "c" });
    expect(run.port.log.map(({ type }) => type)).toContain("plan.changed");
  });

  test("a step that has ended, or whose call is under way, cannot be changed", async () => {
    const refused: string[] = [];
    const before = definition([tool("a"), tool("b"), tool("c")]);
    const run = await changed(
      before,
      definition([tool("a", { arguments: { x: 1 } }), tool("b", { arguments: { x: 1 } }), tool("c")]),
      1_500,
      ({ message }) => refused.push(message),
    );
    expect(refused).toEqual(["a: The step has started, and the new plan changes it. (and 1 more)"]);
    expect(started(run)).toEqual(["a", "b", "c"]);
  });

  test("what is inside an open scope can be changed, and later items do what the new plan says", async () => {
    const each = (steps: object[]) =>
      definition([{ id: "each", type: "foreach", items: "${[1, 2, 3]}", concurrency: 1, steps }, tool("end")]);
    const run = await changed(each([tool("x"), tool("y")]), each([tool("x"), tool("z")]), 2_500, undefined);
    // The second item was at x: it goes on with what comes after it in the new plan.
    expect(started(run)).toEqual(["each[0].x", "each[0].y", "each[1].x", "each[1].z", "each[2].x", "each[2].z", "end"]);
  });

  test.each<[what: string, after: object, path: string, key: string]>([
    ["removed", definition([scope({}), tool("end")]), "s", "outer"],
    ["with another key", definition([scope({ lock: { key: "other" } }), tool("end")]), "s", "outer"],
    ["with another limit", definition([scope({ lock: { key: "outer", limit: 2 } }), tool("end")]), "s", "outer"],
    ["removed with its step", definition([tool("end")]), "s", "outer"],
    ["removed from the call inside", definition([scope({ lock: { key: "outer" } }, tool("a")), tool("end")]), "s.a", "inner"],
    ["changed while a step inside runs", definition([scope({ lock: { key: "other" } }, tool("b")), tool("end")]), "s", "outer"],
  ])("a lock that is held cannot be %s", async (_, after, path, key) => {
    const refused: string[] = [];
    const before = definition([scope({ lock: { key: "outer" } }), tool("end")]);
    const run = await changed(before, after, 500, ({ message }) => refused.push(message));
    expect(refused).toEqual([expect.stringMatching(`^${path}: The step holds lock ${key}, and the new plan removes or changes`)]);
    expect(started(run)).toEqual(["s.a", "end"]);
  });

  test("a lock that no step holds any more, or yet, can be changed", async () => {
    const before = definition([tool("a", { lock: { key: "k" } }), tool("b"), tool("c", { lock: { key: "k" } })]);
    const after = definition([tool("a", { lock: { key: "k" } }), tool("b"), tool("c")]);
    const run = await changed(before, after, 1_500);
    expect(run.port.log.map(({ type }) => type)).toContain("plan.changed");
    expect(started(run)).toEqual(["a", "b", "c"]);
  });

  const undo = { compensate: [tool("undo")] };
  const items = (pay: object, more: object = {}) =>
    definition([
      {
        id: "each",
        type: "foreach",
        items: "${[1, 2, 3]}",
        concurrency: 1,
        ...more,
        steps: [{ id: "w", type: "wait", duration: "5s" }, pay],
      },
      { id: "bad", type: "raise", error: { type: "odd" } },
    ]);
  test.each<[of: string, change: string, pay: object, more: object]>([
    ["items", "removed", tool("pay"), {}],
    ["items", "changed", tool("pay", { compensate: [tool("undo", { arguments: { x: 1 } })] }), {}],
    ["items", "removed with its step", tool("other"), {}],
    ["isolated items", "removed", tool("pay"), { isolate: true }],
  ])("what undoes what %s have done cannot be %s", async (_, __, pay, more) => {
    const refused: string[] = [];
    const run = await changed(items(tool("pay", undo), more), items(pay, more), 8_500, ({ message }) => refused.push(message));
    expect(refused).toEqual(["each[0].pay: The step may have to be undone, and the new plan removes or changes its `compensate`."]);
    expect(run.end.error).not.toHaveProperty("unresolved");
    expect(run.port.log.filter(({ type }) => type === "step.compensated")).toHaveLength(3);
  });

  test("what undoes a step stays, all else of it may change for later items", async () => {
    const run = await changed(items(tool("pay", undo)), items(tool("pay", { ...undo, arguments: { more: 1 } })), 8_500);
    expect(run.port.log.map(({ type }) => type)).toContain("plan.changed");
    expect(run.port.log.filter(({ type }) => type === "step.compensated")).toHaveLength(3);
  });

  test("a wait that is open keeps its time", async () => {
    const wait = { id: "w", type: "wait", duration: "10s" };
    const run = await changed(definition([wait, tool("old")]), definition([wait, tool("new")]), 5_000);
    expect(run.port.trace.map(({ at, what, path }) => `${at} ${what} ${path}`)).toEqual(["10000 start new", "11000 end new"]);
  });
});
