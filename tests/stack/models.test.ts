import { afterAll, describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { admin, host, Model, type Answer, type Page, type Run } from "./client.ts";
import { readStream } from "./sse.ts";

const soon = { initialInterval: "10ms", maxAttempts: 3 };
const risk = { type: "object", required: ["risk"], properties: { risk: { type: "number" } } };

interface CallBody {
  step: string;
  index: number;
  model: string;
  status: string;
  inputTokens: number | null;
  costUsd: number | null;
  error: { code: string; detail: string } | null;
  route: { taken: string; candidates: { model: string; taken: boolean; why: string }[] } | null;
}

const callsOf = async (run: string): Promise<CallBody[]> =>
  (await admin.get<Page<CallBody>>(`/api/v2/runs/${run}/model-calls`)).body.data.toReversed();

const statusesOf = async (run: string): Promise<string[]> => (await callsOf(run)).map(({ status }) => status);

const say = (wanted: Model, more: object = {}) => ({ id: "say", type: "llm", model: wanted.wanted, prompt: "Hi", retry: soon, ...more });

describe("a chain of models", () => {
  test("goes on to the next when the first one keeps failing, a call per attempt, all of them told", async () => {
    const [first, second] = [new Model(), new Model()];
    await first.script({ status: 500 }, { status: 529 }, { status: 503 });
    await second.script({ text: "from the second" });
    const run = await admin.finish({ steps: [say(first, { fallbacks: [second.wanted] })] });
    expect(run.output).toBe("from the second");
    expect(await first.calls()).toHaveLength(3);
    expect(run.usage).toMatchObject({ calls: 4, inputTokens: 10, outputTokens: 5 });
    expect(await statusesOf(run.id)).toEqual(["failed", "failed", "failed", "answered"]);
    const [call] = await second.calls();
    expect(call!.headers["idempotency-key"]).toBe(`${run.id}:say:fallback1`);
  });

  test("does not wait long for a model when there is another", async () => {
    const [first, second] = [new Model(), new Model()];
    await first.script({ status: 429, headers: { "retry-after": "3600" } });
    const run = await admin.finish({ steps: [say(first, { fallbacks: [second.wanted] })] });
    expect(run.output).toBe("echo: Hi");
    expect(await first.calls()).toHaveLength(1);
  });

  test("goes on at once when a model does not answer in time", async () => {
    const [first, second] = [new Model(), new Model()];
    await first.script({ delayMs: 20_000, text: "late" });
    const run = await admin.finish({ steps: [say(first, { fallbacks: [second.wanted], timeout: "1s" })] });
    expect(run.output).toBe("echo: Hi");
    const [late] = await callsOf(run.id);
    expect(late).toMatchObject({ status: "failed", inputTokens: null, costUsd: null, error: { code: "timeout" } });
  });

  test("stops at a request that is wrong: the next model would hide it", async () => {
    const [first, second] = [new Model(), new Model()];
    await first.script({ status: 401 });
    const run = await admin.finish({ steps: [say(first, { fallbacks: [second.wanted] })] });
    expect(run.error).toMatchObject({ type: "model", instance: "say", upstreamStatus: 401, usage: { calls: 1 } });
    expect(await second.calls()).toHaveLength(0);
  });

  test("goes on after a refusal, and after as many repairs as there may be", async () => {
    const models = [new Model(), new Model(), new Model()] as const;
    await models[0].script({ refusal: "No." });
    await models[1].script({ json: { risk: "high" } }, { json: { risk: "higher" } });
    await models[2].script({ json: { risk: 0.3 } });
    const step = say(models[0], { fallbacks: [models[1].wanted, models[2].wanted], outputSchema: risk, repairs: 1 });
    const run = await admin.finish({ steps: [step] });
    expect(run.output).toEqual({ risk: 0.3 });
    expect(await statusesOf(run.id)).toEqual(["failed", "unfit", "unfit", "answered"]);
    const calls = await models[1].calls();
    expect(calls.map(({ headers }) => headers["idempotency-key"])).toEqual([`${run.id}:say:fallback1`, `${run.id}:say:fallback1:repair1`]);
    expect(calls[1]!.body).toContain("does not fit the schema");
  });

  test("that all fail says of each how it ended", async () => {
    const [first, second] = [new Model(), new Model()];
    await first.script({ status: 500 });
    await second.script({ text: "" });
    const run = await admin.finish({ steps: [say(first, { fallbacks: [second.wanted], retry: { maxAttempts: 1 } })] });
    expect(run.error).toMatchObject({ type: "model_output", usage: { calls: 2 } });
    expect(run.error!.detail).toContain(first.name);
    expect(run.error!.detail).toContain(second.name);
  });

  test("an answer that is not good enough is asked for again, under a key of its own", async () => {
    const model = new Model();
    await model.script({ json: { risk: 0.1 } }, { json: { risk: 0.9 } });
    const run = await admin.finish({ steps: [say(model, { outputSchema: risk, retry: { ...soon, while: "${output.risk < 0.5}" } })] });
    expect(run.output).toEqual({ risk: 0.9 });
    expect(await statusesOf(run.id)).toEqual(["rejected", "answered"]);
    const keys = (await model.calls()).map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toEqual([`${run.id}:say`, `${run.id}:say:again1`]);
  });

  test("an answer that passes itself off as a stored value is refused", async () => {
    const model = new Model();
    await model.script({ json: { $tenutoRef: "0".repeat(64) } });
    const run = await admin.finish({ steps: [say(model, { outputSchema: { type: "object" } })] });
    expect(run.error).toMatchObject({ type: "reserved_key" });
  });

  test("a list is asked for as a member of an object, which is all that providers answer with", async () => {
    const model = new Model();
    await model.script({ json: { value: ["a", "b"] } });
    const run = await admin.finish({ steps: [say(model, { outputSchema: { type: "array", items: { type: "string" } } })] });
    expect(run.output).toEqual(["a", "b"]);
  });
});

describe("a worker that is killed", () => {
  afterAll(() => host.heal());

  test("between an answer that does not fit and its repair does not pay for that answer again", async () => {
    const model = new Model();
    await model.script({ json: { risk: "high" } }, { delayMs: 60_000, json: { risk: 0.4 } }, { json: { risk: 0.5 } });
    const run = await admin.begin({ steps: [say(model, { outputSchema: risk, heartbeat: "2s" })] });
    await model.calls(2);
    await host.kill("worker");
    await host.start("worker");
    const ended = await run.end();
    expect(ended.output).toEqual({ risk: 0.5 });
    const calls = await model.calls();
    expect(calls).toHaveLength(3);
    expect(calls[2]!.body).toContain("does not fit the schema");
    expect(await statusesOf(run.id)).toEqual(["unfit", "lost", "answered"]);
    expect(ended.usage).toMatchObject({ calls: 3, inputTokens: 20, costUsd: null });
  });

  test("between the calls of a chain goes on where it stood", async () => {
    const [first, second] = [new Model(), new Model()];
    await first.script({ text: "" });
    await second.script({ delayMs: 60_000, text: "lost" }, { text: "at last" });
    const run = await admin.begin({ steps: [say(first, { fallbacks: [second.wanted], heartbeat: "2s" })] });
    await second.calls(1);
    await host.kill("worker");
    await host.start("worker");
    expect((await run.end()).output).toBe("at last");
    expect(await first.calls()).toHaveLength(1);
    expect(await second.calls()).toHaveLength(2);
  });

  test("in good order cuts its call, and the next worker makes it again", async () => {
    const model = new Model();
    await model.script({ delayMs: 60_000, text: "lost" }, { text: "at last" });
    const run = await admin.begin({ steps: [say(model)] });
    await model.calls(1);
    await host.end("worker");
    await host.start("worker");
    expect((await run.end()).output).toBe("at last");
    expect(await statusesOf(run.id)).toEqual(["canceled", "answered"]);
  });

  test("while Postgres is away takes the answer along", async () => {
    const model = new Model();
    await model.script({ delayMs: 1_000, text: "paid once" });
    const run = await admin.begin({ steps: [say(model, { heartbeat: "4s" })] });
    await model.calls(1);
    await host.kill("postgres");
    await host.modelAnswered(model.name, 1);
    // Its heartbeat has left by then.
    await new Promise((later) => setTimeout(later, 3_000));
    await host.kill("worker");
    await host.heal();
    expect((await run.end()).output).toBe("paid once");
    expect(await model.calls()).toHaveLength(1);
  });
});

/** What a watcher of a run is sent until the run has ended. */
async function watch(run: Run): Promise<{ id: string; event: string; data: JsonObject }[]> {
  const response = await admin.fetch("GET", `${run.path}/events`, { headers: { accept: "text/event-stream" } });
  const sent = [];
  for await (const { id, event, data } of readStream(response)) sent.push({ id, event, data: JSON.parse(data) as JsonObject });
  return sent;
}

const textOf = (hints: { data: JsonObject }[]): string => hints.map(({ data }) => String(data["text"] as string)).join("");

describe("a streamed answer", () => {
  const words = "one two three four five six seven eight nine ten ";

  test("is seen as it comes, without a number, before it stands in the log", async () => {
    const model = new Model();
    await model.script({ text: words, pauseMs: 100, delayMs: 1_000 });
    const run = await admin.begin({ steps: [say(model, { stream: true })] });
    const sent = await watch(run);
    const deltas = sent.filter(({ event }) => event === "model.delta");
    expect(deltas.length).toBeGreaterThan(3);
    expect(textOf(deltas)).toBe(words);
    expect(deltas.map(({ data }) => data["index"])).toEqual(deltas.map((_, index) => index));
    expect(deltas[0]).toMatchObject({ id: "", data: { step: "say", attempt: 1, call: 0, kind: "text" } });
    const completed = sent.findIndex(({ event }) => event === "step.completed");
    expect(sent.findIndex(({ event }) => event === "model.delta")).toBeLessThan(completed);
    expect(sent[completed]!.data).toMatchObject({ data: { output: words } });
    expect((await run.read()).usage).toMatchObject({ calls: 1, inputTokens: 10, outputTokens: 5 });
  });

  test("that breaks off is taken back when the next call begins", async () => {
    const model = new Model();
    await model.script({ text: words, pauseMs: 50, delayMs: 1_000, cut: "middle" }, { text: "whole" });
    const run = await admin.begin({ steps: [say(model, { stream: true })] });
    const sent = await watch(run);
    const hints = sent.filter(({ event }) => event.startsWith("model."));
    const reset = hints.findIndex(({ event }) => event === "model.reset");
    expect(reset).toBeGreaterThan(0);
    expect(hints[reset]!.data).toEqual({ step: "say", attempt: 1, call: 1 });
    expect(textOf(hints.slice(reset + 1))).toBe("whole");
    expect((await run.end()).output).toBe("whole");
  });

  test("of another tenant is not seen", async () => {
    const model = new Model();
    await model.script({ text: words, pauseMs: 50, delayMs: 500 });
    const stranger = await admin.withKey({ principal: "mallory", kind: "person", roles: ["admin"], tenant: "strangers" });
    const run = await admin.begin({ steps: [say(model, { stream: true })] });
    const refused = await stranger.fetch("GET", `${run.path}/events`, { headers: { accept: "text/event-stream" } });
    expect(refused.status).toBe(404);
    expect((await run.end()).output).toBe(words);
  });

  test("comes whole while Redis is away", async () => {
    const model = new Model();
    await model.script({ text: words, pauseMs: 20 });
    await host.kill("redis");
    const run = await admin.begin({ steps: [say(model, { stream: true })] });
    expect((await run.end()).output).toBe(words);
    await host.heal();
  });
});

describe("a cached answer", () => {
  test("stands for the same request, costs nothing and says so", async () => {
    const model = new Model();
    const definition = { steps: [say(model, { cache: { ttl: "1h" } })] };
    const first = await admin.finish(definition);
    const second = await admin.begin(definition);
    expect((await second.end()).output).toBe(first.output);
    expect(await model.calls()).toHaveLength(1);
    const [step] = await second.steps();
    expect(step!.usage).toEqual({ model: model.wanted, inputTokens: 0, outputTokens: 0, costUsd: 0, calls: 0, cached: true });
    expect(await callsOf(second.id)).toMatchObject([{ status: "cached", costUsd: 0, inputTokens: 0 }]);
    expect((await second.read()).usage).toEqual({ inputTokens: 0, outputTokens: 0, calls: 0, costUsd: 0 });
  });

  test("is none for another request, another schema, another tenant, or after its time", async () => {
    const model = new Model();
    const cached = (more: object) => admin.finish({ steps: [say(model, { cache: { ttl: "1h" }, ...more })] });
    await cached({ prompt: "one" });
    await cached({ prompt: "two" });
    await model.script({ json: { risk: 1 } });
    await cached({ prompt: "one", outputSchema: risk });
    expect(await model.calls()).toHaveLength(3);
    const stranger = await admin.withKey({ principal: "eve", kind: "person", roles: ["admin"], tenant: "strangers" });
    await stranger.finish({ steps: [say(model, { cache: { ttl: "1h" }, prompt: "one" })] });
    expect(await model.calls()).toHaveLength(4);
    const short = new Model();
    const definition = { steps: [say(short, { cache: { ttl: "50ms" } })] };
    await admin.finish(definition);
    await admin.finish(definition);
    expect(await short.calls()).toHaveLength(2);
  });

  test("stands for whatever has its key", async () => {
    const model = new Model();
    const definition = { steps: [say(model, { prompt: "${input.text}", cache: { key: "${input.id}", ttl: "1h" } })] };
    const first = await admin.finish(definition, { id: "a", text: "first" });
    expect((await admin.finish(definition, { id: "a", text: "second" })).output).toBe(first.output);
    expect((await admin.finish(definition, { id: "b", text: "third" })).output).toBe("echo: third");
  });

  test("is not kept of a step that failed", async () => {
    const model = new Model();
    await model.script({ json: { risk: "high" } }, { json: { risk: 0.2 } });
    const definition = { steps: [say(model, { outputSchema: risk, repairs: 0, cache: { ttl: "1h" } })] };
    expect((await admin.finish(definition)).status).toBe("failed");
    expect((await admin.finish(definition)).output).toEqual({ risk: 0.2 });
  });
});

describe("an execution that was reset", () => {
  const question = { id: "ask", type: "approval", title: "?", needs: ["say"] };

  test("does not pay for an answer again", async () => {
    const model = new Model();
    const run = await admin.begin({ steps: [say(model), question], output: "${steps.say.output}" });
    await run.approval("ask");
    await host.settle("default", run.id);
    await host.reset("default", run.id);
    await host.settle("default", run.id);
    await admin.decide(await run.approval("ask"), { decision: "approve" });
    expect((await run.end()).output).toBe("echo: Hi");
    expect(await model.calls()).toHaveLength(1);
  });

  test("tries anew what had failed", async () => {
    const model = new Model();
    await model.script({ status: 400 });
    const failing = say(model, { onError: "continue" });
    const run = await admin.begin({ steps: [failing, question], output: "${steps.say.output}" });
    await run.approval("ask");
    await host.settle("default", run.id);
    await host.reset("default", run.id);
    await model.calls(2);
    await host.settle("default", run.id);
    expect(await statusesOf(run.id)).toEqual(["failed", "answered"]);
    await admin.decide(await run.approval("ask"), { decision: "approve" });
    await run.end();
  });
});

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
  });

  test("of the tenant, in groups and page by page", async () => {
    await admin.finish({ steps: [say(new Model()), { ...say(new Model()), id: "again" }] });
    const seen: string[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const answer: Answer<Page<{ model: string; day: string }>> = await admin.get(`/api/v2/usage?groupBy=model,day&limit=1${query}`);
      seen.push(...answer.body.data.map(({ model, day }) => `${model} ${day}`));
      cursor = answer.body.page.next;
    }
    expect(new Set(seen).size).toBe(seen.length);
    const { body } = await admin.get<Page<{ agent: null; calls: number }>>("/api/v2/usage?groupBy=agent");
    expect(body.data).toMatchObject([{ agent: null }]);
    expect((await admin.get("/api/v2/usage?groupBy=moon")).status).toBe(400);
    expect((await admin.get("/api/v2/usage?from=2020-01-01T00:00:00Z")).status).toBe(400);
  });

  test("of another tenant is not seen", async () => {
    const stranger = await admin.withKey({ principal: "eve", kind: "person", roles: ["admin"], tenant: "idlers" });
    const run = await admin.finish({ steps: [say(new Model())] });
    expect((await stranger.get(`/api/v2/runs/${run.id}/usage`)).status).toBe(404);
    expect((await stranger.get(`/api/v2/runs/${run.id}/model-calls`)).status).toBe(404);
    expect((await stranger.get<Page<unknown>>("/api/v2/usage")).body.data).toEqual([]);
  });
});

describe("an alias", () => {
  test("is routed, and the run says why: in the step, in its event and in the call", async () => {
    const run = await admin.begin({ steps: [{ id: "say", type: "llm", model: "pair", prompt: "Hi" }] });
    const ended = await run.end();
    expect(ended.output).toBe("echo: Hi");
    const reasons = [
      { model: "openai/pair-a", taken: true, why: "first in the list" },
      { model: "openai/pair-b", taken: false, why: "after openai/pair-a in the list" },
    ];
    const route = { wanted: "pair", taken: "openai/pair-a", candidates: reasons };
    const [step] = await run.steps();
    expect(step!.usage).toMatchObject({ model: "openai/pair-a", routes: [route] });
    const events = (await run.events()).filter(({ type }) => type === "step.completed");
    expect(events[0]!.data["usage"]).toMatchObject({ routes: [route] });
    expect((await callsOf(run.id))[0]!.route).toEqual(route);
  });

  test("leaves a model that keeps failing to another, for all workers, and says so", async () => {
    const failing = Array.from({ length: 5 }, () => ({ status: 500 }));
    await host.scriptModel("sick-a", failing);
    const patient = { initialInterval: "10ms", maxInterval: "10ms", maxAttempts: 6 };
    const run = await admin.begin({ steps: [{ id: "say", type: "llm", model: "sick", prompt: "Hi", retry: patient }] });
    expect((await run.end()).output).toBe("echo: Hi");
    const calls = await callsOf(run.id);
    expect(calls.map(({ model }) => model)).toEqual(["sick-a", "sick-a", "sick-a", "sick-a", "sick-a", "sick-b"]);
    expect(calls.at(-1)!.route!.candidates[0]).toMatchObject({
      model: "openai/sick-a",
      taken: false,
      why: expect.stringContaining("keeps failing"),
    });
    await host.kill("worker");
    await host.start("worker");
    const next = await admin.finish({ steps: [{ id: "say", type: "llm", model: "sick", prompt: "Hi" }] });
    expect((await callsOf(next.id)).map(({ model }) => model)).toEqual(["sick-b"]);
  });
});
