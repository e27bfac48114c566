import { describe, expect, test } from "@jest/globals";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { openDatabase } from "../../prisma/client.ts";
import { admin, facts, host, Place, uniqueName, type Run } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const listen = (id: string) => ({ id, type: "listen", one: { event: id } });
const patch = (run: Run, body: object) => admin.request<JsonObject>("PATCH", `${run.path}/plan`, { body });

async function waiting(steps: object[] = [listen("go"), set("last", "old")]): Promise<{ run: Run; workflow: string }> {
  const workflow = await admin.publish({ steps });
  const run = await admin.start(workflow);
  await run.until("listen.started");
  return { run, workflow };
}

test("a waiting run takes added and replaced steps, and its plan can be read", async () => {
  const { run } = await waiting();
  const { body: plan } = await admin.get<JsonObject>(`${run.path}/plan`);
  const answer = await patch(run, {
    planHash: plan["planHash"],
    operations: [
      { op: "add", after: "go", step: set("extra", 1) },
      { op: "replace", path: "last", step: set("last", "${steps.extra.output + 1}") },
    ],
  });
  expect(answer).toMatchObject({ status: 200, body: { accepted: true, refusals: [] } });
  await run.until("plan.changed");
  expect((await admin.get<JsonObject>(`${run.path}/plan`)).body).toMatchObject({ planHash: answer.body["planHash"], version: "1.0.0" });
  await run.signal("go");
  expect(await run.end()).toMatchObject({ status: "completed", output: 2 });
});

test("changes of started steps, of unknown paths, of an old plan and of ended runs are refused, each with its reason", async () => {
  const { run } = await waiting([set("first", 1), listen("go")]);
  expect(await patch(run, { operations: [{ op: "replace", path: "first", step: set("first", 2) }] })).toMatchObject({
    status: 409,
    body: { code: "plan_refused", refusals: [{ path: "first" }] },
  });
  expect(await patch(run, { operations: [{ op: "remove", path: "frist" }] })).toMatchObject({
    status: 404,
    body: { detail: expect.stringContaining("first") },
  });
  expect(await patch(run, { operations: [{ op: "add", after: "go", step: { id: "x", type: "nonsense" } }] })).toMatchObject({
    status: 422,
    body: { code: "definition_invalid" },
  });
  expect(await patch(run, { planHash: "0", operations: [{ op: "remove", path: "go" }] })).toMatchObject({
    status: 409,
    body: { code: "conflict" },
  });
  await run.signal("go");
  await run.end();
  expect(await patch(run, { operations: [{ op: "remove", path: "go" }] })).toMatchObject({ status: 409, body: { code: "run_ended" } });
});

test("a lock that is held is neither removed nor changed: the answer names it", async () => {
  const key = uniqueName("key");
  const held = (more: object) => ({ id: "held", type: "sequence", steps: [listen("go")], ...more });
  const { run } = await waiting([held({ lock: { key } }), set("last", 1)]);
  const changes = [
    { op: "remove", path: "held" },
    { op: "replace", path: "held", step: held({}) },
    { op: "replace", path: "held", step: held({ lock: { key: "other" } }) },
  ];
  for (const change of changes)
    expect(await patch(run, { operations: [change] })).toMatchObject({
      status: 409,
      body: { code: "plan_refused", detail: expect.stringMatching(`^held: The step holds lock ${key}, .* wait until the step has ended`) },
    });
  await run.signal("go");
  expect(await run.end()).toMatchObject({ status: "completed", output: 1 });
});

describe("while a call is in flight", () => {
  const adding = (after: string, id: string) => ({ operations: [{ op: "add", after, step: set(id, id) }] });

  async function calling(): Promise<{ run: Run; place: Place }> {
    const place = new Place();
    await place.hold();
    const call = { id: "call", type: "http", url: "${input.url}", timeout: "5m" };
    const run = await admin.begin({ steps: [call, set("last", "${steps.call.output.status}")] }, { url: place.url });
    await run.until("step.started", "call");
    return { run, place };
  }

  const changes = async (run: Run) => (await run.events()).filter(({ type }) => type === "plan.changed").map(({ data }) => data);

  test("a second change is made of the first, both take effect, and each is a row of the audit", async () => {
    const { run, place } = await calling();
    const planHash = (await admin.get<JsonObject>(`${run.path}/plan`)).body["planHash"];
    const first = await patch(run, adding("call", "one"));
    const second = await patch(run, adding("one", "two"));
    expect([first, second]).toMatchObject([
      { status: 200, body: { accepted: true } },
      { status: 200, body: { accepted: true } },
    ]);
    // Whoever says which plan they mean is told that it is not that one any more.
    expect(await patch(run, { ...adding("call", "three"), planHash })).toMatchObject({ status: 409, body: { code: "conflict" } });
    await place.release();
    expect(await run.end()).toMatchObject({ status: "completed", output: 200 });
    expect((await run.steps()).map(({ path }) => path)).toEqual(["call", "one", "two", "last"]);
    expect(await changes(run)).toMatchObject([
      { planHash: first.body["planHash"], from: { planHash } },
      { planHash: second.body["planHash"], from: { planHash: first.body["planHash"] } },
    ]);
    const audited = await admin.get<{ data: JsonObject[] }>(`/api/v2/audit?action=run.patch&object=${run.id}`);
    expect(audited.body.data).toMatchObject([
      { data: { planHash: second.body["planHash"] } },
      { data: { planHash: first.body["planHash"] } },
    ]);
    expect(audited.body.data.every(({ actor, requestId }) => typeof actor === "string" && typeof requestId === "string")).toBe(true);
  });

  test.each(["waits for the call", "was made"])(
    "asked for again under its key after the first answer was lost, when it %s, it is the same",
    async (when) => {
      const { run, place } = await calling();
      const key = uniqueName("key");
      const ask = () => admin.request<JsonObject>("PATCH", `${run.path}/plan`, { body: adding("call", "one"), key });
      const { body } = await ask();
      const database = openDatabase(facts.databaseUrl, 1);
      expect(await database.idempotencyKey.deleteMany({ where: { key } })).toEqual({ count: 1 });
      await database.$disconnect();
      if (when === "was made") {
        await admin.request("PATCH", `${run.path}/plan`, { body: { operations: [{ op: "add", after: "last", step: listen("go") }] } });
        await place.release();
        await run.until("listen.started");
      }
      expect(await ask()).toMatchObject({ status: 200, body });
      await place.release();
      if (when === "was made") await run.signal("go");
      expect((await run.end()).status).toBe("completed");
      expect((await changes(run)).filter(({ planHash }) => planHash === body["planHash"])).toHaveLength(1);
    },
  );

  test("one that cannot be made any more has no row in the audit", async () => {
    const { run } = await calling();
    expect(await patch(run, adding("last", "one"))).toMatchObject({ status: 200 });
    await run.cancel();
    expect(await run.end()).toMatchObject({ status: "canceled" });
    expect((await run.events()).map(({ type }) => type)).toContain("plan.refused");
    expect((await admin.get<{ data: JsonObject[] }>(`/api/v2/audit?object=${run.id}`)).body.data).not.toContainEqual(
      expect.objectContaining({ action: "run.patch" }),
    );
  });
});

test("a version whose input the run's does not fit is refused, in the dry run as well", async () => {
  const { run, workflow } = await waiting();
  const input = { type: "object", required: ["amount"], properties: { amount: { type: "number" } } };
  await admin.publish({ version: "2.0.0", input, steps: [listen("go"), set("last", "${input.amount}")] }, workflow);
  const refusals = [{ path: "input", why: expect.stringContaining("amount") }];
  const migrate = (dryRun: boolean) => admin.post<JsonObject>(`${run.path}/migrate`, { version: "2.0.0", dryRun });
  expect(await migrate(true)).toMatchObject({ status: 200, body: { accepted: false, refusals } });
  expect(await migrate(false)).toMatchObject({ status: 409, body: { code: "plan_refused", refusals } });
  const { body } = await admin.post<JsonObject>(`/api/v2/workflows/${workflow}/migrate`, { to: "2.0.0" });
  expect(body).toMatchObject({ accepted: 0, refused: 1, runs: [{ runId: run.id, refusals }] });
  await run.signal("go");
  expect(await run.end()).toMatchObject({ version: "1.0.0", output: "old" });
});

test("windows are no runs to migrate: they go with the run they are part of", async () => {
  const items = Array.from({ length: 510 }, (_, n) => n);
  const wait = { id: "w", type: "listen", one: { event: "go" } };
  const each = { id: "each", type: "foreach", items: "${input.items}", concurrency: 200, steps: [{ ...wait, if: "${item % 200 == 0}" }] };
  const workflow = await admin.publish({ steps: [each, set("last", "old")] });
  const run = await admin.start(workflow, { items });
  const { data } = await run.until("child.started");
  const window = admin.run(data["runId"] as string);
  await window.until("listen.started");
  await admin.publishVersion(workflow, "2.0.0", [each, set("last", "new")]);
  expect(await admin.post(`${window.path}/migrate`, { version: "2.0.0" })).toMatchObject({
    status: 409,
    body: { code: "plan_refused", detail: expect.stringContaining(run.id) },
  });
  const { body } = await admin.post<JsonObject>(`/api/v2/workflows/${workflow}/migrate`, { to: "2.0.0" });
  expect(body).toMatchObject({ accepted: 1, refused: 0, runs: [{ runId: run.id }], next: null });
  await run.until("plan.changed");
  await run.cancel();
  await run.end();
});

test("a request that migrates in bulk ends with its report, also when no run answers", async () => {
  const workflow = await admin.publish({ steps: [listen("go"), set("last", "old")] });
  const runs = await Promise.all(Array.from({ length: 25 }, () => admin.start(workflow)));
  await Promise.all(runs.map((run) => run.until("listen.started")));
  await admin.publishVersion(workflow, "2.0.0", [listen("go"), set("last", "new")]);
  await host.kill("worker");
  const report = await admin.post<JsonObject>(`/api/v2/workflows/${workflow}/migrate`, { to: "2.0.0" });
  await host.start("worker");
  expect(report).toMatchObject({ status: 200, body: { accepted: 0, next: expect.any(String) } });
  const silent = report.body["runs"] as JsonObject[];
  expect(silent.length).toBeGreaterThanOrEqual(10);
  for (const run of silent) expect(run).toMatchObject({ accepted: false, error: expect.stringContaining("ask again") });
  await Promise.all(runs.map((run) => run.cancel()));
});

test("runs migrate in bulk: those who can take the new branch, and each of the others is told why it cannot", async () => {
  const steps = [set("kind", "${input.kind}"), listen("pass"), set("middle", 1), listen("go"), set("last", "old")];
  const workflow = await admin.publish({ steps });
  const runs = await Promise.all(Array.from({ length: 100 }, () => admin.start(workflow, { kind: 1 })));
  await Promise.all(runs.map((run) => run.until("listen.started", "pass")));
  const [passed, before] = [runs.slice(0, 3), runs.slice(3)];
  await Promise.all(passed.map((run) => run.signal("pass")));
  await Promise.all(passed.map((run) => run.until("listen.started", "go")));
  const migrate = (body: object) => admin.post<JsonObject>(`/api/v2/workflows/${workflow}/migrate`, body);
  // Version 2 changes a step that all have passed, version 3 one that some have.
  await admin.publishVersion(workflow, "2.0.0", [set("kind", 2), ...steps.slice(1, 4), set("last", "new")]);
  await admin.publishVersion(workflow, "3.0.0", [...steps.slice(0, 2), set("middle", 2), listen("go"), set("last", "new")]);
  const pages = async (body: object) => {
    const all: JsonObject[] = [];
    for (let cursor: object = {}; ;) {
      const page = await migrate({ ...body, ...cursor });
      expect(page.status).toBe(200);
      all.push(...(page.body["runs"] as JsonObject[]));
      if (page.body["next"] === null) return all;
      cursor = { cursor: page.body["next"] };
    }
  };
  const dry = await pages({ to: "2.0.0", dryRun: true });
  expect([dry.length, dry.filter(({ accepted }) => accepted).length]).toEqual([100, 0]);
  const report = await pages({ to: "3.0.0" });
  const isRefused = ({ refusals }: JsonObject): boolean => (refusals as Json[]).length > 0;
  const refused = report.filter(isRefused);
  expect(report).toHaveLength(100);
  expect(new Set(refused.map(({ runId }) => runId))).toEqual(new Set(passed.map(({ id }) => id)));
  // Who was silent is asked again: who has taken it meanwhile is not in the list any more.
  for (let silent = report; silent.some((run) => !run["accepted"] && !isRefused(run));) silent = await pages({ to: "3.0.0" });
  for (const run of refused) expect(run).toMatchObject({ refusals: [{ path: "middle" }], error: expect.stringContaining("middle") });
  await Promise.all(before.map((run) => run.until("plan.changed")));
  await Promise.all(before.map((run) => run.signal("pass")));
  await Promise.all(runs.map((run) => run.signal("go")));
  const ends = await Promise.all(runs.map((run) => run.end()));
  expect(ends.map(({ output, version }) => [output, version])).toEqual([
    ...passed.map(() => ["old", "1.0.0"]),
    ...before.map(() => ["new", "3.0.0"]),
  ]);
  const { body: audited } = await admin.get<{ data: JsonObject[] }>(`/api/v2/audit?action=run.migrate&object=${before[0]!.id}`);
  expect(audited.data).toMatchObject([{ data: { version: "3.0.0", from: { version: "1.0.0" } } }]);
  expect(
    (
      await host.replays(
        "default",
        runs.map(({ id }) => id),
      )
    ).broken,
  ).toEqual([]);
}, 120_000);
