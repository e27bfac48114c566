import { describe, expect, test } from "@jest/globals";
import { admin, insist, Place, type Run } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const data = "${steps.l.output.data}";

describe("wait", () => {
  test("a run goes on after its wait", async () => {
    const run = await admin.finish({ steps: [{ id: "w", type: "wait", duration: "50ms" }, set("a", "${steps.w.status}")] });
    expect(run.output).toBe("completed");
  });

  test("a moment in the past is no wait", async () => {
    const run = await admin.finish({ steps: [{ id: "w", type: "wait", until: "2020-01-01T00:00:00Z" }] });
    expect(run.status).toBe("completed");
  });

  test("a run that only waits shows as waiting, with what for", async () => {
    const run = await admin.begin({ steps: [{ id: "w", type: "wait", duration: "7d" }] });
    await run.until("run.waiting");
    expect(await run.read()).toMatchObject({ status: "waiting", waitingFor: [{ path: "w" }] });
  });

  test("a waiting run ends when it is cancelled", async () => {
    const run = await admin.begin({ steps: [{ id: "w", type: "wait", duration: "7d" }] });
    await run.until("wait.started");
    await run.cancel();
    expect(await run.end()).toMatchObject({ status: "canceled" });
  });
});

describe("listen", () => {
  const one = (more: object = {}, step: object = {}) => ({
    steps: [{ id: "l", type: "listen", one: { event: "go", ...more }, ...step }],
    output: data,
  });

  test("gives the event with its data and id", async () => {
    const run = await admin.begin({ steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    await run.signal("go", { n: 1 }, "first");
    expect((await run.end()).output).toMatchObject({ event: "go", data: { n: 1 }, id: "first" });
  });

  test("can be told as soon as it is started", async () => {
    const workflow = await admin.publish({ steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    const startAndTell = async () => {
      const run = await admin.start(workflow);
      return (await insist(() => admin.post(`${run.path}/signals`, { event: "go" }))).status;
    };
    expect(await Promise.all(Array.from({ length: 20 }, startAndTell))).toEqual(Array.from({ length: 20 }, () => 202));
  });

  test("takes only an event for which `when` is true", async () => {
    const run = await admin.begin(one({ when: "${event.data.n > 1}" }));
    await run.signal("go", { n: 1 });
    await run.signal("go", { n: 2 });
    expect((await run.end()).output).toEqual({ n: 2 });
  });

  test("takes only an event that fits its schema", async () => {
    const run = await admin.begin(one({ schema: { type: "object", required: ["n"] } }));
    await run.signal("go", "nothing");
    await run.signal("go", { n: 2 });
    expect((await run.end()).output).toEqual({ n: 2 });
  });

  test("other events stay in the mailbox", async () => {
    const steps = [
      { id: "l", type: "listen", one: { event: "second" } },
      { id: "m", type: "listen", one: { event: "first" } },
    ];
    const run = await admin.begin({ steps, output: ["${steps.l.output.data}", "${steps.m.output.data}"] });
    await run.signal("first", 1);
    await run.signal("second", 2);
    expect((await run.end()).output).toEqual([2, 1]);
  });

  test("any takes the first of several events", async () => {
    const run = await admin.begin({ steps: [{ id: "l", type: "listen", any: [{ event: "a" }, { event: "b" }] }] });
    await run.signal("b", 1);
    expect((await run.end()).output).toMatchObject({ event: "b", data: 1 });
  });

  test("all waits for every event and gives them by name", async () => {
    const steps = [{ id: "l", type: "listen", all: [{ event: "a" }, { event: "b", as: "second" }] }];
    const run = await admin.begin({ steps, output: { a: "${steps.l.output.a.data}", b: "${steps.l.output.second.data}" } });
    await run.signal("b", 2);
    await run.signal("a", 1);
    expect((await run.end()).output).toEqual({ a: 1, b: 2 });
  });

  test("the same id counts once", async () => {
    const steps = [
      { id: "l", type: "listen", one: { event: "go" } },
      { id: "m", type: "listen", one: { event: "go" } },
    ];
    const run = await admin.begin({ steps, output: ["${steps.l.output.data}", "${steps.m.output.data}"] });
    await run.signal("go", 1, "same");
    await run.signal("go", 2, "same");
    await run.signal("go", 3, "other");
    expect((await run.end()).output).toEqual([1, 3]);
  });

  const gate = { id: "gate", type: "listen", one: { event: "gate" } };

  test("an event that came early is taken", async () => {
    const run = await admin.begin({ steps: [gate, { id: "l", type: "listen", one: { event: "go" } }], output: data });
    await run.signal("go", "early");
    await run.signal("gate");
    expect((await run.end()).output).toBe("early");
  });

  test("with early ignore an event that came before is not taken", async () => {
    const run = await admin.begin({ steps: [gate, { id: "l", type: "listen", early: "ignore", one: { event: "go" } }], output: data });
    await run.signal("go", "early");
    await run.signal("gate");
    await run.until("listen.started", "l");
    await run.signal("go", "late");
    expect((await run.end()).output).toBe("late");
  });

  test("no event in time fails as timeout", async () => {
    const run = await admin.finish(one({}, { timeout: "50ms" }));
    expect(run.error).toMatchObject({ type: "timeout", instance: "l" });
  });

  test("onTimeout stands in for the event", async () => {
    const run = await admin.finish({
      steps: [{ id: "l", type: "listen", one: { event: "go" }, timeout: "50ms", onTimeout: [set("late", "too late")] }],
    });
    expect(run.output).toBe("too late");
  });

  test("an event ends the timeout", async () => {
    const run = await admin.begin(one({}, { timeout: "1h" }));
    await run.signal("go", 1);
    expect((await run.end()).output).toBe(1);
  });
});

describe("emit", () => {
  test("reaches another run", async () => {
    const listener = await admin.begin({ steps: [{ id: "l", type: "listen", one: { event: "hello" } }], output: data });
    await admin.finish({ steps: [{ id: "e", type: "emit", event: "hello", to: "${input}", data: { from: "${run.id}" } }] }, listener.id);
    expect((await listener.end()).output).toMatchObject({ from: expect.stringMatching(/^r_/) });
  });

  test("two runs talk to each other", async () => {
    const answerer = await admin.begin({
      steps: [
        { id: "ask", type: "listen", one: { event: "ask" } },
        { id: "say", type: "emit", event: "answer", to: "${steps.ask.output.data.from}", data: "${steps.ask.output.data.n * 2}" },
      ],
    });
    const asker = await admin.finish(
      {
        steps: [
          { id: "ask", type: "emit", event: "ask", to: "${input}", data: { from: "${run.id}", n: 21 } },
          { id: "l", type: "listen", one: { event: "answer" } },
        ],
        output: data,
      },
      answerer.id,
    );
    expect(asker.output).toBe(42);
  });

  test("to a run that is not there fails as not_found", async () => {
    const run = await admin.finish({ steps: [{ id: "e", type: "emit", event: "hello", to: "r_00000000000000000000000000" }] });
    expect(run.error).toMatchObject({ type: "not_found" });
  });
});

describe("workflow", () => {
  test("a child's output is the step's", async () => {
    const child = await admin.publish({ steps: [set("a", "${input.n + 1}")] });
    const run = await admin.finish({ steps: [{ id: "c", type: "workflow", workflow: child, input: { n: 1 } }] });
    expect(run.output).toBe(2);
  });

  test("a child is a run of its own, linked to its parent", async () => {
    const child = await admin.publish({ steps: [set("a", 1)] });
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: child }] });
    await run.end();
    // It tells its parent before it ends, and its end may be recorded after the parent's.
    expect(await childOf(run, "c").end()).toMatchObject({ parentId: run.id, workflow: child, status: "completed" });
  });

  test("without a version the highest is taken, with one that one", async () => {
    const child = await admin.publish({ steps: [set("a", "old")] });
    await admin.post("/api/v2/workflows", { name: child, version: "1.10.0", steps: [set("a", "new")] });
    await admin.post("/api/v2/workflows", { name: child, version: "1.9.0", steps: [set("a", "older")] });
    const call = { type: "workflow", workflow: child };
    const run = await admin.finish({
      steps: [
        { id: "a", ...call },
        { id: "b", ...call, version: "1.0.0" },
      ],
      output: ["${steps.a.output}", "${steps.b.output}"],
    });
    expect(run.output).toEqual(["new", "old"]);
  });

  test("a child's error is the step's, with the child's name", async () => {
    const child = await admin.publish({ steps: [{ id: "r", type: "raise", error: { type: "odd", detail: "no" } }] });
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: child }] });
    expect((await run.end()).error).toMatchObject({
      type: "odd",
      code: "child",
      instance: "c",
      childId: childOf(run, "c").id,
      childStep: "r",
    });
  });

  test("a child's error can be caught by its type", async () => {
    const child = await admin.publish({ steps: [{ id: "r", type: "raise", error: { type: "odd", detail: "no" } }] });
    const run = await admin.finish({
      steps: [{ id: "c", type: "workflow", workflow: child, catch: [{ errors: ["odd"], steps: [set("a", 1)] }] }],
    });
    expect(run.output).toBe(1);
  });

  test("an unknown workflow fails the step as not_found", async () => {
    const run = await admin.finish({ steps: [{ id: "c", type: "workflow", workflow: "there-is-none" }] });
    expect(run.error).toMatchObject({ type: "not_found" });
  });

  test("an input that does not fit the child's schema fails the step", async () => {
    const child = await admin.publish({ input: { type: "object", required: ["n"] }, steps: [set("a", 1)] });
    const run = await admin.finish({ steps: [{ id: "c", type: "workflow", workflow: child, input: {} }] });
    expect(run.error).toMatchObject({ type: "input_invalid" });
  });

  const patient = () => admin.publish({ steps: [{ id: "l", type: "listen", one: { event: "go" } }], output: data });

  test("a child is cancelled with its parent", async () => {
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: await patient() }] });
    await run.until("child.started");
    await childOf(run, "c").until("listen.started");
    await run.cancel();
    expect([(await run.end()).status, (await childOf(run, "c").end()).status]).toEqual(["canceled", "canceled"]);
  });

  test("an abandoned child goes on when its parent is cancelled", async () => {
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: await patient(), parentClosePolicy: "abandon" }] });
    await run.until("child.started");
    const child = childOf(run, "c");
    await child.until("listen.started");
    await run.cancel();
    await run.end();
    await child.signal("go", 1);
    expect(await child.end()).toMatchObject({ status: "completed", output: 1 });
  });

  test("a child that is not awaited gives its run id", async () => {
    const child = await admin.publish({ steps: [set("a", 1)] });
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: child, await: false, parentClosePolicy: "abandon" }] });
    expect((await run.end()).output).toEqual({ runId: childOf(run, "c").id });
  });

  test("a child that is not awaited is cancelled when its parent ends", async () => {
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: await patient(), await: false }] });
    await run.end();
    const child = childOf(run, "c");
    await child.until("run.canceled");
    expect(await child.read()).toMatchObject({ status: "canceled" });
  });

  test("a child inside foreach is named by its item", async () => {
    const child = await admin.publish({ steps: [set("a", "${input}")] });
    const run = await admin.begin({
      steps: [{ id: "f", type: "foreach", items: [1, 2], steps: [{ id: "c", type: "workflow", workflow: child, input: "${item}" }] }],
    });
    await run.end();
    expect(await admin.run(`${run.id}.f-1.c`).end()).toMatchObject({ output: 2 });
  });

  test("a child's calls carry the child's own keys", async () => {
    const place = new Place();
    const child = await admin.publish({ steps: [{ id: "call", type: "http", url: place.url }] });
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: child }] });
    const [call] = await place.calls(1);
    expect(call!.headers["idempotency-key"]).toBe(`${run.id}.c:call`);
  });
});

const childOf = (run: Run, step: string): Run => admin.run(`${run.id}.${step}`);
