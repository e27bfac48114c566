import { afterAll, describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { callsOf, risk, say } from "./asking.ts";
import { admin, host, Model, type Run } from "./client.ts";
import { readStream } from "./sse.ts";

/**
 * What a watcher of a run is sent until the run has ended. Its model begins to speak when somebody listens, and says no more than half
 * until a word was heard.
 */
async function watch(run: Run, model: Model): Promise<{ id: string; event: string; data: JsonObject }[]> {
  const response = await admin.fetch("GET", `${run.path}/events`, { headers: { accept: "text/event-stream" } });
  await host.untilWatched(run.id);
  await host.releaseModel(model.name);
  const sent: { id: string; event: string; data: JsonObject }[] = [];
  for await (const { id, event, data } of readStream(response)) {
    if (event === "model.delta" && sent.every((earlier) => earlier.event !== event)) await host.releaseModel(model.name);
    sent.push({ id, event, data: JSON.parse(data) as JsonObject });
  }
  return sent;
}

const textOf = (hints: { data: JsonObject }[]): string => hints.map(({ data }) => String(data["text"] as string)).join("");

describe("a streamed answer", () => {
  afterAll(() => host.heal());

  const words = "one two three four five six seven eight nine ten ";

  test("is seen as it comes, without a number, before it stands in the log", async () => {
    const model = new Model();
    await host.holdModel(model.name, { text: words, pauseMs: 20 });
    const run = await admin.begin({ steps: [say(model, { stream: true })] });
    const sent = await watch(run, model);
    const deltas = sent.filter(({ event }) => event === "model.delta");
    expect(deltas.length).toBeGreaterThan(1);
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
    await host.holdModel(model.name, { text: words, cut: "middle" });
    await model.script({ text: "whole" });
    const run = await admin.begin({ steps: [say(model, { stream: true })] });
    const sent = await watch(run, model);
    const hints = sent.filter(({ event }) => event.startsWith("model."));
    const reset = hints.findIndex(({ event }) => event === "model.reset");
    expect(reset).toBeGreaterThan(0);
    expect(hints[reset]!.data).toEqual({ step: "say", attempt: 1, call: 1 });
    expect(textOf(hints.slice(reset + 1))).toBe("whole");
    expect((await run.end()).output).toBe("whole");
  });

  test("of another tenant is not seen", async () => {
    const model = new Model();
    await model.script({ text: words });
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
    const definition = { steps: [say(short, { cache: { ttl: "1ms" } })] };
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
