import { randomUUID } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { limits } from "../../contracts/limits.ts";
import { openDatabase } from "../../prisma/client.ts";
import { UNTOLD } from "../../prisma/plans.ts";
import { admin, facts, host, Model, Place, uniqueName, type Run, type RunBody } from "./client.ts";
import { ask, begun, broken, call, failed, llm, set, type Preview } from "./going-on.ts";

/** A run that has failed, of which the record says something else. */
async function recordedAs(data: { planHash?: string; endedAt?: Date }): Promise<Run> {
  const run = await failed({ steps: [{ id: "a", type: "raise", error: { type: "odd", detail: "odd" } }] });
  const database = openDatabase(facts.databaseUrl, 1);
  await database.run.update({ where: { id: run.id }, data });
  await database.$disconnect();
  return run;
}

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

  test("goes on with what a join had left when the run failed beside it", async () => {
    const [bad, won, left] = [new Place(), new Place(), new Place()];
    await bad.script({ status: 400 });
    const listen = (id: string) => ({ id, type: "listen", one: { event: id } });
    const branches = { won: [call("win", won)], left: [call("begin", won), listen("on"), call("end", left)] };
    const parallel = { id: "p", type: "parallel", join: "any", rest: "finish", maxConcurrency: 1, branches };
    const run = await admin.begin({ steps: [parallel, listen("go"), call("bad", bad)] });
    await run.until("listen.started", "p.left.on");
    await run.signal("go");
    expect(await run.end()).toMatchObject({ status: "failed" });
    const second = await begun(run, "retry");
    await second.signal("on");
    expect(await second.end()).toMatchObject({ status: "completed" });
    const steps = await second.steps();
    const statuses = Object.fromEntries(steps.map(({ path, status }) => [path, status]));
    expect(statuses).toMatchObject({ p: "reused", "p.won.win": "reused", "p.left.end": "completed", bad: "completed" });
    const counts = await Promise.all([bad, won, left].map(async (place) => (await place.calls()).length));
    expect(counts).toEqual([2, 2, 1]);
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
    // Paid and paid back: under the same key the other side would answer with the first payment.
    const keys = (await paid.calls()).map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toEqual([`${first.id}:pay`, `${first.id}:pay#2`]);
  });

  test("does not take over what tried to undo a step in vain: undoing begins anew", async () => {
    const [paid, refunded, bad] = [new Place(), new Place(), new Place()];
    await refunded.script({ status: 200 }, { status: 400 });
    await bad.script({ status: 400 }, { status: 400 });
    const pay = call("pay", paid, { compensate: [call("refund", refunded), call("tell", refunded, { needs: ["refund"] })] });
    const first = await failed({ steps: [pay, call("bad", bad)] });
    const second = await begun(first, "retry");
    expect(await second.end()).toMatchObject({ status: "failed" });
    const reused = (await second.events()).filter(({ type }) => type === "step.reused").map(({ step }) => step);
    expect(reused).toEqual(["pay"]);
    expect([await paid.calls(), await refunded.calls()].map(({ length }) => length)).toEqual([1, 4]);
  });

  test("of a foreach in windows tries the one item again that was bad, and can be forked at one item", async () => {
    const [place, end] = [new Place(), new Place()];
    await place.script(...Array.from({ length: 400 }, () => ({ status: 200 })), broken);
    await end.script(broken);
    const list = { id: "list", type: "tool", tool: "test.list", arguments: { count: 600 } };
    const items = { items: "${steps.list.output}", concurrency: 50, onItemError: "collect" };
    const first = await failed({
      steps: [list, { id: "each", type: "foreach", ...items, steps: [call("send", place)] }, call("end", end)],
    });
    expect(await place.calls()).toHaveLength(600);
    const { body } = await ask<Preview>(first, "retry", { dryRun: true });
    expect(body.childRuns.map(({ step, reuse }) => `${step} ${reuse.length > 0}`)).toEqual([
      "each[0+] true",
      "each[200+] true",
      "each[400+] true",
    ]);
    expect(body.childRuns.flatMap(({ reuse }) => reuse)).toHaveLength(599);
    const second = await begun(first, "retry");
    expect(await second.end()).toMatchObject({ status: "completed" });
    const keys = (await place.calls()).map(({ headers }) => headers["idempotency-key"]);
    expect([keys.length, new Set(keys).size]).toEqual([601, 600]);
    const third = await begun(second, "fork", { from: "each[300].send" });
    expect(await third.end()).toMatchObject({ status: "completed" });
    expect((await place.calls()).at(-1)?.headers["idempotency-key"]).toBe(`${third.id}:each[300].send`);
    expect(await place.calls()).toHaveLength(602);
  });

  test("does again what was undone in windows", async () => {
    const [paid, refunded, bad] = [new Place(), new Place(), new Place()];
    await bad.script({ status: 400 });
    const pay = call("pay", paid, { compensate: [call("refund", refunded)] });
    const each = { id: "each", type: "foreach", items: [0, 1], isolate: true, steps: [pay] };
    const first = await failed({ steps: [each, call("bad", bad)] });
    expect([await paid.calls(), await refunded.calls()].map(({ length }) => length)).toEqual([2, 2]);
    expect(await (await begun(first, "retry")).end()).toMatchObject({ status: "completed" });
    const keys = (await paid.calls()).map(({ headers }) => headers["idempotency-key"]!.split(":")[1]);
    expect(keys).toHaveLength(4);
    expect(new Set(keys)).toEqual(new Set(["each[0].pay", "each[0].pay#2", "each[1].pay", "each[1].pay#2"]));
  });

  test("counts what was undone before once, however many windows there are", async () => {
    const [paid, refunded, bad] = [new Place(), new Place(), new Place()];
    await bad.script({ status: 400 });
    const ok = { status: 200 };
    await paid.script(ok, ok, ok, ok, ok, { status: 200, delayMs: 60_000 });
    const pay = call("pay", paid, { compensate: [call("refund", refunded)] });
    const each = { id: "each", type: "foreach", items: [0, 1, 2], isolate: true, steps: [pay] };
    const first = await failed({ steps: [each, call("bad", bad)] });
    const second = await begun(first, "retry");
    await paid.calls(6);
    await second.terminate();
    await second.end();
    const third = await begun(second, "retry");
    expect(await third.end()).toMatchObject({ status: "completed" });
    // The one that was under way is sent again under its key: whether it was paid nobody knows.
    const keys = (await paid.calls()).map(({ headers }) => headers["idempotency-key"]!);
    expect(new Set(keys.slice(3))).toEqual(new Set([0, 1, 2].map((n) => `${first.id}:each[${n}].pay#2`)));
  });

  test("is refused for a run that completed or is at work", async () => {
    const done = await admin.begin({ steps: [set("a", 1)] });
    await done.end();
    expect(await ask(done, "retry")).toMatchObject({ status: 409, body: { code: "not_retryable" } });
    const open = await admin.begin({ steps: [{ id: "later", type: "listen", one: { event: "later" } }] });
    await open.until("listen.started");
    expect(await ask(open, "retry")).toMatchObject({ status: 409, body: { code: "not_retryable" } });
  });

  test("is refused, as a fork is, a year after the run's end: what it has done outside may be forgotten", async () => {
    const run = await recordedAs({ endedAt: new Date(Date.now() - limits.runGoesOnMs - 60_000) });
    const refused = { status: 409, body: { code: "not_retryable", detail: expect.stringContaining("too long ago") } };
    for (const verb of ["retry", "fork"] as const) expect(await ask(run, verb)).toMatchObject(refused);
  });

  test("is refused for a run that was terminated before it recorded anything: there is nothing to go on from", async () => {
    // What reconcile writes of such a run.
    const run = await recordedAs({ planHash: UNTOLD });
    const refused = { status: 409, body: { code: "not_retryable", detail: expect.stringContaining("before it recorded anything") } };
    for (const verb of ["retry", "fork"] as const) expect(await ask(run, verb)).toMatchObject(refused);
    expect(await admin.get(`${run.path}/plan`)).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining("was ended before") },
    });
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

  test("is one under both ids of a run that its caller named", async () => {
    const [id, key, place] = [uniqueName("order"), randomUUID(), new Place()];
    await place.script({ status: 400 });
    const { body } = await admin.post<RunBody>("/api/v2/runs", { id, workflow: await admin.publish({ steps: [call("a", place)] }) });
    await admin.run(id).end();
    const [own, whole] = [await ask(admin.run(id), "retry", {}, key), await ask(admin.run(body.id), "retry", {}, key)];
    expect([own.status, whole.status, whole.body.id]).toEqual([202, 202, own.body.id]);
  });

  test("is the only one at work under its keys: others are refused until it has ended, and told of it", async () => {
    const place = new Place();
    await place.script({ status: 400 });
    const first = await failed({ steps: [call("pay", place), { id: "l", type: "listen", one: { event: "go" } }] });
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(first, "retry")));
    const [accepted, others] = [answers.filter(({ status }) => status === 202), answers.filter(({ status }) => status === 409)];
    expect([accepted.length, others.length]).toEqual([1, 4]);
    const second = admin.run(accepted[0]!.body.id);
    await second.until("listen.started");
    const refused = (by: Run) => ({
      status: 409,
      body: { code: "not_retryable", openRetry: by.id, detail: expect.stringContaining(by.id) },
    });
    expect(await ask(first, "retry")).toMatchObject(refused(second));
    await second.cancel();
    await second.end();
    const third = await begun(first, "retry");
    await third.until("listen.started");
    // Another run, but the same keys.
    expect(await ask(second, "retry")).toMatchObject(refused(third));
    await third.signal("go");
    expect(await third.end()).toMatchObject({ status: "completed" });
    expect(await place.calls()).toHaveLength(3);
  });

  test("of an unknown run answers 404", async () => {
    expect(await admin.post("/api/v2/runs/r_00000000000000000000000000/retry")).toMatchObject({ status: 404 });
  });
});
