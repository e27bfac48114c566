import { describe, expect, test } from "@jest/globals";
import { readDefinitionValue, type Plan } from "../language/index.ts";
import { runPlain, started, type PlainRun } from "../tests/walk/run-plain.ts";
import { boom } from "../tests/walk/answers.ts";
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
            walk.changes.ask({ plan: planOf(after), kind: "patch", by: "ada" });
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

  test("a branch that has ended, beside one that has not, takes no more steps", async () => {
    const refused: string[] = [];
    const both = (two: object[]) => definition([{ id: "p", type: "parallel", branches: { one: [tool("a"), tool("b"), tool("c")], two } }]);
    await changed(both([tool("x")]), both([tool("x"), tool("late")]), 2_500, ({ message }) => refused.push(message));
    expect(refused).toEqual(["p.two: These steps have ended, and the new plan changes them."]);
  });

  test("how long a step that has ended might have taken, how often it might have been tried, and what people read of it can be changed", async () => {
    const before = definition([tool("a", { compensate: [tool("undo")] }), tool("b"), tool("c")]);
    const more = { summary: "A", retry: { maxAttempts: 9 } };
    const steps = [tool("a", { ...more, compensate: [tool("undo")] }), tool("b"), tool("c"), tool("d")];
    const run = await changed(before, definition(steps, { defaults: { timeout: "7m" } }), 1_500);
    expect(started(run)).toEqual(["a", "b", "c", "d"]);
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

  describe("while calls that take long overlap", () => {
    const long = (id: string, more: object = {}) => tool(id, { timeout: "5m", ...more });
    const lasting = (ms: Record<string, number>) => ({ answer: (path: string) => ({ output: path, afterMs: ms[path] ?? 1_000 }) });
    const changing = (before: object, answers: object, changes: { at: number; to: object; of?: string; hash?: string }[]) =>
      runPlain(before, {
        continues,
        ...answers,
        steer: (walk, port) => {
          for (const { at, to, of, hash = "new" } of changes)
            port.at(at, () => walk.changes.ask({ plan: { ...planOf(to), hash }, kind: "patch", by: "ada", ...(of ? { of } : {}) }));
        },
      });
    const told = ({ port }: PlainRun, type: string) => port.log.filter((event) => event.type === type).map(({ data }) => data);
    const starts = ({ port }: PlainRun) => port.trace.filter(({ what }) => what === "start").map(({ at, path }) => `${at} ${path}`);

    test("a second change is made of the first that waits yet: both are made, each is told", async () => {
      const run = await changing(definition([long("a"), tool("b")]), slow, [
        { at: 100, to: definition([long("a"), tool("one"), tool("b")]), hash: "first" },
        { at: 200, to: definition([long("a"), tool("one"), tool("two"), tool("b")]), of: "first", hash: "second" },
      ]);
      expect(started(run)).toEqual(["a", "one", "two", "b"]);
      expect(told(run, "plan.changed")).toMatchObject([{ planHash: "first" }, { planHash: "second", from: { planHash: "first" } }]);
    });

    test("one that was made of another plan than the one to come is refused, and the one that waits stays", async () => {
      const before = definition([long("a"), tool("b")]);
      const refused: string[] = [];
      const run = await runPlain(before, {
        continues,
        ...slow,
        steer: (walk, port) => {
          const { hash: of } = walk.options.plan;
          const ask = (to: object, hash: string): void => {
            try {
              walk.changes.ask({ plan: { ...planOf(to), hash }, kind: "patch", by: "ada", of });
            } catch (error) {
              refused.push((error as Error).message);
            }
          };
          port.at(100, () => ask(definition([long("a"), tool("one"), tool("b")]), "first"));
          port.at(200, () => ask(definition([long("a"), tool("b"), tool("two")]), "second"));
        },
      });
      expect(refused).toEqual(["The run is to walk plan first by now; make the change of that one."]);
      expect(started(run)).toEqual(["a", "one", "b"]);
    });

    test("what waits yet when the run is cancelled is told as refused", async () => {
      const run = await runPlain(definition([long("a"), tool("b")]), {
        continues,
        ...slow,
        steer: (walk, port) => {
          port.at(100, () => walk.changes.ask({ plan: planOf(definition([long("a")])), kind: "patch", by: "ada" }));
          port.at(200, () => walk.cancel("enough"));
        },
      });
      expect(told(run, "plan.refused")).toMatchObject([{ by: "ada", refusals: [{ why: expect.stringContaining("end first") }] }]);
      expect(told(run, "plan.changed")).toEqual([]);
      expect(run.end.result.status).toBe("canceled");
    });

    test("items whose calls overlap take it, those that have just ended theirs as well", async () => {
      const each = (...steps: object[]) =>
        definition([{ id: "each", type: "foreach", items: "${range(6)}", concurrency: 2, steps }, tool("end")]);
      const answers = lasting({ "each[0].x": 1_000, "each[1].x": 1_500 });
      const run = await changing(each(long("x")), answers, [{ at: 500, to: each(long("x"), tool("y")) }]);
      expect(told(run, "plan.changed")).toHaveLength(1);
      expect(started(run).filter((path) => path.endsWith("y"))).toHaveLength(6);
    });

    const branches = (one: object[], two: object[]) => definition([{ id: "p", type: "parallel", branches: { one, two } }]);

    test("a step that it removes does not start, steps that it leaves alone do", async () => {
      const one = [long("a")];
      const run = await changing(branches(one, [tool("b"), tool("same"), tool("old")]), lasting({ "p.one.a": 10_000 }), [
        { at: 500, to: branches(one, [tool("b"), tool("same"), tool("new")]) },
      ]);
      expect(starts(run)).toEqual(["0 p.one.a", "0 p.two.b", "1000 p.two.same", "10000 p.two.new"]);
    });

    test("what takes no time waits for it, too", async () => {
      const set = (values: number) => ({ id: "s", type: "set", values });
      const one = [long("a")];
      const run = await changing(branches(one, [tool("b"), set(1)]), lasting({ "p.one.a": 10_000 }), [
        { at: 500, to: branches(one, [tool("b"), set(2)]) },
      ]);
      expect(run.end.result.output).toMatchObject({ two: 2 });
    });

    test("no further long call begins once a step waits for it", async () => {
      const of = (last: object) =>
        definition([
          { id: "p", type: "parallel", branches: { a: [long("a1"), long("a2")], b: [long("b1"), long("b2")], c: [tool("c1"), last] } },
        ]);
      const run = await changing(of(tool("c2")), lasting({ "p.a.a1": 3_000, "p.b.b1": 4_000, "p.a.a2": 3_000 }), [
        { at: 500, to: of(tool("c2", { arguments: { x: 1 } })) },
      ]);
      expect(starts(run).slice(3).toSorted()).toEqual(["4000 p.a.a2", "4000 p.b.b2", "4000 p.c.c2"]);
    });

    test("those that were held for one that was cancelled go on", async () => {
      const of = (last: object) =>
        definition([
          {
            id: "p",
            type: "parallel",
            branches: {
              a: [long("a1"), long("a2")],
              b: [long("b1")],
              c: [
                {
                  id: "t",
                  type: "try",
                  timeout: "2s",
                  steps: [tool("c1"), last],
                  catch: [{ steps: [{ id: "late", type: "set", values: 1 }] }],
                },
              ],
            },
          },
        ]);
      const run = await changing(of(tool("c2")), lasting({ "p.a.a1": 1_500, "p.b.b1": 9_000 }), [
        { at: 500, to: of(tool("c2", { arguments: { x: 1 } })) },
      ]);
      expect(starts(run)).toContain("2000 p.a.a2");
    });

    test("the last call is followed by what it adds", async () => {
      const run = await changing(definition([long("a")]), slow, [{ at: 500, to: definition([long("a"), tool("b")]) }]);
      expect(started(run)).toEqual(["a", "b"]);
    });

    test("the last call is followed by the `finally` that it adds, and its error by the `catch`", async () => {
      const more = { catch: [{ steps: [tool("mend")] }], finally: [tool("clean")] };
      const steps = [long("a", { retry: { maxAttempts: 1 } })];
      const answer = (path: string) => (path === "a" ? { ...boom, afterMs: 1_000 } : { output: path });
      const run = await changing(definition(steps), { answer }, [{ at: 500, to: definition(steps, more) }]);
      expect(started(run)).toEqual(["a", "catch0.mend", "finally.clean"]);
      expect(run.end.result.status).toBe("completed");
    });
  });
});
