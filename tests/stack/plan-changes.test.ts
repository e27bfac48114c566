import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, uniqueName, type Run } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const listen = (id: string) => ({ id, type: "listen", one: { event: id } });
const patch = (run: Run, body: object) => admin.request<JsonObject>("PATCH", `${run.path}/plan`, { body });
const signal = (run: Run, event: string) => admin.post(`${run.path}/signals`, { event });

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
  await signal(run, "go");
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
  await signal(run, "go");
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
  await signal(run, "go");
  expect(await run.end()).toMatchObject({ status: "completed", output: 1 });
});

test("runs migrate in bulk: a dry run tells who can, who cannot and why, and those who can take the new branch", async () => {
  const steps = [{ ...set("kind", "${input.kind}") }, { ...set("special", 1), if: "${input.kind == 1}" }, listen("go"), set("last", "old")];
  const workflow = await admin.publish({ steps });
  const runs = await Promise.all(Array.from({ length: 12 }, (_, n) => admin.start(workflow, { kind: n < 3 ? 1 : 0 })));
  await Promise.all(runs.map((run) => run.until("listen.started", "go")));
  // Version 2 changes a step that all have passed.
  await admin.publishVersion(workflow, "2.0.0", [
    steps[0]!,
    { ...set("special", 2), if: "${input.kind == 1}" },
    listen("go"),
    set("last", "new"),
  ]);
  await admin.publishVersion(workflow, "3.0.0", [...steps.slice(0, 3), set("last", "new")]);
  const dry = await admin.post<JsonObject>(`/api/v2/workflows/${workflow}/migrate`, { to: "2.0.0", dryRun: true });
  expect(dry.body).toMatchObject({ accepted: 0, refused: 12 });
  const all = await admin.post<JsonObject>(`/api/v2/workflows/${workflow}/migrate`, { to: "3.0.0" });
  expect(all.body).toMatchObject({ accepted: 12, refused: 0, next: null });
  await Promise.all(runs.map((run) => run.until("plan.changed")));
  await Promise.all(runs.map((run) => signal(run, "go")));
  const ends = await Promise.all(runs.map((run) => run.end()));
  expect(ends.map(({ output, version }) => [output, version])).toEqual(runs.map(() => ["new", "3.0.0"]));
});
