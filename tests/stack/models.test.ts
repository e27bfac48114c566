import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test } from "@jest/globals";
import { risk, say, soon, statusesOf, callsOf } from "./asking.ts";
import { admin, host, Model } from "./client.ts";

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

  test("is told how hard to reason and how long to answer; an answer that is cut says what to raise", async () => {
    const model = new Model();
    await model.script({ text: "and then", isCutShort: true });
    const run = await admin.finish({ steps: [say(model, { reasoning: "high", maxOutputTokens: 2_000 })] });
    expect(run.error).toMatchObject({ type: "model_output", detail: expect.stringContaining("raise `maxOutputTokens`") as unknown });
    expect(JSON.parse((await model.calls())[0]!.body)).toMatchObject({ reasoning_effort: "high", max_tokens: 2_000 });
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
    await model.script({ delayMs: 2_000, text: "paid once" });
    const run = await admin.begin({ steps: [say(model, { heartbeat: "4s" })] });
    const { temporal } = (await run.read()).links;
    await model.calls(1);
    await host.kill("postgres");
    while (!(await heartbeatOf(temporal)).includes("paid once")) await sleep(50);
    await host.kill("worker");
    await host.heal();
    expect((await run.end()).output).toBe("paid once");
    expect(await model.calls()).toHaveLength(1);
  });
});

/** What the call of a run that is under way has told Temporal last, as the Web UI asks for it. */
async function heartbeatOf(link: string): Promise<string> {
  const [, ui, workflow] = /^(.*)\/namespaces\/default\/workflows\/([^/]+)/.exec(link)!;
  const response = await fetch(`${ui}/api/v1/namespaces/default/workflows/${workflow}`);
  const { pendingActivities = [] } = (await response.json()) as Described;
  const payloads = pendingActivities.flatMap(({ heartbeatDetails }) => heartbeatDetails?.payloads ?? []);
  return payloads.map(({ data = "" }) => Buffer.from(data, "base64").toString()).join(" ");
}

interface Described {
  pendingActivities?: { heartbeatDetails?: { payloads: { data?: string }[] } }[];
}

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
