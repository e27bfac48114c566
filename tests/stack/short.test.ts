import { afterEach, describe, expect, test } from "@jest/globals";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { limits } from "../../contracts/limits.ts";
import { inScopes } from "../recorded-definitions.ts";
import { planOf } from "../walk/plan-of.ts";
import { admin, host, type Run, type RunBody } from "./client.ts";

const short = (id: string, args: JsonObject = {}, more: JsonObject = {}): JsonObject => ({
  id,
  type: "tool",
  tool: "test.short",
  arguments: args,
  short: true,
  ...more,
});
const soon = { initialInterval: "1ms", maxInterval: "1ms" };

interface Event {
  eventType: string;
}

const countOf = async (type: string, run: string): Promise<number> => {
  const { events } = (await host.history("default", run)) as { events: Event[] };
  return events.filter(({ eventType }) => eventType === type).length;
};
const activities = (run: string): Promise<number> => countOf("EVENT_TYPE_ACTIVITY_TASK_SCHEDULED", run);
const markers = (run: string): Promise<number> => countOf("EVENT_TYPE_MARKER_RECORDED", run);

const items = (args: JsonObject[]): JsonObject => ({
  id: "f",
  type: "foreach",
  items: args,
  concurrency: args.length,
  steps: [short("a", "${item}" as unknown as JsonObject, { retry: { ...soon, maxAttempts: 2 } }), short("b")],
});

/** A run in which no short step can have run out of its time. Where the machine has stalled for so long, it is begun anew. */
async function prompt(steps: JsonObject[]): Promise<{ run: Run; end: RunBody }> {
  for (;;) {
    const run = await admin.begin({ steps });
    const end = await run.end();
    const told = (await run.events()).filter(({ type }) => ["run.started", "step.completed", "run.failed"].includes(type));
    const times = told.map(({ time }) => Date.parse(time));
    if (times.every((time, n) => time - (times[n - 1] ?? time) < limits.localStepMs / 2)) return { run, end };
  }
}

describe("a short step", () => {
  test("runs beside the walk", async () => {
    const { run } = await prompt([short("a")]);
    expect(await activities(run.id)).toBe(0);
  });

  test("is recorded like any other", async () => {
    const run = await admin.begin({ steps: [short("a")] });
    const { output } = await run.end();
    expect(await run.step("a")).toMatchObject({ status: "completed", output });
  });

  test("whose tool is not declared short runs as an activity of its own", async () => {
    const double = { id: "d", type: "tool", tool: "test.double", arguments: { n: 2 }, short: true };
    const run = await admin.begin({ steps: [double] });
    expect([(await run.end()).output, await activities(run.id)]).toEqual([{ n: 4 }, 1]);
  });

  test("that takes longer than it may beside the walk runs as an activity of its own", async () => {
    const run = await admin.begin({ steps: [short("a", { ms: limits.localStepMs + 500 })] });
    expect([(await run.end()).status, await activities(run.id)]).toEqual(["completed", 1]);
  });

  test("that fails is tried again as an activity of its own", async () => {
    const run = await admin.begin({ steps: [short("a", { failures: 2 }, { retry: { ...soon, maxAttempts: 3 } })] });
    expect([(await run.end()).output, await activities(run.id)]).toMatchObject([{ call: 3 }, 1]);
  });

  test("that fails is not tried more often than it may be", async () => {
    const { end } = await prompt([short("a", { failures: 2 }, { retry: { ...soon, maxAttempts: 2 } })]);
    expect(end.error).toMatchObject({ type: "tool", instance: "a" });
  });

  test("with wrong arguments fails at once", async () => {
    const { run, end } = await prompt([short("a", { ms: "long" })]);
    expect([end, await activities(run.id)]).toMatchObject([{ error: { type: "tool_input" } }, 0]);
  });

  test("after very many others runs as an activity, so that Temporal keeps what they gave", async () => {
    const count = limits.localStepsMax + 2;
    const { run } = await prompt([{ id: "f", type: "foreach", items: `\${range(${count})}`, concurrency: 1, steps: [short("a")] }]);
    expect(await activities(run.id)).toBe(1);
  });
});

describe("short steps in a row", () => {
  const word = (id: string): string => `\${steps.${id}.output.word}`;

  test("are made as one, each with what the one before gave", async () => {
    const ids = ["a", "b", "c", "d"];
    const steps = ids.map((id, index) => short(id, index === 0 ? {} : { said: word(ids[index - 1]!) }));
    const [{ run }, { run: alone }] = await Promise.all([prompt(steps), prompt([short("a")])]);
    const said = await Promise.all(ids.map(async (id) => (await run.step(id)).output as JsonObject));
    expect(said.map(({ said }) => said)).toEqual(["", ...said.slice(0, -1).map(({ word }) => word)]);
    expect(await markers(run.id)).toBe(await markers(alone.id));
  });

  test("of which one fails: nothing after it is called before it is good, and nothing before it again", async () => {
    const { run } = await prompt([short("a"), short("b", { failures: 1 }, { retry: { ...soon, maxAttempts: 2 } }), short("c")]);
    const calls = await Promise.all(["a", "b", "c"].map(async (id) => ((await run.step(id)).output as JsonObject)["call"]));
    expect([calls, await activities(run.id)]).toEqual([[1, 2, 1], 1]);
    const told = (await run.events()).filter(({ type }) => type === "step.completed").map(({ step }) => step);
    expect(told).toEqual(["a", "b", "c"]);
  });

  test("of which one is late keep the answers of those before it", async () => {
    const late = short("b", { ms: limits.localStepMs - 100 });
    const run = await admin.begin({ steps: [short("a", { ms: limits.localStepMs / 4 }), late, short("c")] });
    expect((await run.end()).status).toBe("completed");
    const calls = await Promise.all(["a", "b", "c"].map(async (id) => ((await run.step(id)).output as JsonObject)["call"]));
    expect([calls, await activities(run.id)]).toEqual([[1, 2, 1], 1]);
  });

  test("beside rows of others leave room in the command that carries their answers", async () => {
    const count = limits.localStepsMax;
    const row = (name: string): JsonObject[] => Array.from({ length: count }, (_, n) => short(`${name}${n}`));
    const run = await admin.begin({ steps: [{ id: "p", type: "parallel", branches: { a: row("a"), b: row("b") } }] });
    await run.end();
    expect(await activities(run.id)).toBeGreaterThan(0);
  });

  test("of which one reads a stored value", async () => {
    const large = short("a", { said: "x".repeat(2 * limits.inlineBytesMax) });
    const run = await admin.begin({ steps: [large, short("b", { said: word("a") }), short("c", { said: word("b") })] });
    const { output } = await run.end();
    expect((output as JsonObject)["said"]).toBe(((await run.step("b")).output as JsonObject)["word"]);
  });
});

describe("short steps of the items of a list", () => {
  test("that begin together are made as one", async () => {
    const eventsOf = async (args: JsonObject[]): Promise<number[]> => {
      const { run } = await prompt([items(args)]);
      return [await activities(run.id), await markers(run.id)];
    };
    const [two, four] = await Promise.all(
      [
        [{}, {}],
        [{}, {}, {}, {}],
      ].map(eventsOf),
    );
    expect(four).toEqual(two);
  });

  test("are recorded one by one", async () => {
    const run = await admin.begin({ steps: [items([{}, {}, {}])] });
    const { output } = await run.end();
    expect(output).toEqual(await Promise.all([0, 1, 2].map(async (n) => (await run.step(`f[${n}].b`)).output)));
  });

  test("of which one fails are not made again with it", async () => {
    const { run } = await prompt([items([{}, { failures: 1 }, {}])]);
    const calls = await Promise.all([0, 1, 2].map(async (n) => ((await run.step(`f[${n}].a`)).output as JsonObject)["call"]));
    expect([calls, await activities(run.id)]).toEqual([[1, 2, 1], 1]);
  });

  test("of which one gives no answer in time are found as they were recorded", async () => {
    const run = await admin.begin({ steps: [items([{}, { ms: limits.localStepMs + 500 }, {}])] });
    await run.end();
    const calls = await Promise.all([0, 2].map(async (n) => ((await run.step(`f[${n}].a`)).output as JsonObject)["call"]));
    expect(calls).toEqual([1, 1]);
  });

  test("end with the first that fails for good", async () => {
    const run = await admin.finish({ steps: [items([{}, { ms: "long" }, {}])] });
    expect(run.error).toMatchObject({ type: "tool_input", instance: "f[1].a" });
  });
});

describe("short steps of branches beside each other", () => {
  // Whose first answer comes first has the most scopes, and so promises, to its next call.
  const depthMax = 6;
  const branch = (n: number): JsonObject[] => [
    short("a", { ms: 4 * n }),
    ...inScopes(depthMax - n, { id: "d", type: "tool", tool: "test.double", arguments: { n } }, short("b", { ms: 4 * (depthMax - n) })),
  ];
  const parallel = (id: string, join: string): JsonObject => ({
    id,
    type: "parallel",
    join,
    branches: Object.fromEntries(Array.from({ length: depthMax }, (_, n) => [`n${n}`, branch(n)])),
  });

  test("ask in a replay, which has their answers at once, for the same as they did", async () => {
    const runs = await Promise.all(
      Array.from({ length: 4 }, () => admin.begin({ steps: [parallel("one", "any"), parallel("all", "all")] })),
    );
    await Promise.all(runs.map((run) => run.end()));
    const replays = await host.replays(
      "default",
      runs.map(({ id }) => id),
    );
    expect(replays).toEqual({ count: runs.length, broken: [] });
  });
});

describe("short steps under way when their task is handed in", () => {
  const double = (id: string): JsonObject => ({ id, type: "tool", tool: "test.double", arguments: { n: 1 } });
  const works = Array.from({ length: 8 }, (_, n) => [short(`a${n}`, { ms: 250 }), ...(n % 2 === 0 ? [] : [double(`d${n}`)])]);
  const comes = Array.from({ length: 8 }, (_, n) => [
    { id: `w${n}`, type: "wait", duration: `${150 + 40 * n}ms` },
    n % 2 === 0 ? short(`b${n}`) : double(`c${n}`),
  ]);

  test("go on in a replay after what had come meanwhile, as they did", async () => {
    const plan = planOf({
      name: "beats",
      version: "1.0.0",
      steps: [{ id: "p", type: "parallel", branches: { works: works.flat(), comes: comes.flat() } }],
    });
    const ids = await Promise.all(Array.from({ length: 8 }, () => host.startPlan(plan as unknown as Json, "1s")));
    await Promise.all(ids.map((id) => admin.run(id).end()));
    expect(await host.replays("default", ids)).toEqual({ count: ids.length, broken: [] });
  });
});

describe("short steps whose worker is killed by kill -9", () => {
  afterEach(async () => host.heal());

  test("go on with what the log tells of them", async () => {
    const ids = Array.from({ length: 12 }, (_, n) => `s${n}`);
    const output = ids.map((id) => `\${steps.${id}.output.word}`);
    const run = await admin.begin({ steps: ids.map((id) => short(id, { ms: 100 })), output });
    await run.until("step.completed", "s5");
    await host.kill("worker");
    await host.start("worker");
    const end = await run.end();
    const told = (await run.events()).filter(({ type }) => type === "step.completed");
    expect(told.map(({ step, data }) => [step, (data["output"] as JsonObject)["word"]])).toEqual(
      ids.map((id, n) => [id, (end.output as string[])[n]]),
    );
  });
});

describe("record: ends", () => {
  const steps = [
    short("a"),
    { id: "d", type: "tool", tool: "test.double", arguments: { n: 2 } },
    { id: "l", type: "listen", one: { event: "go" } },
  ];

  test("the log tells of the run and its waits, not of its steps", async () => {
    const run = await admin.begin({ steps, record: "ends" });
    await run.until("listen.started");
    await run.signal("go");
    await run.end();
    const types = (await run.events()).map(({ type, step }) => [type, step ?? ""].join(" ").trim());
    expect(types).toEqual(["run.started", "listen.started l", "run.waiting", "event.received l", "step.completed l", "run.completed"]);
  });

  test("the log tells of errors", async () => {
    const breaks = { id: "b", type: "tool", tool: "test.breaks", arguments: {}, retry: { maxAttempts: 1 } };
    const run = await admin.begin({ steps: [breaks], record: "ends" });
    await run.end();
    expect((await run.events()).map(({ type }) => type)).toEqual(["run.started", "step.failed", "run.failed"]);
  });
});
