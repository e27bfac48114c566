import { describe, expect, test } from "@jest/globals";
import { admin, Place } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const raise = (id: string, type = "odd") => ({ id, type: "raise", error: { type, detail: `${type} it is` } });
const listen = (id: string, event = id) => ({ id, type: "listen", one: { event } });

describe("order", () => {
  test("a step whose `if` is false is skipped and its dependants run", async () => {
    const steps = [{ ...set("one", 1), if: "${input.n > 1}" }, set("two", "${steps.one.status}")];
    const run = await admin.finish({ input: { type: "object", properties: { n: { type: "number" } }, required: ["n"] }, steps }, { n: 1 });
    expect(run.output).toBe("skipped");
  });

  test("a skipped step shows as skipped", async () => {
    const run = await admin.begin({ steps: [{ ...set("one", 1), if: "${false}" }] });
    await run.end();
    expect(await run.step("one")).toMatchObject({ status: "skipped", output: null });
  });

  test("a step with empty needs does not wait for the step before", async () => {
    const run = await admin.begin({ steps: [listen("go"), { ...set("free", 1), needs: [] }, { ...set("end", 1), needs: ["go", "free"] }] });
    await run.until("step.completed", "free");
    expect(await run.step("go")).toMatchObject({ status: "waiting" });
  });

  test("a step waits for all it needs", async () => {
    const steps = [
      { ...set("a", 1), needs: [] },
      { ...set("b", 2), needs: [] },
      { ...set("sum", "${steps.a.output + steps.b.output}"), needs: ["a", "b"] },
    ];
    const run = await admin.finish({ steps });
    expect(run.output).toBe(3);
  });

  test("sequence gives its last step's output", async () => {
    const run = await admin.finish({ steps: [{ id: "seq", type: "sequence", steps: [set("a", 1), set("b", "${steps.a.output + 1}")] }] });
    expect(run.output).toBe(2);
  });

  test("`output` of a scope stands for its last step's", async () => {
    const run = await admin.finish({
      steps: [{ id: "seq", type: "sequence", steps: [set("a", 1), set("b", 2)], output: { a: "${steps.a.output}" } }],
    });
    expect(run.output).toEqual({ a: 1 });
  });

  test("an exported value is seen by later steps", async () => {
    const steps = [{ ...set("a", { n: 20 }), export: { total: "${vars.total + output.n}" } }, set("b", "${vars.total}")];
    const run = await admin.finish({ vars: { total: 22 }, steps });
    expect(run.output).toBe(42);
  });

  test("the allow-listed environment is seen by expressions", async () => {
    const run = await admin.finish({ steps: [set("a", "${env.TENUTO_TEST_PLACE}")] });
    expect(run.output).toBe("here");
  });

  test("a run knows its own id, workflow and version", async () => {
    const run = await admin.finish({ steps: [set("a", ["${run.id}", "${run.workflow}", "${run.version}"])] });
    expect(run.output).toEqual([run.id, run.workflow, "1.0.0"]);
  });
});

describe("switch", () => {
  const choose = (n: number) =>
    admin.finish(
      {
        input: { type: "object", properties: { n: { type: "number" } }, required: ["n"] },
        steps: [
          {
            id: "pick",
            type: "switch",
            cases: [
              { when: "${input.n > 10}", steps: [set("a", "large")] },
              { name: "middle", when: "${input.n > 5}", steps: [set("a", "middle")] },
            ],
            ...(n === 0 ? {} : { default: [set("a", "small")] }),
          },
        ],
      },
      { n },
    );

  test("the first case that is true is taken", async () => expect((await choose(11)).output).toBe("large"));
  test("a later case is taken when those before are false", async () => expect((await choose(6)).output).toBe("middle"));
  test("the default is taken when no case is true", async () => expect((await choose(1)).output).toBe("small"));
  test("without a default no match gives null", async () => expect((await choose(0)).output).toBeNull());

  test("the path of a step names the case", async () => {
    const run = await admin.begin({
      steps: [{ id: "pick", type: "switch", cases: [{ name: "yes", when: "${true}", steps: [set("a", 1)] }] }],
    });
    await run.end();
    expect((await run.steps()).map(({ path }) => path)).toContain("pick.yes.a");
  });
});

describe("parallel", () => {
  const both = { type: "parallel", branches: { left: [set("a", 1)], right: [set("a", 2)] } };

  test("gives the outputs by branch", async () => {
    const run = await admin.finish({ steps: [{ id: "p", ...both }] });
    expect(run.output).toEqual({ left: 1, right: 2 });
  });

  test("with maxConcurrency 1 branches run one after the other", async () => {
    const place = new Place();
    const call = (n: number) => [{ id: "c", type: "http", url: `${place.url}?n=${n}` }];
    await admin.finish({ steps: [{ id: "p", type: "parallel", maxConcurrency: 1, branches: { a: call(1), b: call(2), c: call(3) } }] });
    expect((await place.calls(3)).map(({ path }) => path.at(-1))).toEqual(["1", "2", "3"]);
  });

  test("join all fails with the first error", async () => {
    const run = await admin.finish({ steps: [{ id: "p", type: "parallel", branches: { a: [raise("r")], b: [listen("never")] } }] });
    expect(run.error).toMatchObject({ type: "odd", instance: "p.a.r" });
  });

  test("a branch that the join gave up shows as canceled", async () => {
    const run = await admin.begin({ steps: [{ id: "p", type: "parallel", branches: { a: [raise("r")], b: [listen("never")] } }] });
    await run.end();
    expect(await run.step("p.b.never")).toMatchObject({ status: "canceled" });
  });

  test("join any takes the first success and nulls the rest", async () => {
    const run = await admin.finish({
      steps: [{ id: "p", type: "parallel", join: "any", branches: { a: [listen("never")], b: [raise("r")], c: [set("x", 3)] } }],
    });
    expect(run.output).toEqual({ a: null, b: null, c: 3 });
  });

  test("join any fails when no branch can succeed any more", async () => {
    const run = await admin.finish({ steps: [{ id: "p", type: "parallel", join: "any", branches: { a: [raise("r")], b: [raise("r")] } }] });
    expect(run.error).toMatchObject({ type: "join", lastError: { type: "odd" } });
  });

  test("join race ends with the first end, even an error", async () => {
    const run = await admin.finish({
      steps: [{ id: "p", type: "parallel", join: "race", branches: { a: [listen("never")], b: [raise("r")] } }],
    });
    expect(run.error).toMatchObject({ type: "odd" });
  });

  test("join quorum takes as many successes as it needs", async () => {
    const branches = { a: [set("x", 1)], b: [listen("never")], c: [set("x", 3)] };
    const run = await admin.finish({ steps: [{ id: "p", type: "parallel", join: "quorum", quorum: 2, branches }] });
    expect(run.output).toEqual({ a: 1, b: null, c: 3 });
  });

  test("a quorum out of reach fails at once", async () => {
    const branches = { a: [raise("r")], b: [raise("r")], c: [listen("never")] };
    const run = await admin.finish({ steps: [{ id: "p", type: "parallel", join: "quorum", quorum: 2, branches }] });
    expect(run.error).toMatchObject({ type: "join" });
  });

  test("a call of a branch that lost the race is cancelled", async () => {
    const [slow, quick] = [new Place(), new Place()];
    await slow.script({ delayMs: 60_000 });
    const branches = { slow: [{ id: "c", type: "http", url: slow.url }], quick: [listen("go"), { id: "c", type: "http", url: quick.url }] };
    const run = await admin.begin({ steps: [{ id: "p", type: "parallel", join: "any", branches }] });
    await slow.calls(1);
    await run.signal("go");
    expect(await run.end()).toMatchObject({ status: "completed", output: { slow: null } });
  });
});

describe("foreach", () => {
  const over = (items: unknown, more: object) => ({ id: "f", type: "foreach", items, ...more });

  test("gives the outputs in the order of the items", async () => {
    const run = await admin.finish({ steps: [over("${input}", { steps: [set("a", "${item * 10 + index}")] })] }, [5, 6, 7]);
    expect(run.output).toEqual([50, 61, 72]);
  });

  test("an empty list gives an empty list", async () => {
    const run = await admin.finish({ steps: [over([], { steps: [set("a", 1)] })] });
    expect(run.output).toEqual([]);
  });

  test("with concurrency 1 items are taken in order", async () => {
    const place = new Place();
    await admin.finish({
      steps: [over("${range(6)}", { concurrency: 1, steps: [{ id: "c", type: "http", url: place.url, query: { n: "${item}" } }] })],
    });
    expect((await place.calls(6)).map(({ path }) => path.at(-1))).toEqual(["0", "1", "2", "3", "4", "5"]);
  });

  test("with a key the outputs stand by key", async () => {
    const run = await admin.finish({ steps: [over([{ id: "x" }, { id: "y" }], { key: "${item.id}", steps: [set("a", "${index}")] })] });
    expect(run.output).toEqual({ x: 0, y: 1 });
  });

  const odd = [{ id: "check", type: "raise", error: { type: "odd", detail: "odd" }, if: "${item % 2 == 1}" }, set("a", "${item}")];

  test("an item's error fails the step", async () => {
    const run = await admin.finish({ steps: [over([1, 2], { steps: odd })] });
    expect(run.error).toMatchObject({ type: "odd", instance: "f[0].check" });
  });

  test("onItemError collect keeps errors in their place", async () => {
    const run = await admin.finish({ steps: [over([2, 3, 4], { onItemError: "collect", steps: odd })] });
    expect(run.output).toMatchObject([2, { error: { type: "odd" } }, 4]);
  });

  test("onItemError skip leaves failed items out", async () => {
    const run = await admin.finish({ steps: [over([2, 3, 4], { onItemError: "skip", steps: odd })] });
    expect(run.output).toEqual([2, 4]);
  });

  test("join quorum ends with enough items", async () => {
    const run = await admin.finish({ steps: [over([1, 2, 4], { join: "quorum", quorum: 2, steps: odd })] });
    expect(run.output).toEqual([null, 2, 4]);
  });

  test("items can be signalled inside", async () => {
    const run = await admin.begin({
      steps: [over(["a", "b"], { steps: [{ id: "l", type: "listen", one: { event: "go-${item}" } }], output: "${steps.l.output.data}" })],
    });
    await run.signal("go-b", 2);
    await run.signal("go-a", 1);
    expect((await run.end()).output).toEqual([1, 2]);
  });

  test("something that is no list fails as expression", async () => {
    const run = await admin.finish({ steps: [over("${input.n}", { steps: [set("a", 1)] })] }, { n: 3 });
    expect(run.error).toMatchObject({ type: "expression" });
  });
});

describe("loop", () => {
  const loop = (more: object) => ({ id: "l", type: "loop", maxIterations: 5, steps: [set("a", "${index}")], ...more });

  test("while is asked before an iteration and sees the last output", async () => {
    const run = await admin.finish({ steps: [loop({ while: "${last == null || last < 2}" })] });
    expect(run.output).toBe(2);
  });

  test("a while that is false at once gives null", async () => {
    const run = await admin.finish({ steps: [loop({ while: "${false}" })] });
    expect(run.output).toBeNull();
  });

  test("until is asked after an iteration and sees its steps", async () => {
    const run = await admin.finish({ steps: [loop({ until: "${steps.a.output == 3}" })] });
    expect(run.output).toBe(3);
  });

  test("reaching maxIterations fails as loop_limit", async () => {
    const run = await admin.finish({ steps: [loop({ until: "${false}" })] });
    expect(run.error).toMatchObject({ type: "loop_limit", instance: "l" });
  });

  test("with onLimit end the last iteration's output stands", async () => {
    const run = await admin.finish({ steps: [loop({ onLimit: "end" })] });
    expect(run.output).toBe(4);
  });

  test("exported values add up over iterations", async () => {
    const body = [{ ...set("a", "${index}"), export: { sum: "${vars.sum + output}" } }];
    const run = await admin.finish({ vars: { sum: 0 }, steps: [loop({ onLimit: "end", steps: body }), set("end", "${vars.sum}")] });
    expect(run.output).toBe(10);
  });
});
