import { describe, expect, test } from "@jest/globals";
import { say } from "./asking.ts";
import { admin, host, Model, type Answer, type Page } from "./client.ts";

describe("usage", () => {
  const price = { input: 2, output: 10 };

  test("a price that the tenant has set is what calls cost", async () => {
    const model = new Model();
    const set = await admin.request("PUT", "/api/v2/model-prices", { body: { model: model.wanted, ...price } });
    expect(set.body).toMatchObject({ model: model.wanted, input: 2, output: 10, cacheRead: null });
    const listed = await admin.get<Page<{ model: string }>>("/api/v2/model-prices?limit=200");
    expect(listed.body.data.map((row) => row.model)).toContain(model.wanted);
    const removed = await admin.request("DELETE", `/api/v2/model-prices?model=${encodeURIComponent(model.wanted)}`);
    expect(removed.status).toBe(204);
    expect((await admin.request("DELETE", `/api/v2/model-prices?model=${encodeURIComponent(model.wanted)}`)).status).toBe(404);
  });

  test("a tenant's own price goes before all others", async () => {
    const payer = await admin.withKey({ principal: "pat", kind: "person", roles: ["admin"], tenant: "payers" });
    await payer.request("PUT", "/api/v2/model-prices", { body: { model: "openai/priced", input: 1_000, output: 10_000 } });
    await host.scriptModel("priced", [{ text: "yes" }]);
    const run = await payer.finish({ steps: [{ id: "say", type: "llm", model: "openai/priced", prompt: "Hi" }] });
    expect(run.usage.costUsd).toBeCloseTo(0.01 + 0.05, 9);
  });

  test("a call of a model with a known price has its cost, cached tokens at theirs", async () => {
    const model = { wanted: "openai/priced" };
    await host.scriptModel("priced", [{ text: "yes", usage: { inputTokens: 1_000_000, outputTokens: 100_000, cacheReadTokens: 500_000 } }]);
    const run = await admin.finish({ steps: [{ id: "say", type: "llm", model: model.wanted, prompt: "Hi" }] });
    // TENUTO_MODEL_PRICES of the test stack: 1 in, 2 out, 0.5 read from a cache.
    expect(run.usage).toEqual({ inputTokens: 1_000_000, outputTokens: 100_000, calls: 1, costUsd: 0.5 + 0.25 + 0.2 });
  });

  test("a call that the provider refused has cost nothing", async () => {
    const model = new Model();
    await model.script({ status: 400 });
    const run = await admin.finish({ steps: [say(model)] });
    expect(run.usage).toEqual({ inputTokens: 0, outputTokens: 0, calls: 1, costUsd: 0 });
  });

  test("of a run and its tree, by model", async () => {
    const [mother, daughter] = [new Model(), new Model()];
    const child = await admin.publish({ steps: [say(daughter)] });
    const run = await admin.finish({ steps: [say(mother), { id: "call", type: "workflow", workflow: child }] });
    const { body } = await admin.get<{
      run: { calls: number };
      tree: { calls: number; costUsd: null; unpricedCalls: number };
      models: { model: string }[];
    }>(`/api/v2/runs/${run.id}/usage`);
    expect(body.run).toMatchObject({ calls: 1, inputTokens: 10 });
    expect(body.tree).toMatchObject({ calls: 2, inputTokens: 20, costUsd: null, unpricedCalls: 2 });
    expect(body.models.map(({ model }) => model)).toEqual([mother.wanted, daughter.wanted].toSorted());
    expect(await host.details("default", run.id)).toContain("- models: at least $0.00, 2 calls, ");
  });

  test("of a child that failed is among what its parent shows", async () => {
    await host.scriptModel("priced", [{ text: "yes", usage: { inputTokens: 1_000_000, outputTokens: 0 } }]);
    const child = await admin.publish({
      steps: [
        { id: "say", type: "llm", model: "openai/priced", prompt: "Hi" },
        { id: "no", type: "raise", error: { type: "no", detail: "no" } },
      ],
    });
    const caught = { id: "call", type: "workflow", workflow: child, catch: [{ steps: [{ id: "c", type: "set", values: 1 }] }] };
    const run = await admin.finish({ budget: { usd: 5 }, steps: [caught] });
    const details = await host.details("default", run.id);
    expect(details).toContain("- models: $1.00, 1 call, 1,000,000 tokens");
    expect(details).toContain("$4.00 left of $5.00");
  });

  test("what budgets leave is shown with the caps of the moment, also in a child, which spends its parent's", async () => {
    await host.scriptModel("priced", [{ text: "yes", usage: { inputTokens: 1_000_000, outputTokens: 0 } }]);
    const child = await admin.publish({ steps: [{ id: "say", type: "llm", model: "openai/priced", prompt: "Hi" }] });
    const run = await admin.begin({
      budget: { usd: 5, toolCalls: 9 },
      steps: [
        { id: "two", type: "tool", tool: "test.double", arguments: { n: 1 } },
        { id: "ask", type: "approval", title: "?" },
        { id: "call", type: "workflow", workflow: child },
      ],
    });
    const approval = await run.approval("ask");
    const detailsOf = async (id: string): Promise<string> => (await host.details("default", id)).replaceAll("\\", "");
    expect(await detailsOf(run.id)).toContain(`- budget ${run.id}: $5.00 left of $5.00, 8 calls of tools left of 9\n`);
    await admin.request("PATCH", `/api/v2/runs/${run.id}/budget`, { body: { usd: 8 } });
    await admin.decide(approval, { decision: "approve" });
    await run.end();
    for (const id of [run.id, `${run.id}.call`])
      expect(await detailsOf(id)).toContain(`- budget ${run.id}: $7.00 left of $8.00, 8 calls of tools left of 9\n`);
  });

  test("of the tenant, in groups and page by page", async () => {
    await admin.finish({ steps: [say(new Model()), { ...say(new Model()), id: "again" }] });
    const seen = (await grouped<{ model: string; day: string }>("groupBy=model,day&limit=1")).map(({ model, day }) => `${model} ${day}`);
    expect(new Set(seen).size).toBe(seen.length);
    // Agents of other tests stand beside it.
    const byAgent = await grouped<{ agent: string | null }>("groupBy=agent&limit=200");
    expect(byAgent.filter(({ agent }) => agent === null)).toHaveLength(1);
    expect((await admin.get("/api/v2/usage?groupBy=moon")).status).toBe(400);
    expect((await admin.get("/api/v2/usage?from=2020-01-01T00:00:00Z")).status).toBe(400);
  });

  test("of an agent that its step describes is under the step's name, in all its items", async () => {
    const work = { id: "work", type: "agent", model: new Model().wanted, prompt: "Hi" };
    const run = await admin.finish({ steps: [{ id: "each", type: "foreach", items: [1, 2], steps: [work] }] });
    const byAgent = await grouped<{ agent: string | null; calls: number }>("groupBy=agent&limit=200");
    expect(byAgent.find(({ agent }) => agent === `${run.workflow}/each.work`)).toMatchObject({ calls: 2 });
  });

  test("of another tenant is not seen", async () => {
    const stranger = await admin.withKey({ principal: "eve", kind: "person", roles: ["admin"], tenant: "idlers" });
    const run = await admin.finish({ steps: [say(new Model())] });
    expect((await stranger.get(`/api/v2/runs/${run.id}/usage`)).status).toBe(404);
    expect((await stranger.get(`/api/v2/runs/${run.id}/model-calls`)).status).toBe(404);
    expect((await stranger.get<Page<unknown>>("/api/v2/usage")).body.data).toEqual([]);
  });
});

/** All pages. */
async function grouped<Group>(query: string): Promise<Group[]> {
  const all: Group[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const from: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const { body }: Answer<Page<Group>> = await admin.get(`/api/v2/usage?${query}${from}`);
    all.push(...body.data);
    cursor = body.page.next;
  }
  return all;
}
