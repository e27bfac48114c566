import { afterEach, describe, expect, test } from "@jest/globals";
import { admin, host, uniqueName, type Answer, type Page, type RunBody } from "./client.ts";

const onLinux = process.platform === "linux" ? describe : describe.skip;

interface ScheduleBody {
  id: string;
  workflow: string;
  version: string | null;
  paused: boolean;
  note: string | null;
  next: string[];
  recent: { at: string; runId: string }[];
  everyMs: number | null;
  cron: string | null;
  counts: { started: number; missed: number; skipped: number };
  isOfWorkflow: boolean;
}

const at = (id: string, verb = ""): string => `/api/v2/schedules/${id}${verb && `/${verb}`}`;
const see = async (id: string): Promise<Answer<ScheduleBody>> => admin.get<ScheduleBody>(at(id));

async function eventually<T>(read: () => Promise<T>, isThere: (value: T) => boolean): Promise<T> {
  const patience = Date.now() + 90_000;
  for (;;) {
    const value = await read();
    if (isThere(value)) return value;
    if (Date.now() > patience) throw new Error(`Not in time: ${JSON.stringify(value)}`);
    await new Promise((later) => setTimeout(later, 100));
  }
}

/** The runs of the last firings, once there are so many; a run is there a moment after its firing. */
async function started(id: string, count: number): Promise<string[]> {
  const fired = async (): Promise<string[]> => (await see(id)).body.recent.map(({ runId }) => runId);
  const runs = await eventually(fired, (all) => all.length >= count);
  for (const run of runs)
    await eventually(
      () => admin.get(`/api/v2/runs/${run}`),
      ({ status }) => status === 200,
    );
  return runs;
}

/** Publishing does not wait for a Temporal that is slow: it is told again. */
const untilSeen = (id: string, status = 200): Promise<Answer<ScheduleBody>> =>
  eventually(
    () => see(id),
    (answer) => answer.status === status,
  );

/** The first two pages of a list. */
async function pages(path: string): Promise<Page<ScheduleBody>[]> {
  const first = (await admin.get<Page<ScheduleBody>>(path)).body;
  if (first.page.next === null) return [first];
  const { status, body } = await admin.get<Page<ScheduleBody>>(`${path}&cursor=${first.page.next}`);
  expect(status).toBe(200);
  return [first, body];
}

const echo = { steps: [{ id: "a", type: "set", values: "${input}" }] };
const never = { cron: "0 0 1 1 *" };

async function made(fields: object, definition: { steps: object[] } = echo): Promise<{ id: string; workflow: string }> {
  const workflow = await admin.publish(definition);
  const { status, body } = await admin.post("/api/v2/schedules", { workflow, ...fields });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return { id: body["id"] as string, workflow };
}

const ids: string[] = [];
afterEach(async () => {
  await host.heal();
  for (const id of ids.splice(0)) await admin.request("DELETE", at(id));
});

describe("a schedule", () => {
  test("starts runs of its workflow, each a run as any other", async () => {
    const { id, workflow } = await made({ every: "1s", input: { n: 7 } });
    ids.push(id);
    const [runId] = await started(id, 2);
    const run = await admin.run(runId!).end();
    expect(run).toMatchObject({
      workflow,
      version: "1.0.0",
      status: "completed",
      output: { n: 7 },
      parentId: null,
      startedBy: `schedule:${id}`,
    });
    const list = await admin.get<Page<RunBody>>(`/api/v2/runs?workflow=${workflow}`);
    expect(list.body.data.map((row) => row.id)).toContain(runId);
  });

  test("runs what is published when it fires", async () => {
    const { id, workflow } = await made(never);
    ids.push(id);
    await admin.post("/api/v2/workflows", { name: workflow, version: "1.1.0", ...echo });
    await admin.post(at(id, "trigger"));
    const [runId] = await started(id, 1);
    expect(await admin.run(runId!).end()).toMatchObject({ version: "1.1.0" });
  });

  test("triggered and backfilled under one key starts once, also when the first answer was lost", async () => {
    const { id } = await made(never);
    ids.push(id);
    const key = uniqueName("key");
    const newYear = { start: "2025-12-31T23:00:00Z", end: "2026-01-01T01:00:00Z" };
    for (const _ of ["first", "again"]) {
      expect((await admin.post(at(id, "trigger"), {}, key)).status).toBe(200);
      expect((await admin.post(at(id, "backfill"), newYear, key)).status).toBe(200);
      await host.forgetAnswers(key);
    }
    // Taken in after them.
    await admin.post(at(id, "trigger"), {}, uniqueName("key"));
    await started(id, 3);
    expect((await see(id)).body.counts.started).toBe(3);
  });

  test("stays at the version it names", async () => {
    const { id, workflow } = await made({ ...never, version: "1.0.0" });
    ids.push(id);
    await admin.post("/api/v2/workflows", { name: workflow, version: "1.1.0", ...echo });
    await admin.post(at(id, "trigger"));
    expect(await admin.run((await started(id, 1))[0]!).end()).toMatchObject({ version: "1.0.0" });
  });

  test("is read back as it was made, with its next starts", async () => {
    const { id, workflow } = await made({
      cron: "30 9 * * mon",
      timezone: "Europe/Berlin",
      overlap: "bufferOne",
      catchUp: "5m",
      note: "weekly",
    });
    ids.push(id);
    const { body } = await see(id);
    const fields = { cron: "30 9 * * mon", everyMs: null, timezone: "Europe/Berlin", overlap: "bufferOne", catchUpMs: 300_000 };
    expect(body).toMatchObject({ id, workflow, version: null, input: {}, ...fields, paused: false, note: "weekly", recent: [] });
    const [next] = body.next.map((time) => new Date(time));
    expect([next!.getUTCDay(), next!.getUTCMinutes(), [7, 8].includes(next!.getUTCHours())]).toEqual([1, 30, true]);
  });

  test("is changed by PUT and keeps being paused", async () => {
    const { id, workflow } = await made({ ...never, paused: true });
    ids.push(id);
    const { status, body } = await admin.request<ScheduleBody>("PUT", at(id), { body: { workflow, every: "1h" } });
    expect([status, body]).toMatchObject([200, { cron: null, everyMs: 3_600_000, paused: true }]);
  });

  test("paused starts nothing; resumed it goes on", async () => {
    const { id } = await made({ every: "1s" });
    ids.push(id);
    await started(id, 1);
    expect((await admin.post<ScheduleBody>(at(id, "pause"), { note: "holidays" })).body).toMatchObject({ paused: true, note: "holidays" });
    const before = (await see(id)).body.counts.started;
    await new Promise((later) => setTimeout(later, 2_500));
    expect((await see(id)).body.counts.started - before).toBeLessThanOrEqual(1);
    expect((await admin.post<ScheduleBody>(at(id, "resume"))).body.paused).toBe(false);
    await eventually(
      () => see(id),
      ({ body }) => body.counts.started > before + 1,
    );
  });

  test("backfills what was due", async () => {
    const { id } = await made({ cron: "0 * 1-4 1 *" });
    ids.push(id);
    const answer = await admin.post(at(id, "backfill"), { start: "2026-01-01T00:30:00Z", end: "2026-01-01T03:30:00Z" });
    expect(answer.status).toBe(200);
    expect((await started(id, 3)).length).toBe(3);
    const mistyped = await admin.post(at(id, "backfill"), { start: "2006-01-01T00:30:00Z", end: "2026-01-01T03:30:00Z" });
    expect(mistyped).toMatchObject({ status: 422, body: { code: "limit", errors: [{ pointer: "/end" }] } });
    expect((await see(id)).body.counts.started).toBe(3);
  });

  test("skips a start while its run is under way, and says so", async () => {
    const { id } = await made({ every: "1s" }, { steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    ids.push(id);
    const { body } = await eventually(
      () => see(id),
      (answer) => answer.body.counts.skipped >= 2,
    );
    expect(body.counts.started).toBe(1);
    await admin.run(body.recent[0]!.runId).terminate();
  });

  test("with `cancelOther` the run before makes place", async () => {
    const { id } = await made({ ...never, overlap: "cancelOther" }, { steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    ids.push(id);
    await admin.post(at(id, "trigger"), { overlap: "cancelOther" });
    const [first] = await started(id, 1);
    await admin.run(first!).until("listen.started");
    await admin.post(at(id, "trigger"), { overlap: "cancelOther" });
    expect((await admin.run(first!).end()).status).toBe("canceled");
    const [, second] = await started(id, 2);
    await admin.run(second!).terminate();
  });

  test("deleted is gone", async () => {
    const { id } = await made(never);
    expect((await admin.request("DELETE", at(id))).status).toBe(204);
    const answers = [
      await see(id),
      await admin.request("DELETE", at(id)),
      await admin.post(at(id, "trigger")),
      await admin.post(at(id, "backfill"), { start: "2026-01-01T00:30:00Z", end: "2026-01-01T03:30:00Z" }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
  });

  test("is listed, and only to its tenant", async () => {
    const { id, workflow } = await made(never);
    ids.push(id);
    const other = await admin.withKey({ principal: "o", kind: "service", roles: ["admin"], tenant: "sched-other" });
    const list = (of = admin): Promise<Page<ScheduleBody>> =>
      of.get<Page<ScheduleBody>>("/api/v2/schedules?limit=200").then(({ body }) => body);
    const found = await eventually(list, ({ data }) => data.some((row) => row.id === id));
    expect(found.data.find((row) => row.id === id)).toMatchObject({ workflow, paused: false });
    ids.push((await made(never)).id);
    const [first] = await eventually(
      () => pages("/api/v2/schedules?limit=1"),
      (all) => all.length > 1,
    );
    expect(first!.data).toHaveLength(1);
    const foreign = Buffer.from(JSON.stringify([0, "bm90IG91cnM="])).toString("base64url");
    for (const cursor of ["x", foreign])
      expect(await admin.get(`/api/v2/schedules?cursor=${cursor}`)).toMatchObject({ status: 400, body: { code: "bad_request" } });
    expect((await list(other)).data).toEqual([]);
    expect((await other.get(at(id))).status).toBe(404);
  });

  test("made twice under one key is made once; under a taken id it is refused", async () => {
    const workflow = await admin.publish(echo);
    const key = uniqueName("key");
    const [a, b] = [
      await admin.post("/api/v2/schedules", { workflow, ...never }, key),
      await admin.post("/api/v2/schedules", { workflow, ...never }, key),
    ];
    expect([a.status, b.status, b.body["id"]]).toEqual([201, 201, a.body["id"]]);
    ids.push(a.body["id"] as string);
    expect(await admin.post("/api/v2/schedules", { workflow, ...never, id: a.body["id"] })).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
  });

  test.each([
    ["without a time", {}, "/cron"],
    ["with two times", { cron: "* * * * *", every: "1h" }, "/cron"],
    ["with a bad cron expression", { cron: "61 * * * *" }, "/cron"],
    ["with a bad timezone", { cron: "1 * * * *", timezone: "Mars/Olympus" }, "/timezone"],
    ["with a timezone in other letters", { cron: "1 * * * *", timezone: "europe/berlin" }, "/timezone"],
    ["that starts in a year that no store has", { every: "1h", startAt: "0000-01-01T00:00:00Z" }, "/startAt"],
    ["with a bad duration", { every: "soon" }, "/every"],
    ["that fires all the time", { every: "10ms" }, "/every"],
    ["that ends before it starts", { every: "1h", startAt: "2027-01-02T00:00:00Z", endAt: "2027-01-01T00:00:00Z" }, "/endAt"],
  ])("%s is refused", async (_, fields, pointer) => {
    const workflow = await admin.publish(echo);
    expect(await admin.post("/api/v2/schedules", { workflow, ...fields })).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  });

  test("that only Temporal can refuse is refused in its words", async () => {
    const workflow = await admin.publish(echo);
    const { status, body } = await admin.post("/api/v2/schedules", { workflow, ...never, timezone: "CUBA" });
    expect([status, body]).toMatchObject([422, { code: "schema", detail: "The schedule is refused: unknown time zone CUBA" }]);
  });

  test("of an unknown workflow is refused", async () => {
    expect((await admin.post("/api/v2/schedules", { workflow: "nothing-of-the-kind", ...never })).status).toBe(404);
  });
});

describe("triggers of type schedule", () => {
  const publish = (name: string, version: string, triggers: object[]): Promise<Answer> =>
    admin.post("/api/v2/workflows", { name, version, triggers, ...echo });

  test("become schedules, follow the newest version, and go with it", async () => {
    const name = uniqueName("clock");
    await publish(name, "1.0.0", [{ schedule: { cron: "0 1 * * *" } }, { schedule: { every: "2h", input: { n: 2 } } }]);
    const [first, second] = [`${name}.schedule0`, `${name}.schedule1`];
    expect((await untilSeen(second)).body).toMatchObject({ everyMs: 7_200_000, input: { n: 2 } });
    expect((await untilSeen(first)).body).toMatchObject({ workflow: name, cron: "0 1 * * *", isOfWorkflow: true });
    await admin.post(at(first, "pause"));
    await publish(name, "1.1.0", [{ schedule: { cron: "0 2 * * *" } }]);
    await untilSeen(second, 404);
    const { body } = await eventually(
      () => see(first),
      (answer) => answer.body.cron === "0 2 * * *",
    );
    expect(body.paused).toBe(true);
    // Not the newest: nothing changes.
    await publish(name, "1.0.1", [{ schedule: { cron: "0 3 * * *" } }]);
    expect((await see(first)).body).toMatchObject({ cron: "0 2 * * *" });
    await publish(name, "2.0.0", []);
    await untilSeen(first, 404);
  });

  test("that Temporal does not take keep none behind them waiting", async () => {
    const name = uniqueName("clock");
    await publish(name, "1.0.0", [{ schedule: { cron: "0 1 * * *", timezone: "CUBA" } }, { schedule: { cron: "0 2 * * *" } }]);
    expect((await untilSeen(`${name}.schedule1`)).body).toMatchObject({ cron: "0 2 * * *" });
    expect((await see(`${name}.schedule0`)).status).toBe(404);
    await publish(name, "2.0.0", []);
  });

  test("are not changed by hand", async () => {
    const name = uniqueName("clock");
    await publish(name, "1.0.0", [{ schedule: { cron: "0 1 * * *" } }]);
    const id = `${name}.schedule0`;
    await untilSeen(id);
    const put = await admin.request("PUT", at(id), { body: { workflow: name, every: "1h" } });
    expect([put.status, (await admin.request("DELETE", at(id))).status]).toEqual([409, 409]);
    await publish(name, "2.0.0", []);
  });
});

onLinux("servers killed by kill -9", () => {
  test("Temporal away while publishing: the schedule comes when it is back", async () => {
    const name = uniqueName("clock");
    await host.kill("temporal");
    const triggers = [{ schedule: { cron: "0 1 * * *" } }];
    expect((await admin.post("/api/v2/workflows", { name, version: "1.0.0", triggers, ...echo })).status).toBe(201);
    await host.start("temporal");
    await untilSeen(`${name}.schedule0`);
  });

  test("the worker away when it fires: the run comes when it is back", async () => {
    const { id } = await made(never);
    ids.push(id);
    await host.kill("worker");
    await admin.post(at(id, "trigger"));
    await eventually(
      () => see(id),
      ({ body }) => body.recent.length === 1,
    );
    await host.start("worker");
    const [runId] = await started(id, 1);
    expect((await admin.run(runId!).end()).status).toBe("completed");
  });
});
