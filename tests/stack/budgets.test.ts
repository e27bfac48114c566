import { afterAll, describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { say, statusesOf } from "./asking.ts";
import { call } from "./going-on.ts";
import { openDatabase } from "../../prisma/client.ts";
import {
  admin,
  eventually,
  facts,
  host,
  Model,
  Place,
  uniqueName,
  type Answer,
  type ApprovalBody,
  type Client,
  type Page,
  type Run,
} from "./client.ts";

interface Amount {
  max: number | null;
  spent: number;
  reserved: number;
  left: number | null;
}

interface BudgetBody extends Record<"tokens" | "usd" | "modelCalls" | "toolCalls" | "wallTime", Amount> {
  scope: string;
  day: string | null;
  onExceed: string;
  setBy: string | null;
}

const budgetsOf = async (run: { id: string }, client: Client = admin): Promise<BudgetBody[]> =>
  (await client.get<{ budgets: BudgetBody[] }>(`/api/v2/runs/${run.id}/budget`)).body.budgets;
const patch = (run: { id: string }, body: JsonObject): Promise<Answer<BudgetBody>> =>
  admin.request("PATCH", `/api/v2/runs/${run.id}/budget`, { body });
const tokens = (inputTokens: number, outputTokens: number) => ({ text: "yes", usage: { inputTokens, outputTokens } });
const echo = (id: string) => ({ id, type: "tool", tool: "test.double", arguments: { n: 1 } });

afterAll(() => host.heal());

describe("a run's budget", () => {
  test("holds a step that it does not leave enough, until it is raised", async () => {
    const model = new Model();
    await model.script(tokens(20, 780), tokens(20, 30));
    const run = await admin.begin({ budget: { tokens: 1_000 }, steps: [say(model), { ...say(model), id: "again" }] });
    await run.until("run.needs_attention");
    const parked = await run.step("again");
    expect(parked).toMatchObject({ status: "needs_attention", error: { code: "budget_exceeded", status: 402, onExceed: "pause" } });
    expect(await model.calls()).toHaveLength(1);
    expect(await budgetsOf(run)).toMatchObject([
      { scope: `run:${run.id}`, onExceed: "pause", tokens: { max: 1_000, spent: 800, reserved: 0, left: 200 }, setBy: null },
    ]);
    const raised = await patch(run, { tokens: 5_000 });
    expect(raised).toMatchObject({ status: 200, body: { tokens: { max: 5_000 }, modelCalls: { max: null } } });
    expect(await run.end()).toMatchObject({ status: "completed", output: "yes" });
    expect(await budgetsOf(run)).toMatchObject([{ tokens: { spent: 850, reserved: 0 }, modelCalls: { spent: 2 } }]);
  });

  test("tells the model how long its answer may be, and waits when that was too short", async () => {
    const model = new Model();
    await model.script({ text: "It was a dark and", isCutShort: true, usage: { inputTokens: 20, outputTokens: 900 } }, tokens(20, 950));
    const run = await admin.begin({ budget: { tokens: 1_000 }, steps: [say(model)] });
    await run.until("run.needs_attention");
    const [asked] = await model.calls();
    expect((JSON.parse(asked!.body) as { max_tokens: number }).max_tokens).toBeLessThan(1_000);
    await patch(run, { tokens: 20_000 });
    expect(await run.end()).toMatchObject({ status: "completed" });
  });

  test("sets aside as long an answer as the step allows", async () => {
    const model = new Model();
    await model.script(tokens(20, 30));
    const step = (maxOutputTokens: number) => say(model, { maxOutputTokens });
    const budget = { tokens: 1_000, onExceed: "fail" };
    expect(await admin.finish({ budget, steps: [step(300)] })).toMatchObject({ status: "completed" });
    const [asked] = await model.calls();
    expect(JSON.parse(asked!.body)).toMatchObject({ max_tokens: 300 });
    const longer = await admin.finish({ budget: { ...budget, tokens: 20_000 }, steps: [step(18_000)] });
    expect(longer).toMatchObject({ status: "completed" });
    expect(JSON.parse((await model.calls())[1]!.body)).toMatchObject({ max_tokens: 18_000 });
  });

  test("with onExceed fail ends the step with an error that is not tried again and can be caught", async () => {
    const model = new Model();
    const budget = { modelCalls: 0, onExceed: "fail" };
    const run = await admin.finish({ budget, steps: [say(model)] });
    expect(run).toMatchObject({ status: "failed", error: { code: "budget_exceeded", status: 402, instance: "say" } });
    expect(await model.calls()).toEqual([]);
    const caught = { ...say(model), catch: [{ errors: ["budget_exceeded"], steps: [{ id: "c", type: "set", values: "enough" }] }] };
    expect(await admin.finish({ budget, steps: [caught] })).toMatchObject({ status: "completed", output: "enough" });
  });

  test("with downgradeModel asks the fallback that fits", async () => {
    const payer = await admin.withKey({ principal: "pat", kind: "person", roles: ["admin"], tenant: uniqueName("payers") });
    const [dear, cheap] = [new Model(), new Model()];
    for (const [model, usd] of [
      [dear.wanted, 1_000],
      [cheap.wanted, 0.1],
    ] as const)
      await payer.request("PUT", "/api/v2/model-prices", { body: { model, input: usd, output: usd } });
    const step = say(dear, { fallbacks: [cheap.wanted], budget: { usd: 0.1, onExceed: "downgradeModel" } });
    expect((await payer.finish({ steps: [step] })).status).toBe("completed");
    expect(await dear.calls()).toEqual([]);
    expect(await cheap.calls()).toHaveLength(1);
  });

  test("is shared by its children, however many run at once", async () => {
    const model = new Model();
    await model.script(...Array.from({ length: 20 }, () => ({ ...tokens(10, 10), delayMs: 50 })));
    const child = await admin.publish({ steps: [{ ...say(model), onError: "continue" }] });
    const call = (id: string) => ({ id, type: "workflow", workflow: child });
    const each = { id: "each", type: "foreach", items: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], concurrency: 10, steps: [call("one")] };
    const run = await admin.finish({ budget: { modelCalls: 4, onExceed: "fail" }, steps: [each] });
    expect(await model.calls()).toHaveLength(4);
    expect(await budgetsOf(run)).toMatchObject([{ scope: `run:${run.id}`, modelCalls: { max: 4, spent: 4, reserved: 0, left: 0 } }]);
  });

  test("of a child is its parents': there it is raised", async () => {
    const model = new Model();
    const child = await admin.publish({ steps: [say(model)] });
    const run = await admin.begin({ budget: { modelCalls: 0 }, steps: [{ id: "call", type: "workflow", workflow: child }] });
    const id = (await run.until("child.started")).data["runId"] as string;
    await admin.run(id).until("run.needs_attention");
    expect(await budgetsOf({ id })).toMatchObject([{ scope: `run:${run.id}` }]);
    expect(await patch({ id }, { modelCalls: 1 })).toMatchObject({ status: 404, body: { detail: expect.stringContaining(run.id) } });
    expect((await patch(run, { modelCalls: 1 })).status).toBe(200);
    expect((await run.end()).status).toBe("completed");
  });

  test("goes on in a retry of the run", async () => {
    const model = new Model();
    const budget = { modelCalls: 1, onExceed: "fail" };
    const run = await admin.finish({ budget, steps: [say(model), { ...say(model), id: "again" }] });
    expect(run.status).toBe("failed");
    const { body } = await admin.post<{ id: string }>(`/api/v2/runs/${run.id}/retry`);
    expect(await admin.run(body.id).end()).toMatchObject({ status: "failed", error: { code: "budget_exceeded" } });
    expect(await budgetsOf(body)).toMatchObject([{ scope: `run:${run.id}`, modelCalls: { spent: 1 } }]);
    await patch(body, { modelCalls: 2 });
    const again = await admin.post<{ id: string }>(`/api/v2/runs/${body.id}/retry`);
    expect(await admin.run(again.body.id).end()).toMatchObject({ status: "completed" });
  });

  test("goes on in its forks, and in retries of those", async () => {
    const model = new Model();
    const budget = { modelCalls: 1, onExceed: "fail" };
    const run = await admin.finish({ budget, steps: [say(model), { ...say(model), id: "again", budget: { modelCalls: 1 } }] });
    const goOn = async (kind: "fork" | "retry", id: string, body: object = {}): Promise<Run> =>
      admin.run((await admin.post<{ id: string }>(`/api/v2/runs/${id}/${kind}`, body)).body.id);
    const fork = await goOn("fork", run.id, { from: "say" });
    expect(await fork.end()).toMatchObject({ status: "failed", error: { code: "budget_exceeded" } });
    const retry = await goOn("retry", fork.id);
    expect(await retry.end()).toMatchObject({ status: "failed", error: { code: "budget_exceeded" } });
    expect(await model.calls()).toHaveLength(1);
    expect((await budgetsOf(retry))[0]).toMatchObject({ scope: `run:${run.id}`, modelCalls: { spent: 1, left: 0 } });
    expect((await patch(retry, { modelCalls: 3 })).body.scope).toBe(`run:${run.id}`);
    const last = await goOn("fork", retry.id);
    expect(await last.end()).toMatchObject({ status: "completed" });
    expect((await budgetsOf(last)).map(({ scope }) => scope)).toEqual([`run:${run.id}`, `step:${run.id}:again`]);
    expect(await model.calls()).toHaveLength(3);
  });

  test("of a child's own definition goes on in forks of its parent, and of the child alone", async () => {
    const model = new Model();
    const child = await admin.publish({ budget: { modelCalls: 1, onExceed: "fail" }, steps: [say(model), { ...say(model), id: "again" }] });
    const run = await admin.finish({ steps: [{ id: "call", type: "workflow", workflow: child }] });
    expect(run.status).toBe("failed");
    const scope = `run:${run.id}.call`;
    const forks = [
      [`${run.id}`, { from: "call" }, ".call"],
      [`${run.id}.call`, { from: "say" }, ""],
    ] as const;
    for (const [id, body, below] of forks) {
      const { body: fork } = await admin.post<{ id: string }>(`/api/v2/runs/${id}/fork`, body);
      expect(await admin.run(fork.id).end()).toMatchObject({ status: "failed" });
      expect(await budgetsOf({ id: `${fork.id}${below}` })).toMatchObject([{ scope, modelCalls: { spent: 1, left: 0 } }]);
    }
    expect(await model.calls()).toHaveLength(1);
  });

  test("counts calls of tools and of http", async () => {
    const place = new Place();
    const run = await admin.begin({ budget: { toolCalls: 1 }, steps: [echo("a"), call("b", place), echo("c")] });
    await run.until("run.needs_attention");
    expect((await run.step("b")).error).toMatchObject({ code: "budget_exceeded" });
    expect(await place.calls()).toEqual([]);
    await patch(run, { toolCalls: null });
    expect((await run.end()).status).toBe("completed");
    expect(await place.calls()).toHaveLength(1);
    expect(await budgetsOf(run)).toMatchObject([{ toolCalls: { max: null, spent: 3, left: null } }]);
  });

  test("of a step is its own, and is changed by its path", async () => {
    const model = new Model();
    const run = await admin.begin({ budget: { modelCalls: 5 }, steps: [{ ...say(model), budget: { modelCalls: 0 } }] });
    await run.until("run.needs_attention");
    expect((await patch(run, { step: "nowhere", modelCalls: 1 })).status).toBe(404);
    expect(await patch(run, { step: "say", modelCalls: 1 })).toMatchObject({ status: 200, body: { scope: `step:${run.id}:say` } });
    expect((await run.end()).status).toBe("completed");
    expect((await budgetsOf(run)).map(({ scope }) => scope)).toEqual([`run:${run.id}`, `step:${run.id}:say`]);
  });

  test("is charged all that a killed worker had set aside", async () => {
    const model = new Model();
    await model.script({ ...tokens(10, 10), delayMs: 20_000 }, tokens(10, 10));
    const run = await admin.begin({ budget: { tokens: 30_000 }, steps: [say(model, { heartbeat: "2s" })] });
    await model.calls(1);
    const [during] = await budgetsOf(run);
    expect(during!.tokens.reserved).toBeGreaterThan(16_000);
    await host.kill("worker");
    await host.start("worker");
    expect((await run.end()).status).toBe("completed");
    expect(await statusesOf(run.id)).toEqual(["lost", "answered"]);
    expect(await budgetsOf(run)).toMatchObject([
      { tokens: { spent: during!.tokens.reserved + 20, reserved: 0 }, modelCalls: { spent: 2 } },
    ]);
  });

  test("is charged all that a terminated run had set aside, and keeps nothing back", async () => {
    const model = new Model();
    await model.script({ ...tokens(10, 10), delayMs: 60_000 });
    const run = await admin.begin({ budget: { tokens: 30_000 }, steps: [say(model)] });
    await model.calls(1);
    const reserved = async (): Promise<number> => (await budgetsOf(run))[0]!.tokens.reserved;
    expect(await reserved()).toBeGreaterThan(16_000);
    await run.terminate();
    await run.end();
    expect(await eventually(reserved, (tokens) => tokens === 0)).toBe(0);
  }, 180_000);
});

describe("a budget that asks", () => {
  const asks = { modelCalls: 0, onExceed: "ask" };

  test("is raised by who may, once for all who wait for it, also after a worker's death", async () => {
    const model = new Model();
    const child = await admin.publish({ steps: [say(model)] });
    const branches = { own: [say(model)], below: [{ id: "call", type: "workflow", workflow: child }] };
    const parallel = { id: "both", type: "parallel", branches };
    const run = await admin.begin({ budget: { ...asks, assignees: ["role:finance"] }, steps: [parallel] });
    const id = (await run.until("child.started")).data["runId"] as string;
    const [own, below] = await Promise.all([run.approval("both.own.say.budget"), admin.run(id).approval("say.budget")]);
    expect((await run.step("both.own.say")).status).toBe("needs_attention");
    await host.kill("worker");
    await host.start("worker");
    const eve = await admin.withKey({ principal: "eve", kind: "person", roles: ["finance"] });
    expect(await admin.get(`/api/v2/approvals?runId=${run.id}`)).toMatchObject({
      body: { data: [{ id: own, title: expect.stringContaining("modelCalls") }] },
    });
    const { body: question } = await eve.get<ApprovalBody>(`/api/v2/approvals/${own}`);
    const raise = { scope: `run:${run.id}`, unit: "modelCalls", max: 0, used: 0, needed: 1, cap: 1 };
    expect(question).toMatchObject({ status: "pending", editable: true, payload: { step: "both.own.say", budgets: [raise] } });
    const bob = await admin.withKey({ principal: "bob", kind: "person", roles: ["sales"] });
    expect((await bob.decide(own, { decision: "approve" })).status).toBe(403);
    const data = { budgets: [{ ...raise, cap: 2 }] };
    const wrong = { decision: "approve", data: { budgets: [{ ...raise, cap: "much" }] } };
    expect(await eve.decide(own, wrong)).toMatchObject({ status: 422, body: { errors: [{ pointer: "/data/budgets/0/cap" }] } });
    expect((await eve.decide(own, { decision: "approve", data, payloadHash: question.payloadHash })).status).toBe(200);
    expect((await run.end()).status).toBe("completed");
    expect((await admin.get<ApprovalBody>(`/api/v2/approvals/${below}`)).body.status).toBe("canceled");
    expect(await budgetsOf(run)).toMatchObject([{ modelCalls: { max: 2, spent: 2 }, setBy: "eve" }]);
    const { body: audited } = await admin.get<Page<JsonObject>>(`/api/v2/audit?object=${run.id}`);
    expect(audited.data).toMatchObject([
      { actor: "eve", action: "budget.raised", data: { scope: `run:${run.id}`, to: { modelCalls: 2 } } },
    ]);
  });

  test("that is not raised is an error as any other", async () => {
    const caught = { ...say(new Model()), catch: [{ errors: ["budget_exceeded"], steps: [{ id: "c", type: "set", values: "enough" }] }] };
    const run = await admin.begin({ budget: asks, steps: [caught] });
    await admin.decide(await run.approval("say.budget"), { decision: "reject" });
    expect(await run.end()).toMatchObject({ status: "completed", output: "enough" });
  });

  test("gives a call under way no more time than it has, and goes on with what is approved", async () => {
    const model = new Model();
    await model.script({ ...tokens(10, 10), delayMs: 30_000 }, tokens(10, 10));
    const run = await admin.begin({ budget: { wallTime: "1500ms", onExceed: "ask" }, steps: [say(model)] });
    const id = await run.approval("say.budget");
    expect((await run.step("say")).error).toMatchObject({
      code: "budget_exceeded",
      budgets: [{ unit: "wallTime", max: 1_500, used: 1_500 }],
    });
    expect(await statusesOf(run.id)).toEqual(["failed"]);
    const raise = { scope: `run:${run.id}`, unit: "wallTime", cap: 60_000 };
    expect((await admin.get<ApprovalBody>(`/api/v2/approvals/${id}`)).body.payload).toMatchObject({ budgets: [{ ...raise, cap: 3_000 }] });
    await admin.decide(id, { decision: "approve", data: { budgets: [raise] } });
    expect((await run.end()).status).toBe("completed");
    expect((await budgetsOf(run))[0]!.wallTime.max).toBeGreaterThan(60_000);
    expect((await patch(run, { wallTime: "soon" })).status).toBe(422);
    expect(await patch(run, { wallTime: "2h" })).toMatchObject({ status: 200, body: { wallTime: { max: 7_200_000, reserved: 0 } } });
  });

  test("is not one for each day", async () => {
    expect(await admin.request("PUT", "/api/v2/budgets/tenant", { body: asks })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: "/onExceed", message: expect.stringContaining("runs and of steps") }] },
    });
    expect(await admin.request("PUT", "/api/v2/budgets/tenant", { body: { wallTime: "2h" } })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: "/wallTime", message: expect.stringContaining("first call") }] },
    });
  });
});

describe("a budget for each day", () => {
  const held = async (run: Run): Promise<void> => void (await run.until("run.needs_attention"));

  test("of a tenant holds its runs until it is raised", async () => {
    const payer = await admin.withKey({ principal: "pat", kind: "person", roles: ["admin"], tenant: uniqueName("payers") });
    const put = (body: JsonObject): Promise<Answer<BudgetBody>> => payer.request("PUT", "/api/v2/budgets/tenant", { body });
    expect((await payer.get("/api/v2/budgets/tenant")).status).toBe(404);
    expect(await put({ modelCalls: 0 })).toMatchObject({ status: 200, body: { scope: "tenant", modelCalls: { max: 0 }, setBy: "pat" } });
    const run = await payer.begin({ steps: [say(new Model())] });
    await held(run);
    expect((await budgetsOf(run, payer)).map(({ scope }) => scope)).toEqual(["tenant"]);
    await put({ modelCalls: 1 });
    expect((await run.end()).status).toBe("completed");
    expect((await payer.get<BudgetBody>("/api/v2/budgets/tenant")).body).toMatchObject({ modelCalls: { spent: 1, left: 0 } });
    expect((await payer.get<Page<BudgetBody>>("/api/v2/budgets")).body.data).toHaveLength(1);
    const next = await payer.begin({ steps: [say(new Model())] });
    await held(next);
    expect((await payer.request("DELETE", "/api/v2/budgets/tenant")).status).toBe(204);
    expect((await next.end()).status).toBe("completed");
    expect((await payer.request("DELETE", "/api/v2/budgets/tenant")).status).toBe(404);
  });

  test("lets its runs go on when the day is over, and those that were not told of a change", async () => {
    const tenant = uniqueName("payers");
    const payer = await admin.withKey({ principal: "pat", kind: "person", roles: ["admin"], tenant });
    await payer.request("PUT", "/api/v2/budgets/tenant", { body: { toolCalls: 1 } });
    const run = await payer.begin({ steps: [echo("a"), echo("b")] });
    await held(run);
    const untold = await admin.begin({ budget: { toolCalls: 0 }, steps: [echo("a")] });
    await held(untold);
    const database = openDatabase(facts.databaseUrl, 1);
    await database.$executeRaw`UPDATE budgets SET caps = '{"toolCalls": 1}', set_at = now() WHERE scope = ${`run:${untold.id}`}`;
    await database.$executeRaw`UPDATE budgets SET day = '2020-01-01' WHERE tenant = ${tenant}`;
    await database.$executeRaw`UPDATE steps SET error = jsonb_set(error, '{budgets,0,day}', '"2020-01-01"') WHERE run_id = ${run.id} AND path = 'b'`;
    await database.$disconnect();
    await host.reconcile();
    expect((await Promise.all([run.end(), untold.end()])).map(({ status }) => status)).toEqual(["completed", "completed"]);
  });

  test("is changed although nobody answers for those who wait", async () => {
    const run = await admin.begin({
      budget: { toolCalls: 0 },
      steps: [{ id: "p", type: "parallel", branches: { a: [echo("a")], b: [echo("b")], c: [echo("c")] } }],
    });
    for (const branch of ["a", "b", "c"]) await run.until("step.parked", `p.${branch}.${branch}`);
    await host.kill("worker");
    expect(await patch(run, { toolCalls: 3 })).toMatchObject({ status: 200, body: { toolCalls: { max: 3 } } });
    await host.heal();
    await run.terminate();
  });

  test("names a tenant or an agent, and a cap", async () => {
    expect((await admin.request("PUT", "/api/v2/budgets/moon", { body: { usd: 1 } })).status).toBe(400);
    expect((await admin.request("PUT", "/api/v2/budgets/agent:x", { body: { onExceed: "pause" } })).status).toBe(422);
    const viewer = await admin.withKey({ principal: "vic", kind: "person", roles: ["viewer"] });
    expect((await viewer.request("PUT", "/api/v2/budgets/tenant", { body: { usd: 1 } })).status).toBe(403);
  });
});
