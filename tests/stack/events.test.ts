import { describe, expect, test } from "@jest/globals";
import { admin, host, Place, uniqueName, type Run } from "./client.ts";

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
      return (await admin.post(`${run.path}/signals`, { event: "go" })).status;
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

describe("emit without a receiver", () => {
  const listener = (event: string, more: object = {}) => ({ steps: [{ id: "l", type: "listen", one: { event }, ...more }], output: data });
  const emit = (event: string, value: unknown = 1) => ({ steps: [{ id: "e", type: "emit", event, data: value }] });
  const tellAll = async (event: string, value?: unknown) => (await admin.finish(emit(event, value))).output;

  test("reaches all runs that wait for the event, and says how many", async () => {
    const event = uniqueName("news");
    const workflow = await admin.publish(listener(event));
    const runs = await Promise.all(Array.from({ length: 5 }, () => admin.start(workflow)));
    const other = await admin.begin(listener(uniqueName("other")));
    await Promise.all(runs.map((run) => run.until("listen.started")));
    expect(await tellAll(event, { n: 7 })).toMatchObject({ event, to: null, runs: 5 });
    expect(await Promise.all(runs.map(async (run) => (await run.end()).output))).toEqual(Array.from({ length: 5 }, () => ({ n: 7 })));
    await other.cancel();
  });

  test("reaches nobody who waits no more", async () => {
    const event = uniqueName("news");
    const timed = await admin.begin(listener(event, { timeout: "50ms", onTimeout: [{ id: "w", type: "wait", duration: "7d" }] }));
    const ended = await admin.begin(listener(event));
    await timed.until("wait.started");
    await ended.until("listen.started");
    await ended.cancel();
    await ended.end();
    expect(await tellAll(event)).toMatchObject({ runs: 0 });
    await timed.cancel();
  });

  test("reaches a run that waits for all of several only while that one is missing", async () => {
    const [a, b] = [uniqueName("a"), uniqueName("b")];
    const run = await admin.begin({
      steps: [
        {
          id: "l",
          type: "listen",
          all: [
            { event: a, as: "a" },
            { event: b, as: "b" },
          ],
        },
      ],
    });
    await run.until("listen.started");
    expect(await tellAll(a)).toMatchObject({ runs: 1 });
    await run.until("event.received");
    expect(await tellAll(a)).toMatchObject({ runs: 0 });
    expect(await tellAll(b)).toMatchObject({ runs: 1 });
    expect((await run.end()).status).toBe("completed");
  });

  test("finds a run that has only just begun to wait, while a call is under way in it", async () => {
    const place = new Place();
    await place.script({ delayMs: 20_000 });
    const event = uniqueName("news");
    const branches = {
      call: [{ id: "slow", type: "http", url: place.url }],
      hear: [{ id: "l", type: "listen", one: { event } }],
    };
    const run = await admin.begin({ steps: [{ id: "p", type: "parallel", join: "any", branches }] });
    await run.until("listen.started");
    expect(await tellAll(event)).toMatchObject({ runs: 1 });
    expect((await run.end()).status).toBe("completed");
  });

  test("reaches a child, and no run of another tenant", async () => {
    const event = uniqueName("news");
    const child = await admin.publish(listener(event));
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: child }] });
    const foreigner = await admin.withKey({ principal: "far", kind: "person", roles: ["admin"], tenant: uniqueName("far") });
    const far = await foreigner.begin(listener(event));
    const { data: started } = await run.until("child.started");
    await Promise.all([admin.run(started["runId"] as string), far].map((each) => each.until("listen.started")));
    expect(await tellAll(event, 8)).toMatchObject({ runs: 1 });
    expect((await run.end()).output).toBe(8);
    expect(await far.read()).toMatchObject({ status: "waiting" });
    await far.cancel();
  });
});

describe("a stream of events", () => {
  const handle = (steps: object[], more: object = {}, foreach: object = {}) => ({
    steps: [{ id: "l", type: "listen", one: { event: "n" }, foreach: { steps, ...foreach }, ...more }],
  });

  test("is handled one by one until `until` is true", async () => {
    const run = await admin.begin(handle([set("double", "${event.data * 2}")], { until: "${last == 6}" }));
    for (const n of [1, 2, 3]) await run.signal("n", n, `id-${n}`);
    await run.signal("n", 3, "id-3").catch(() => undefined);
    expect((await run.end()).output).toBe(6);
    expect((await run.steps()).map(({ path }) => path)).toEqual(["l", "l[0].double", "l[1].double", "l[2].double"]);
  });

  test("goes on in new executions, each event once and in order", async () => {
    const count = 30;
    const number = { id: "number", type: "tool", tool: "test.number", arguments: { n: "${event.data}" } };
    const definition = handle([number, { ...set("seen", "${vars.seen + [event.data]}"), export: { seen: "${output}" } }], {
      until: `\${event.data == ${count - 1}}`,
    });
    const name = await admin.publish({ vars: { seen: [] }, ...definition, output: "${vars.seen}" });
    const run = admin.run(await host.startContinuing(name, {}, 40));
    for (let n = 0; n < count; n++) await run.signal("n", n, `id-${n}`);
    expect((await run.end()).output).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(await host.executions("default", run.id)).toBeGreaterThan(2);
    expect((await run.events()).filter(({ type }) => type === "event.received")).toHaveLength(count);
  });

  test("is reached by events for all that wait, again and again", async () => {
    const event = uniqueName("tick");
    const run = await admin.begin({
      steps: [{ id: "l", type: "listen", one: { event }, foreach: { steps: [set("n", "${event.data}")] }, until: "${last == 2}" }],
    });
    await run.until("listen.started");
    for (const n of [1, 2])
      expect((await admin.finish({ steps: [{ id: "e", type: "emit", event, data: n }] })).output).toMatchObject({ runs: 1 });
    expect((await run.end()).output).toBe(2);
  });
});

describe("an event is refused", () => {
  const signal = (run: string, body: object = { event: "x" }) => admin.post(`/api/v2/runs/${run}/signals`, body);

  test("by a run that nobody knows", async () => {
    expect(await signal("r_00000000000000000000000000")).toMatchObject({ status: 404, body: { code: "not_found" } });
  });

  test("by a run that has ended", async () => {
    const run = await admin.begin({ steps: [set("a", 1)] });
    await run.end();
    expect(await signal(run.id)).toMatchObject({ status: 409, body: { code: "run_ended" } });
  });

  test("by a mailbox with too many unread, until some are read", async () => {
    const run = await admin.begin({
      steps: [
        { id: "go", type: "listen", one: { event: "go" } },
        { id: "l", type: "listen", one: { event: "filler" } },
        { id: "w", type: "wait", duration: "7d" },
      ],
    });
    await run.signal("go-not");
    await host.fillMailbox("default", run.id, 1_999);
    expect(await signal(run.id)).toMatchObject({ status: 429, body: { code: "mailbox_full" } });
    await run.cancel();
  });

  test("by a mailbox with too many bytes unread", async () => {
    const run = await admin.begin({ steps: [{ id: "w", type: "wait", duration: "7d" }] });
    let status = 202;
    let sent = 0;
    for (; status === 202 && sent < 100; sent++) ({ status } = await signal(run.id, { event: "x", data: "x".repeat(15_000) }));
    expect(status).toBe(429);
    expect(sent).toBe(Math.ceil((512 * 1_024) / 15_002) + 1);
    await run.cancel();
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
    expect(await childOf(run, "c").read()).toMatchObject({ parentId: run.id, workflow: child, status: "completed" });
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
    expect(await admin.run(`${run.id}.f-1.c`).read()).toMatchObject({ output: 2 });
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
