import { afterEach, describe, expect, test } from "@jest/globals";
import { NOTICES } from "./protocol.ts";
import { admin, host, Place, uniqueName, type Answer, type Client, type Page, type Run, type RunBody } from "./client.ts";

const listen = (id: string, more: object = {}) => ({ id, type: "listen", one: { event: id }, ...more });
const call = (id: string, place: Place) => ({ id, type: "http", url: place.url });
const later = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

interface AuditRow {
  actor: string;
  action: string;
  object: string;
  data: object;
}

const audited = async (object: string, by: Client = admin): Promise<string[]> =>
  (await by.get<Page<AuditRow>>(`/api/v2/audit?object=${object}`)).body.data.map(({ actor, action }) => `${actor} ${action}`).toReversed();

const post = (run: Run, verb: string, body: object, by: Client = admin): Promise<Answer> => by.post(`${run.path}/${verb}`, body);
const reasons = async (run: Run): Promise<string[]> => (await run.read()).holds.map(({ reason }) => reason).toSorted();

/** As soon as it holds; what the caller then finds, or fails on, is what there is after all patience. */
async function until<T>(read: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const end = Date.now() + 90_000;
  for (;;) {
    const value = await read();
    if (holds(value) || Date.now() > end) return value;
    await later(50);
  }
}

const statusOf = (run: Run, status: string): Promise<RunBody> =>
  until(
    () => run.read(),
    (body) => body.status === status,
  );
const timesOf = async (run: Run, types: string[]): Promise<number[]> => {
  const events = await run.events();
  return types.map((wanted) => Date.parse(events.find(({ type }) => type === wanted)!.time));
};

/** A run whose deadline stands still. Where the machine was too slow to pause it before it passed, one with more time. */
async function frozenInTime(): Promise<{ run: Run; deadlineMs: number }> {
  for (let deadlineMs = 3_000; ; deadlineMs *= 4) {
    const late = { timeout: `${deadlineMs}ms`, onTimeout: [{ id: "late", type: "set", values: "late" }] };
    const run = await admin.begin({ steps: [listen("l", late)] });
    await run.until("listen.started");
    const { status } = await post(run, "pause", { timers: "freeze", why: "an incident" });
    if (status !== 202) continue;
    const [began, paused] = await timesOf(run, ["listen.started", "run.paused"]);
    if (paused! - began! < deadlineMs) return { run, deadlineMs };
  }
}

const countOf = async (workflow: string, status: string, by: Client = admin): Promise<number> =>
  (await by.get<Page<RunBody>>(`/api/v2/runs?workflow=${workflow}&status=${status}&limit=200`)).body.data.length;

/** Nobody else's runs live there. */
const tenantOfItsOwn = (): Promise<Client> =>
  admin.withKey({ principal: "ada", kind: "person", roles: ["admin"], tenant: uniqueName("t") });

afterEach(async () => host.heal());

describe("a run", () => {
  test("with frozen timers keeps what is left of a deadline, and goes on with it", async () => {
    const { run, deadlineMs } = await frozenInTime();
    await later(deadlineMs + 1_000);
    expect(await run.read()).toMatchObject({
      status: "paused",
      holds: [{ reason: "run", by: "admin", timers: "freeze", why: "an incident" }],
    });
    await post(run, "resume", {});
    expect(await run.end()).toMatchObject({ status: "completed", output: "late", holds: [] });
    const [began, paused, resumed, ended] = await timesOf(run, ["listen.started", "run.paused", "run.resumed", "run.completed"]);
    expect(paused! - began! + (ended! - resumed!)).toBeGreaterThanOrEqual(deadlineMs - 10);
  });

  test("with frozen timers moves the expiry of what people are asked", async () => {
    const run = await admin.begin({ steps: [{ id: "ask", type: "approval", title: "?", expiresAfter: "1h" }] });
    const path = `/api/v2/approvals/${await run.approval("ask")}`;
    const before = (await admin.get<{ expiresAt: string }>(path)).body.expiresAt;
    await post(run, "pause", { timers: "freeze" });
    await later(1_500);
    await post(run, "resume", {});
    const after = (await admin.get<{ expiresAt: string }>(path)).body.expiresAt;
    expect(Date.parse(after) - Date.parse(before)).toBeGreaterThanOrEqual(1_500);
    expect((await admin.decide(`${run.id}~ask`, { decision: "approve" })).status).toBe(200);
    expect((await run.end()).status).toBe("completed");
  });

  test("that is paused and resumed leaves both in the audit", async () => {
    const run = await admin.begin({ steps: [listen("l")] });
    await run.until("listen.started");
    await post(run, "pause", {});
    await post(run, "resume", {});
    expect(await audited(run.id)).toEqual(["admin run.paused", "admin run.resumed"]);
  });
});

describe("a tree", () => {
  test("is held down to a grandchild that only waits", async () => {
    const inner = await admin.publish({ steps: [listen("go"), { id: "after", type: "set", values: 1 }] });
    const outer = await admin.publish({ steps: [{ id: "inner", type: "workflow", workflow: inner }] });
    const run = await admin.begin({ steps: [{ id: "outer", type: "workflow", workflow: outer }] });
    const grandchild = admin.run(`${run.id}.outer.inner`);
    await grandchild.until("listen.started");
    await post(run, "pause", { scope: "tree" });
    expect(await statusOf(grandchild, "paused")).toMatchObject({ holds: [{ reason: `tree:${run.id}`, source: "parent" }] });
    await grandchild.signal("go");
    await post(run, "resume", { scope: "tree" });
    expect((await run.end()).status).toBe("completed");
  });

  test("of 20 children and a grandchild starts no activity once it is paused, answers, and goes on", async () => {
    const place = new Place();
    await place.script(...Array.from({ length: 2_000 }, () => ({ delayMs: 1_000 })));
    const ticking = {
      id: "tick",
      type: "loop",
      maxIterations: 10_000,
      until: "${steps.c.output.status == 999}",
      steps: [call("c", place)],
    };
    const inner = await admin.publish({ steps: [ticking] });
    const outer = await admin.publish({ steps: [{ id: "inner", type: "workflow", workflow: inner }] });
    const many = {
      id: "f",
      type: "foreach",
      items: "${range(20)}",
      concurrency: 20,
      steps: [{ id: "w", type: "workflow", workflow: inner }],
    };
    const branches = {
      many: [many],
      deep: [{ id: "d", type: "workflow", workflow: outer }],
      ask: [listen("go"), call("after", place)],
    };
    const run = await admin.begin({ steps: [{ id: "p", type: "parallel", branches }] });
    const grandchild = admin.run(`${run.id}.p.deep.d.inner`);
    await place.calls(60);
    await statusOf(grandchild, "running");
    expect((await post(run, "pause", { scope: "tree" })).status).toBe(202);
    // All have heard it, and what was under way has ended.
    const paused = () => admin.get<Page<RunBody>>(`/api/v2/runs?parentId=${run.id}&status=paused`);
    const { body: children } = await until(paused, ({ body }) => body.data.length === 21);
    await statusOf(grandchild, "paused");
    const allRest = async (): Promise<void> => {
      for (const { id } of [run, ...children.data, grandchild]) await host.settle("default", id);
    };
    await allRest();
    const before = (await place.calls()).length;
    expect((await run.signal("go")).status).toBe(202);
    await allRest();
    expect((await place.calls()).length).toBe(before);
    expect(await reasons(grandchild)).toEqual([`tree:${run.id}`]);
    await post(run, "resume", { scope: "tree" });
    await place.calls(before + 40);
    await statusOf(grandchild, "running");
    await run.cancel();
    expect((await run.end()).status).toBe("canceled");
  });
});

describe("a workflow", () => {
  test("that is paused holds its open runs and those that are started, children too, until it is resumed", async () => {
    const workflow = await admin.publish({ steps: [listen("go"), { id: "after", type: "set", values: 1 }] });
    const parent = await admin.publish({ steps: [{ id: "child", type: "workflow", workflow }] });
    const open = await admin.start(workflow);
    await open.until("listen.started");
    expect(await admin.post(`/api/v2/workflows/${workflow}/pause`, { why: "broken" })).toMatchObject({
      status: 202,
      body: { workflow, paused: true, why: "broken", by: "admin" },
    });
    const started = await admin.post<RunBody>("/api/v2/runs", { workflow });
    expect(started.body.status).toBe("paused");
    const [fresh, child] = [admin.run(started.body.id), admin.run(`${(await admin.start(parent)).id}.child`)];
    await child.until("run.paused");
    for (const run of [open, fresh, child]) {
      expect(await statusOf(run, "paused")).toMatchObject({
        holds: [{ reason: `definition:${workflow}`, why: "broken", source: "platform" }],
      });
      expect((await run.signal("go")).status).toBe(202);
    }
    await open.until("step.completed", "go");
    for (const run of [open, fresh, child]) expect(await run.read()).toMatchObject({ status: "paused" });
    await admin.post(`/api/v2/workflows/${workflow}/resume`);
    for (const run of [open, fresh, child]) expect((await run.end()).status).toBe("completed");
    expect(await audited(workflow)).toEqual(["admin definition.paused", "admin definition.resumed"]);
  });

  test("that is not published cannot be paused", async () => {
    expect((await admin.post("/api/v2/workflows/there-is-none/pause")).status).toBe(404);
  });

  test("all runs of it are told although the worker is killed in the middle", async () => {
    const workflow = await admin.publish({ steps: [listen("go")] });
    const runs = await Promise.all(Array.from({ length: 120 }, () => admin.start(workflow)));
    const all = (status: string): Promise<number> =>
      until(
        () => countOf(workflow, status),
        (count) => count === 120,
      );
    expect(await all("waiting")).toBe(120);
    // Where they were told faster than anybody could look, once more.
    let reached = 120;
    for (let tries = 0; reached === 120 && tries < 5; tries += 1) {
      await admin.post(`/api/v2/workflows/${workflow}/pause`);
      await until(
        () => countOf(workflow, "paused"),
        (count) => count > 0,
      );
      await host.kill("worker");
      reached = await countOf(workflow, "paused");
      await host.start("worker");
      expect(await all("paused")).toBe(120);
      await admin.post(`/api/v2/workflows/${workflow}/resume`);
      expect(await all("waiting")).toBe(120);
    }
    expect(reached).toBeLessThan(120);
    await Promise.all(runs.map((run) => run.terminate()));
  }, 300_000);

  test("of whose runs 95 in 100 fail pauses itself, says so, and is resumed by a person", async () => {
    const by = await tenantOfItsOwn();
    const workflow = await by.publish({ steps: [{ id: "a", type: "set", values: "${1 / input.n}" }] });
    const rule = { failureRate: 0.5, window: "1h", minimumRuns: 20 };
    expect((await by.request("PUT", `/api/v2/workflows/${workflow}/auto-pause`, { body: rule })).status).toBe(200);
    const runs = await Promise.all(Array.from({ length: 20 }, (_, n) => by.start(workflow, { n: n === 0 ? 1 : 0 })));
    await Promise.all(runs.map((run) => run.end()));
    // A run that is terminated has the next round of reconcile begin at once.
    await (await by.begin({ steps: [listen("l")] })).terminate();
    const pauses = () => by.get<Page<{ workflow: string; by: string; why: string }>>("/api/v2/pauses");
    const { body } = await until(pauses, ({ body: { data } }) => data.length > 0);
    expect(body.data).toMatchObject([{ workflow, by: "auto-pause", why: expect.stringMatching(/^19 of the last 20 runs failed/) }]);
    expect(await audited(workflow, by)).toEqual(["ada autoPause.set", "auto-pause definition.paused"]);
    const told = async () => (await host.ledgerCalls(NOTICES, 0)).filter(({ body: text }) => text.includes(`"workflow":"${workflow}"`));
    const [notice] = await until(told, ({ length }) => length > 0);
    expect(JSON.parse(notice!.body)).toMatchObject({ type: "workflow.paused", data: { workflow, why: body.data[0]!.why } });
    const held = await by.start(workflow, { n: 1 });
    expect(await held.read()).toMatchObject({ status: "paused" });
    await by.post(`/api/v2/workflows/${workflow}/resume`);
    expect((await held.end()).status).toBe("completed");
    expect((await pauses()).body.data).toEqual([]);
  });

  test("pauses itself by its runs, whatever their windows came to", async () => {
    const by = await tenantOfItsOwn();
    const each = { id: "each", type: "foreach", items: "${range(510)}", steps: [{ id: "n", type: "set", values: "${item}" }] };
    const workflow = await by.publish({ steps: [each, { id: "bad", type: "raise", error: { type: "odd" } }] });
    const rule = { failureRate: 1, window: "1h", minimumRuns: 1 };
    await by.request("PUT", `/api/v2/workflows/${workflow}/auto-pause`, { body: rule });
    expect(await (await by.start(workflow)).end()).toMatchObject({ status: "failed" });
    await (await by.begin({ steps: [listen("l")] })).terminate();
    const pauses = () => by.get<Page<{ why: string }>>("/api/v2/pauses");
    const { body } = await until(pauses, ({ body: { data } }) => data.length > 0);
    expect(body.data).toMatchObject([{ why: expect.stringMatching(/^1 of the last 1 runs failed/) }]);
  });
});

describe("a tenant", () => {
  test("that is paused goes on when it and everything else that holds a run is resumed", async () => {
    const by = await tenantOfItsOwn();
    const workflow = await by.publish({ steps: [listen("go"), { id: "after", type: "set", values: 1 }] });
    const run = await by.start(workflow);
    await run.until("listen.started");
    await by.post("/api/v2/pause", { timers: "freeze", why: "maintenance" });
    await by.post(`/api/v2/workflows/${workflow}/pause`);
    await post(run, "pause", {}, by);
    const all = [`definition:${workflow}`, "run", "tenant"];
    expect(
      await until(
        () => reasons(run),
        (found) => found.length === 3,
      ),
    ).toEqual(all);
    await run.signal("go");
    await by.post("/api/v2/resume");
    await post(run, "resume", {}, by);
    expect(
      await until(
        () => reasons(run),
        (found) => found.length === 1,
      ),
    ).toEqual([`definition:${workflow}`]);
    await by.post(`/api/v2/workflows/${workflow}/resume`);
    expect((await run.end()).status).toBe("completed");
  });

  test("is paused by its admins only, and the audit is theirs", async () => {
    const operator = await admin.withKey({ principal: "oli", kind: "person", roles: ["operator"], tenant: uniqueName("t") });
    expect((await operator.post("/api/v2/pause")).status).toBe(403);
    expect((await operator.get("/api/v2/audit")).status).toBe(403);
  });
});
