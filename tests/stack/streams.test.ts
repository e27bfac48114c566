import { describe, expect, test } from "@jest/globals";
import { openDatabase } from "../../prisma/client.ts";
import { deliverTo, type Progress } from "../../prisma/listens.ts";
import { admin, facts, host, Place, uniqueName } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const data = "${steps.l.output.data}";

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

  test("reaches those behind one that cannot be told, and goes on with that one alone", async () => {
    const waiting = { tenant: "default", event: uniqueName("news") };
    const workflow = await admin.publish(listener(waiting.event));
    const runs = await Promise.all(Array.from({ length: 3 }, () => admin.start(workflow)));
    await Promise.all(runs.map((run) => run.until("listen.started")));
    const database = openDatabase(facts.databaseUrl, 1);
    const [deaf, ...others] = runs.map(({ id }) => id).toSorted();
    const heard: string[] = [];
    let last: Progress | undefined;
    const hear = async (run: string): Promise<boolean> => {
      if (run === deaf && !last) throw new Error("away");
      return heard.push(run) > 0;
    };
    const first = deliverTo(database, waiting, { send: hear, onProgress: (progress) => (last = progress) });
    await expect(first).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining(deaf!) });
    expect(heard.toSorted()).toEqual(others);
    expect(await deliverTo(database, waiting, { send: hear, from: last! })).toBe(3);
    expect(heard.toSorted()).toEqual([deaf, ...others]);
    await Promise.all([database.$disconnect(), ...runs.map((run) => run.cancel())]);
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
    await place.script({ delayMs: 120_000 });
    const event = uniqueName("news");
    const branches = {
      call: [{ id: "slow", type: "http", url: place.url, timeout: "5m" }],
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

describe("an event over HTTP", () => {
  test("reaches all runs that wait for it, each once however often it is sent", async () => {
    const event = uniqueName("news");
    const workflow = await admin.publish({
      steps: [
        { id: "l", type: "listen", one: { event } },
        { id: "m", type: "listen", one: { event } },
      ],
      output: ["${steps.l.output.data}", "${steps.m.output.data}"],
    });
    const runs = await Promise.all([admin.start(workflow), admin.start(workflow)]);
    await Promise.all(runs.map((run) => run.until("listen.started", "l")));
    const post = (id: string, n: number) => admin.post("/api/v2/events", { event, id, data: n });
    expect(await post("one", 1)).toMatchObject({ status: 202, body: { delivered: 2 } });
    await Promise.all(runs.map((run) => run.until("listen.started", "m")));
    await post("one", 1);
    await post("two", 2);
    expect(await Promise.all(runs.map(async (run) => (await run.end()).output))).toEqual([
      [1, 2],
      [1, 2],
    ]);
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
    await expect(run.signal("x")).rejects.toThrow('"code":"mailbox_full","status":429');
    await run.cancel();
  });

  test("by a mailbox with too many bytes unread", async () => {
    const run = await admin.begin({ steps: [{ id: "w", type: "wait", duration: "7d" }] });
    let sent = 0;
    const fill = async (): Promise<void> => {
      for (; sent < 100; sent++) await run.signal("x", "x".repeat(15_000));
    };
    await expect(fill()).rejects.toThrow('"code":"mailbox_full","status":429');
    expect(sent).toBe(Math.ceil((512 * 1_024) / 15_002));
    await run.cancel();
  });
});
