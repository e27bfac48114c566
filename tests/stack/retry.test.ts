import { randomUUID } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, host, Model, Place, uniqueName, type Answer, type Definition, type Run, type RunBody } from "./client.ts";

interface Preview {
  reuse: string[];
  run: string[];
  childRuns: { step: string; of: string; reuse: string[]; run: string[] }[];
}

const set = (id: string, values: unknown, more: object = {}) => ({ id, type: "set", values, ...more });
const once = { retry: { maxAttempts: 1 } };
const llm = (id: string, model: Model, more: object = {}) => ({ id, type: "llm", model: model.wanted, prompt: id, ...once, ...more });
const call = (id: string, place: Place, more: object = {}) => ({ id, type: "http", method: "POST", url: place.url, ...once, ...more });
const broken = { status: 400 };

const ask = <Body = RunBody>(run: Run, verb: "retry" | "fork", body: JsonObject = {}, key?: string): Promise<Answer<Body>> =>
  admin.post<Body>(`${run.path}/${verb}`, body, key);

async function begun(run: Run, verb: "retry" | "fork", body: JsonObject = {}): Promise<Run> {
  const answer = await ask(run, verb, body);
  if (answer.status !== 202) throw new Error(`Not started: ${JSON.stringify(answer.body)}`);
  return admin.run(answer.body.id);
}

async function failed(definition: Definition, input?: JsonObject): Promise<Run> {
  const run = await admin.begin(definition, input);
  expect(await run.end()).toMatchObject({ status: "failed" });
  return run;
}

const reusedIn = async (run: Run): Promise<string[]> =>
  (await run.steps()).filter(({ status }) => status === "reused").map(({ path }) => path);

describe("a run of six steps that failed at the fifth, after ten items of which two were bad", () => {
  const models = { plan: new Model(), extract: new Model(), note: new Model(), merge: new Model(), report: new Model() };
  const definition = {
    steps: [
      llm("plan", models.plan),
      llm("extract", models.extract),
      {
        id: "annotate",
        type: "foreach",
        items: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        concurrency: 1,
        onItemError: "collect",
        steps: [llm("note", models.note, { prompt: "item ${item}" })],
      },
      llm("merge", models.merge, { needs: ["extract"] }),
      llm("report", models.report, { needs: ["annotate", "merge"] }),
      set("last", "${steps.annotate.output}"),
    ],
  };
  let first: Run;
  let second: Run;

  const callsOf = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      await Promise.all(Object.entries(models).map(async ([name, model]) => [name, (await model.calls()).length] as const)),
    );

  test("is retried: two items and the fifth step call a model again, nothing else does", async () => {
    await models.note.script(
      ...Array.from({ length: 10 }, (_, index) => (index === 3 || index === 7 ? broken : { text: `good ${index}` })),
    );
    await models.report.script(broken);
    first = await failed(definition);
    expect(await callsOf()).toEqual({ plan: 1, extract: 1, note: 10, merge: 1, report: 1 });
    second = await begun(first, "retry");
    const { status, output } = await second.end();
    expect(await callsOf()).toEqual({ plan: 1, extract: 1, note: 12, merge: 1, report: 2 });
    const texts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((index) => (index === 3 || index === 7 ? `echo: item ${index}` : `good ${index}`));
    expect({ status, output }).toEqual({ status: "completed", output: texts });
  });

  test("foretold by a dry run", async () => {
    const { status, body } = await ask<Preview>(first, "retry", { dryRun: true });
    const notes = [0, 1, 2, 4, 5, 6, 8, 9].map((index) => `annotate[${index}].note`);
    expect({ status, ...body }).toEqual({
      status: 200,
      reuse: ["plan", "extract", ...notes, "merge"],
      run: ["annotate[3].note", "annotate[7].note", "report", "last"],
      childRuns: [],
    });
  });

  test("with a complete list of steps, those it reused linked to the run that paid", async () => {
    const steps = await second.steps();
    expect(steps.map(({ path }) => path).toSorted()).toEqual(
      (await first.steps())
        .map(({ path }) => path)
        .concat("last")
        .toSorted(),
    );
    expect(await second.step("annotate[0].note")).toMatchObject({
      status: "reused",
      output: "good 0",
      usage: null,
      reusedFrom: first.id,
    });
  });

  test("with lineage both ways", async () => {
    expect(await second.read()).toMatchObject({ retryOf: first.id, forkOf: null, startedBy: expect.any(String) });
    expect(await first.read()).toMatchObject({ retryOf: null, retries: [second.id], forks: [] });
    const [started] = await second.events();
    expect(started).toMatchObject({ seq: 1, type: "run.started", data: { retryOf: first.id } });
  });

  test("costs only what it did itself", async () => {
    expect((await second.read()).usage.calls).toBe(3);
  });

  test("can be forked in turn, at one item", async () => {
    const before = await callsOf();
    const third = await begun(second, "fork", { from: "annotate[3].note" });
    await third.end();
    expect(await callsOf()).toEqual({ ...before, note: before["note"]! + 1, report: before["report"]! + 1 });
    expect(await third.step("annotate[0].note")).toMatchObject({ reusedFrom: first.id });
    expect(await third.step("annotate[7].note")).toMatchObject({ reusedFrom: second.id });
    expect(await second.read()).toMatchObject({ forks: [third.id] });
  });
});

describe("a retry", () => {
  test("sends what runs again with the key of the first try", async () => {
    const place = new Place();
    await place.script({ status: 500 });
    const run = await failed({ steps: [call("pay", place)] });
    await (await begun(run, "retry")).end();
    const keys = (await place.calls()).map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toEqual([`${run.id}:pay`, `${run.id}:pay`]);
  });

  test("of a retry that was terminated takes over what the first run had finished", async () => {
    const [good, bad] = [new Place(), new Place()];
    await bad.script({ status: 500 }, { status: 200, delayMs: 60_000 });
    const first = await failed({ steps: [call("good", good), call("bad", bad)] });
    const second = await begun(first, "retry");
    await bad.calls(2);
    await second.terminate();
    expect(await second.end()).toMatchObject({ status: "terminated" });
    const third = await begun(second, "retry");
    expect(await third.end()).toMatchObject({ status: "completed" });
    expect(await good.calls()).toHaveLength(1);
    expect((await bad.calls()).map(({ headers }) => headers["idempotency-key"])).toEqual(Array(3).fill(`${first.id}:bad`));
  });

  test("of a foreach that failed keeps the items that were good", async () => {
    const place = new Place();
    await place.script({ status: 200 }, { status: 200 }, { status: 400 });
    const items = [0, 1, 2, 3, 4];
    const run = await failed({ steps: [{ id: "each", type: "foreach", items, concurrency: 1, steps: [call("send", place)] }] });
    expect(await (await begun(run, "retry")).end()).toMatchObject({ status: "completed" });
    expect(await place.calls()).toHaveLength(6);
  });

  test("of a loop goes on at the iteration that failed, with the variables of those before", async () => {
    const place = new Place();
    await place.script({ status: 200 }, { status: 200 }, { status: 400 });
    const steps = [call("send", place, { export: { sent: "${vars.sent + 1}" } }), set("sum", "${vars.sent}")];
    const loop = { id: "loop", type: "loop", maxIterations: 4, onLimit: "end", steps };
    const run = await failed({ vars: { sent: 0 }, steps: [loop] });
    expect(await (await begun(run, "retry")).end()).toMatchObject({ status: "completed", output: 4 });
    expect(await place.calls()).toHaveLength(5);
  });

  test("of a run that completed with errors tries what failed and what came after it", async () => {
    const [bad, after, beside] = [new Place(), new Place(), new Place()];
    await bad.script({ status: 400 });
    const steps = [call("beside", beside), call("bad", bad, { onError: "continue" }), call("after", after)];
    const run = await admin.begin({ steps });
    expect(await run.end()).toMatchObject({ status: "completed_with_errors" });
    expect(await (await begun(run, "retry")).end()).toMatchObject({ status: "completed" });
    const counts = await Promise.all([beside, bad, after].map(async (place) => (await place.calls()).length));
    expect(counts).toEqual([1, 2, 2]);
  });

  test("runs handlers and `finally` anew", async () => {
    const [bad, told, tidied] = [new Place(), new Place(), new Place()];
    await bad.script({ status: 400 }, { status: 400 });
    const handler = { steps: [call("tell", told), { id: "again", type: "raise" }] };
    const run = await failed({ steps: [call("bad", bad)], catch: [handler], finally: [call("tidy", tidied)] });
    expect(await (await begun(run, "retry")).end()).toMatchObject({ status: "failed" });
    expect([await told.calls(), await tidied.calls()].map(({ length }) => length)).toEqual([2, 2]);
  });

  test("keeps 5,000 items of a foreach whose last one failed", async () => {
    const place = new Place();
    await place.script({ status: 400 });
    const steps = [set("pad", "${'x'.size() > 0 ? input.pad + string(index) : ''}"), call("send", place, { if: "${index == 4999}" })];
    const list = { id: "list", type: "tool", tool: "test.list", arguments: { count: 5_000 } };
    const each = { id: "each", type: "foreach", items: "${steps.list.output}", concurrency: 50, steps };
    const run = await failed({ steps: [list, each] }, { pad: "y".repeat(400) });
    const again = await begun(run, "retry");
    expect(await again.end()).toMatchObject({ status: "completed" });
    expect(await place.calls()).toHaveLength(2);
    const { body } = await ask<Preview>(again, "fork", { dryRun: true });
    expect(body).toMatchObject({ reuse: ["list", "each"], run: [] });
  }, 180_000);

  test("takes over what all executions of a run had finished, and goes on in new executions itself", async () => {
    const [a, b, bad, c] = [new Place(), new Place(), new Place(), new Place()];
    await bad.script({ status: 400 });
    const child = await admin.publish({ steps: [call("b", b), call("bad", bad)] });
    const steps = [
      call("a", a, { export: { n: 1 } }),
      { id: "sub", type: "workflow", workflow: child },
      call("c", c, { body: { n: "${vars.n}" } }),
      set("end", "${vars.n}"),
    ];
    const workflow = await admin.publish({ vars: { n: 0 }, steps });
    const first = admin.run(await host.startContinuing(workflow, {}, 1));
    expect(await first.end()).toMatchObject({ status: "failed" });
    const second = admin.run(await host.startContinuing(workflow, {}, 1, { run: first.id, kind: "retry" }));
    expect(await second.end()).toMatchObject({ status: "completed", output: 1, retryOf: first.id });
    const counts = await Promise.all([a, b, bad, c].map(async (place) => (await place.calls()).length));
    expect(counts).toEqual([1, 1, 2, 1]);
    expect(await host.executions("default", second.id)).toBeGreaterThan(1);
    expect((await second.events()).filter(({ type }) => type === "run.started")).toHaveLength(1);
  });

  test("undoes what a terminated run had done when it fails for good", async () => {
    const [paid, refunded, slow] = [new Place(), new Place(), new Place()];
    await slow.script({ status: 200, delayMs: 60_000 }, { status: 400 });
    const pay = call("pay", paid, { compensate: [call("refund", refunded)] });
    const first = await admin.begin({ steps: [pay, set("flush", 1), call("slow", slow)] });
    await slow.calls(1);
    await first.until("compensation.registered");
    await first.terminate();
    await first.end();
    const second = await begun(first, "retry");
    expect(await second.end()).toMatchObject({ status: "failed" });
    expect([await paid.calls(), await refunded.calls()].map(({ length }) => length)).toEqual([1, 1]);
    const third = await begun(second, "retry");
    expect(await third.end()).toMatchObject({ status: "completed" });
    expect(await paid.calls()).toHaveLength(2);
  });

  test("is refused for a run that completed or is at work", async () => {
    const done = await admin.begin({ steps: [set("a", 1)] });
    await done.end();
    expect(await ask(done, "retry")).toMatchObject({ status: 409, body: { code: "not_retryable" } });
    const open = await admin.begin({ steps: [{ id: "later", type: "listen", one: { event: "later" } }] });
    await open.until("listen.started");
    expect(await ask(open, "retry")).toMatchObject({ status: 409, body: { code: "not_retryable" } });
  });

  test("starts once for one Idempotency-Key", async () => {
    const place = new Place();
    await place.script({ status: 400 });
    const [run, key] = [await failed({ steps: [call("a", place)] }), randomUUID()];
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(run, "retry", {}, key)));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1);
    expect(await ask(run, "fork", {}, key)).toMatchObject({ status: 202 });
    const [{ id }] = [answers[0]!.body];
    await admin.run(id).end();
    expect((await run.read()).retries).toEqual([id]);
  });

  test("of an unknown run answers 404", async () => {
    expect(await admin.post("/api/v2/runs/r_00000000000000000000000000/retry")).toMatchObject({ status: 404 });
  });
});

describe("a run with sub-workflows", () => {
  test("is retried within the child, and within the child's child", async () => {
    const places = { top: new Place(), middle: new Place(), deep: new Place(), bad: new Place() };
    await places.bad.script({ status: 400 });
    const deep = await admin.publish({ steps: [call("fine", places.deep), call("bad", places.bad)] });
    const middle = await admin.publish({ steps: [call("fine", places.middle), { id: "inner", type: "workflow", workflow: deep }] });
    const run = await failed({ steps: [call("fine", places.top), { id: "call", type: "workflow", workflow: middle }] });
    const preview = (await ask<Preview>(run, "retry", { dryRun: true })).body;
    expect(preview.childRuns.map(({ step, reuse, run: again }) => ({ step, reuse, again }))).toEqual([
      { step: "call", reuse: ["fine"], again: ["inner"] },
      { step: "call/inner", reuse: ["fine"], again: ["bad"] },
    ]);
    const again = await begun(run, "retry");
    expect(await again.end()).toMatchObject({ status: "completed" });
    const calls = await Promise.all(Object.values(places).map(async (place) => (await place.calls()).length));
    expect(calls).toEqual([1, 1, 1, 2]);
    const keys = (await places.bad.calls()).map(({ headers }) => headers["idempotency-key"]);
    expect(new Set(keys).size).toBe(1);
    expect(await admin.run(`${again.id}.call`).read()).toMatchObject({ retryOf: `${run.id}.call`, parentId: again.id });
    expect(await admin.run(`${run.id}.call`).read()).toMatchObject({ retries: [`${again.id}.call`] });
  });

  test("takes a finished child as it is", async () => {
    const [inner, bad] = [new Place(), new Place()];
    await bad.script({ status: 400 });
    const child = await admin.publish({ steps: [call("fine", inner)] });
    const run = await failed({ steps: [{ id: "call", type: "workflow", workflow: child }, call("bad", bad)] });
    expect(await (await begun(run, "retry")).end()).toMatchObject({ status: "completed" });
    expect(await inner.calls()).toHaveLength(1);
  });

  test("is forked at a step of a child", async () => {
    const [one, two, three] = [new Place(), new Place(), new Place()];
    const child = await admin.publish({ steps: [call("one", one), call("two", two)] });
    const run = await admin.begin({ steps: [{ id: "call", type: "workflow", workflow: child }, call("three", three)] });
    await run.end();
    await (await begun(run, "fork", { from: "call/two" })).end();
    const calls = await Promise.all([one, two, three].map(async (place) => (await place.calls()).length));
    expect(calls).toEqual([1, 2, 2]);
    expect(await ask(run, "fork", { from: "call/tow" })).toMatchObject({ status: 404, body: { nearest: "two" } });
  });
});

describe("a fork", () => {
  const places = () => ({ a: new Place(), b: new Place(), c: new Place(), d: new Place() });
  const chain = (at: ReturnType<typeof places>) => [
    call("a", at.a),
    call("b", at.b, { body: { who: "${input.who}", limit: "${vars.limit}" } }),
    call("c", at.c, { needs: ["a"] }),
    call("d", at.d, { needs: ["b", "c"] }),
  ];
  const countsOf = async (at: ReturnType<typeof places>): Promise<number[]> =>
    Promise.all(Object.values(at).map(async (place) => (await place.calls()).length));
  const begin = async (at: ReturnType<typeof places>): Promise<Run> => {
    const run = await admin.begin({ vars: { limit: 1 }, steps: chain(at) }, { who: "Ada" });
    expect(await run.end()).toMatchObject({ status: "completed" });
    return run;
  };

  test("runs a step and what needs it again, beside what does not, with new input and variables", async () => {
    const at = places();
    const fork = await begun(await begin(at), "fork", { from: "b", input: { who: "Bob" }, vars: { limit: 2 } });
    expect(await fork.end()).toMatchObject({ status: "completed", input: { who: "Bob" } });
    expect(await countsOf(at)).toEqual([1, 2, 1, 2]);
    expect((await at.b.calls()).map(({ body }) => JSON.parse(body))).toEqual([
      { who: "Ada", limit: 1 },
      { who: "Bob", limit: 2 },
    ]);
    expect(await reusedIn(fork)).toEqual(["a", "c"]);
  });

  test("has idempotency keys of its own", async () => {
    const at = places();
    const fork = await begun(await begin(at), "fork", { from: "d" });
    await fork.end();
    expect((await at.d.calls()).at(-1)?.headers["idempotency-key"]).toBe(`${fork.id}:d`);
  });

  test("with another input and no `from` runs everything", async () => {
    const at = places();
    await (await begun(await begin(at), "fork", { input: { who: "Bob" } })).end();
    expect(await countsOf(at)).toEqual([2, 2, 2, 2]);
  });

  test("takes an output put in by hand", async () => {
    const place = new Place();
    const definition = { steps: [set("a", 1), set("b", "${steps.a.output + 1}"), call("c", place, { body: { n: "${steps.b.output}" } })] };
    const run = await admin.begin(definition);
    await run.end();
    const fork = await begun(run, "fork", { steps: { a: 41 } });
    await fork.end();
    expect((await place.calls()).map(({ body }) => JSON.parse(body))).toEqual([{ n: 2 }, { n: 42 }]);
    expect(await fork.step("a")).toMatchObject({ status: "reused", output: 41, reusedFrom: null });
  });

  test("hands its variables on to a retry of it, under what steps that ran again have set", async () => {
    const [a, b] = [new Place(), new Place()];
    await b.script({ status: 200 }, { status: 400 });
    const steps = [
      call("a", a, { export: { seen: "${vars.limit}", other: "a" } }),
      set("again", 0, { export: { other: "${vars.other + '!'}" } }),
      call("b", b, { body: { limit: "${vars.limit}", seen: "${vars.seen}", other: "${vars.other}" } }),
    ];
    const run = await admin.begin({ vars: { limit: 1, seen: 0, other: "" }, steps });
    await run.end();
    const fork = await begun(run, "fork", { from: "again", vars: { limit: 5, seen: 7, other: "x" } });
    expect(await fork.end()).toMatchObject({ status: "failed" });
    expect(await (await begun(fork, "retry")).end()).toMatchObject({ status: "completed" });
    expect((await b.calls()).map(({ body }) => JSON.parse(body))).toEqual([
      { limit: 1, seen: 1, other: "a!" },
      { limit: 5, seen: 7, other: "x!" },
      { limit: 5, seen: 7, other: "x!" },
    ]);
    expect(await a.calls()).toHaveLength(1);
  });

  test("goes to another version: what is the same there is reused", async () => {
    const at = places();
    const run = await begin(at);
    const { workflow } = await run.read();
    const steps = chain(at).map((step) => (step.id === "c" ? { ...step, body: { new: true } } : step));
    await admin.post("/api/v2/workflows", { name: workflow, version: "2.0.0", vars: { limit: 1 }, steps });
    const fork = await begun(run, "fork", { version: "2.0.0" });
    expect(await fork.end()).toMatchObject({ status: "completed", version: "2.0.0" });
    expect(await countsOf(at)).toEqual([1, 1, 2, 2]);
  });

  test("of a run at work takes what is finished", async () => {
    const place = new Place();
    const run = await admin.begin({ steps: [call("a", place), { id: "later", type: "listen", one: { event: "later" } }] });
    await run.until("listen.started");
    const fork = await begun(run, "fork");
    await fork.until("listen.started");
    await fork.signal("later");
    expect(await fork.end()).toMatchObject({ status: "completed" });
    expect(await place.calls()).toHaveLength(1);
  });

  test("at a path that does not exist answers 404 with the nearest", async () => {
    const run = await begin(places());
    const nested = await admin.begin({ steps: [{ id: "each", type: "foreach", items: [1], steps: [set("note", 1)] }] });
    await nested.end();
    expect(await ask(run, "fork", { from: "bb" })).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(await ask(nested, "fork", { from: "each[0].nota" })).toMatchObject({ status: 404, body: { nearest: "each[0].note" } });
    expect(await ask(nested, "fork", { from: "each[7].note" })).toMatchObject({ status: 404 });
    expect(await ask(run, "fork", { steps: { [uniqueName()]: 1 } })).toMatchObject({ status: 404 });
  });

  test("of another tenant's run answers 404", async () => {
    const stranger = await admin.withKey({ principal: "s", kind: "person", roles: ["admin"], tenant: `other-${randomUUID().slice(0, 8)}` });
    const run = await begin(places());
    expect(await stranger.post(`${run.path}/fork`)).toMatchObject({ status: 404 });
  });
});
