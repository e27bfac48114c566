import { randomUUID } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { admin, Place, uniqueName, type Run } from "./client.ts";
import { ask, begun, call, failed, set, type Preview } from "./going-on.ts";

const reusedIn = async (run: Run): Promise<string[]> =>
  (await run.steps()).filter(({ status }) => status === "reused").map(({ path }) => path);

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
