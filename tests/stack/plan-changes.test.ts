import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, uniqueName, type Run } from "./client.ts";

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

test("runs migrate in bulk: those who can take the new branch, and each of the others is told why it cannot", async () => {
  const steps = [set("kind", "${input.kind}"), listen("pass"), set("middle", 1), listen("go"), set("last", "old")];
  const workflow = await admin.publish({ steps });
  const runs = await Promise.all(Array.from({ length: 12 }, () => admin.start(workflow, { kind: 1 })));
  await Promise.all(runs.map((run) => run.until("listen.started", "pass")));
  const [passed, before] = [runs.slice(0, 3), runs.slice(3)];
  await Promise.all(passed.map((run) => run.signal("pass")));
  await Promise.all(passed.map((run) => run.until("listen.started", "go")));
  const migrate = (body: object) => admin.post<JsonObject>(`/api/v2/workflows/${workflow}/migrate`, body);
  // Version 2 changes a step that all have passed, version 3 one that some have.
  await admin.publishVersion(workflow, "2.0.0", [set("kind", 2), ...steps.slice(1, 4), set("last", "new")]);
  await admin.publishVersion(workflow, "3.0.0", [...steps.slice(0, 2), set("middle", 2), listen("go"), set("last", "new")]);
  expect((await migrate({ to: "2.0.0", dryRun: true })).body).toMatchObject({ accepted: 0, refused: 12 });
  const { status, body } = await migrate({ to: "3.0.0" });
  expect({ status, body }).toMatchObject({ status: 200, body: { accepted: 9, refused: 3, next: null } });
  const refused = (body["runs"] as JsonObject[]).filter(({ accepted }) => !accepted);
  expect(new Set(refused.map(({ runId }) => runId))).toEqual(new Set(passed.map(({ id }) => id)));
  for (const run of refused) expect(run).toMatchObject({ refusals: [{ path: "middle" }], error: expect.stringContaining("middle") });
  await Promise.all(before.map((run) => run.until("plan.changed")));
  await Promise.all(before.map((run) => run.signal("pass")));
  await Promise.all(runs.map((run) => run.signal("go")));
  const ends = await Promise.all(runs.map((run) => run.end()));
  expect(ends.map(({ output, version }) => [output, version])).toEqual([
    ...passed.map(() => ["old", "1.0.0"]),
    ...before.map(() => ["new", "3.0.0"]),
  ]);
});
