import { beforeAll, describe, expect, test } from "@jest/globals";
import { admin, facts, Model, Place, type Run } from "./client.ts";
import { FOREIGN_QUEUE } from "./protocol.ts";

const soon = { initialInterval: "10ms", maxAttempts: 3 };
const risk = { type: "object", required: ["risk"], properties: { risk: { type: "number" } } };

/** It lasts while the others are tested. A worker that a busy machine lets stand still for 3 s has yet to beat in time. */
let long: Run;
beforeAll(async () => {
  const place = new Place();
  await place.script({ delayMs: 5_000 });
  long = await admin.begin({ steps: [{ id: "call", type: "http", url: place.url, heartbeat: "4s", retry: { maxAttempts: 1 } }] });
});

describe("llm", () => {
  test("a model's words are the step's output", async () => {
    const model = new Model();
    await model.script({ text: "Fine." });
    const run = await admin.finish(
      { steps: [{ id: "say", type: "llm", model: model.wanted, prompt: "How is ${input.who}?" }] },
      { who: "Ada" },
    );
    expect(run.output).toBe("Fine.");
  });

  test("the model sees the prompt with its values", async () => {
    const model = new Model();
    await admin.finish({ steps: [{ id: "say", type: "llm", model: model.wanted, prompt: "How is ${input.who}?" }] }, { who: "Ada" });
    const [call] = await model.calls(1);
    expect(JSON.parse(call!.body)).toMatchObject({ messages: [{ role: "user", content: "How is Ada?" }] });
  });

  test("a run adds up the tokens of its steps", async () => {
    const model = new Model();
    const say = { type: "llm", model: model.wanted, prompt: "Hi" };
    const run = await admin.finish({
      steps: [
        { id: "one", ...say },
        { id: "two", ...say },
      ],
    });
    expect(run.usage).toEqual({ inputTokens: 20, outputTokens: 10, calls: 2, costUsd: null });
  });

  test("later steps see a step's usage", async () => {
    const model = new Model();
    const run = await admin.finish({
      steps: [{ id: "say", type: "llm", model: model.wanted, prompt: "Hi" }],
      output: "${steps.say.usage.outputTokens}",
    });
    expect(run.output).toBe(5);
  });

  test("with outputSchema the output is the value", async () => {
    const model = new Model();
    await model.script({ json: { risk: 0.7 } });
    const run = await admin.finish({ steps: [{ id: "rate", type: "llm", model: model.wanted, prompt: "Rate", outputSchema: risk }] });
    expect(run.output).toEqual({ risk: 0.7 });
  });

  test("an answer that does not fit is repaired by the model", async () => {
    const model = new Model();
    await model.script({ json: { risk: "high" } }, { json: { risk: 0.4 } });
    const run = await admin.finish({ steps: [{ id: "rate", type: "llm", model: model.wanted, prompt: "Rate", outputSchema: risk }] });
    expect(run.output).toEqual({ risk: 0.4 });
  });

  test("an answer that cannot be repaired fails the step as model_output", async () => {
    const model = new Model();
    await model.script({ json: { risk: "high" } }, { json: { risk: "higher" } });
    const step = { id: "rate", type: "llm", model: model.wanted, prompt: "Rate", outputSchema: risk, repairs: 1 };
    const run = await admin.finish({ steps: [step] });
    expect(run.error).toMatchObject({ type: "model_output", instance: "rate" });
  });

  test("a model that is overloaded is asked again", async () => {
    const model = new Model();
    await model.script(
      { status: 529, headers: { "retry-after-ms": "1" } },
      { status: 429, headers: { "retry-after-ms": "1" } },
      { text: "at last" },
    );
    const run = await admin.finish({ steps: [{ id: "say", type: "llm", model: model.wanted, prompt: "Hi" }] });
    expect(run.output).toBe("at last");
  });
});

describe("tool", () => {
  test("a tool of one's own is called with its arguments", async () => {
    const run = await admin.finish(
      { steps: [{ id: "double", type: "tool", tool: "test.double", arguments: { n: "${input.n}" } }] },
      { n: 21 },
    );
    expect(run.output).toEqual({ n: 42 });
  });

  test("arguments that do not fit fail the step as tool_input", async () => {
    const run = await admin.finish({ steps: [{ id: "double", type: "tool", tool: "test.double", arguments: { n: "many" } }] });
    expect(run.error).toMatchObject({ type: "tool_input", pointer: "/n" });
  });

  test("an unknown tool fails the step with the nearest name", async () => {
    const run = await admin.finish({ steps: [{ id: "double", type: "tool", tool: "test.duoble", arguments: {} }] });
    expect(run.error).toMatchObject({ type: "tool_input", near: ["test.double"] });
  });

  test("a tool that breaks fails the step after its attempts", async () => {
    const run = await admin.finish({ steps: [{ id: "try", type: "tool", tool: "test.breaks", arguments: {}, retry: soon }] });
    expect(run.error).toMatchObject({ type: "tool", detail: expect.stringContaining("broken on purpose") });
  });
});

describe("http", () => {
  test("gives status, headers and body", async () => {
    const place = new Place();
    await place.script({ status: 201, headers: { "content-type": "application/json", "x-mark": "7" }, body: '{"ok":true}' });
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: place.url }] });
    expect(run.output).toMatchObject({ status: 201, headers: { "x-mark": "7" }, body: { ok: true } });
  });

  test("sends method, headers, query and body", async () => {
    const place = new Place();
    const step = {
      id: "call",
      type: "http",
      method: "put",
      url: place.url,
      headers: { "x-a": "${input.a}" },
      query: { q: "${input.a}" },
      body: { a: "${input.a}" },
    };
    await admin.finish({ steps: [step] }, { a: "1 2" });
    const [call] = await place.calls(1);
    expect(call).toMatchObject({ method: "PUT", path: `${place.path}?q=1%202`, headers: { "x-a": "1 2" }, body: '{"a":"1 2"}' });
  });

  test("a value in the path is one segment", async () => {
    const place = new Place();
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: `${place.url}/\${input.name}/end` }] }, { name: "a b?c/d" });
    expect(run.output).toMatchObject({ body: { path: `${place.path}/a%20b%3Fc%2Fd/end` } });
  });

  test("a value cannot climb out of the path", async () => {
    const place = new Place();
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: `${place.url}/\${input.name}/end` }] }, { name: ".." });
    expect(run.error).toMatchObject({ type: "policy" });
  });

  test("an answer outside 2xx fails the step with its status and body", async () => {
    const place = new Place();
    await place.script({ status: 402, headers: { "content-type": "application/json" }, body: '{"why":"no money"}' });
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: place.url }] });
    expect(run.error).toMatchObject({ type: "http", status: 402, body: { why: "no money" } });
  });

  test("a status that is expected is a success", async () => {
    const place = new Place();
    await place.script({ status: 404 });
    const run = await admin.finish({
      steps: [{ id: "call", type: "http", url: place.url, expect: [200, 404] }],
      output: "${steps.call.output.status}",
    });
    expect(run.output).toBe(404);
  });

  test("a private address that nobody allowed is refused", async () => {
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: facts.apiUrl }] });
    expect(run.error).toMatchObject({ type: "policy", status: 403 });
  });

  test("a body that does not fit outputSchema fails the step as schema", async () => {
    const outputSchema = { type: "object", properties: { n: { type: "string" } } };
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: new Place().url, outputSchema }] });
    expect(run.error).toMatchObject({ type: "schema", instance: "call" });
  });

  test("a body that fits outputSchema is a success", async () => {
    const outputSchema = { type: "object", required: ["n"], properties: { n: { type: "number" } } };
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: new Place().url, outputSchema }] });
    expect(run.output).toMatchObject({ status: 200, body: { n: 1 } });
  });
});

describe("activity", () => {
  const foreign = { type: "activity", taskQueue: FOREIGN_QUEUE };

  test("a list is the activity's arguments one by one", async () => {
    const run = await admin.finish({ steps: [{ id: "sum", ...foreign, activity: "add", arguments: [1, 2, "${input.n}"] }] }, { n: 39 });
    expect(run.output).toBe(42);
  });

  test("anything else is its only argument", async () => {
    const run = await admin.finish({ steps: [{ id: "hail", ...foreign, activity: "greet", arguments: { name: "Ada" } }] });
    expect(run.output).toEqual({ text: "Hello Ada" });
  });

  test("an activity that fails is tried again", async () => {
    const run = await admin.finish({ steps: [{ id: "walk", ...foreign, activity: "stumble", retry: soon }] });
    expect(run.output).toBe(3);
  });

  test("its own error type can be caught", async () => {
    const handler = { errors: ["CardUnknown"], steps: [{ id: "tell", type: "set", values: "${error.detail}" }] };
    const run = await admin.finish({ steps: [{ id: "pay", ...foreign, activity: "refuse", catch: [handler] }] });
    expect(run.output).toBe("The card is not ours.");
  });

  test("its output must fit outputSchema", async () => {
    const run = await admin.finish({
      steps: [{ id: "sum", ...foreign, activity: "add", arguments: [1], outputSchema: { type: "string" } }],
    });
    expect(run.error).toMatchObject({ type: "schema" });
  });

  test("a large result is kept whole", async () => {
    const run = await admin.finish({ steps: [{ id: "text", ...foreign, activity: "bigText", arguments: [50_000] }] });
    expect(run.output).toBe("x".repeat(50_000));
  });
});

describe("retry", () => {
  const patient = { initialInterval: "1h", maxInterval: "1h", maxAttempts: 2 };

  test("a server that answers 503 twice is called three times", async () => {
    const place = new Place();
    await place.script({ status: 503 }, { status: 503 });
    const run = await admin.finish({
      steps: [{ id: "call", type: "http", url: place.url, retry: soon }],
      output: "${steps.call.output.body.n}",
    });
    expect(run.output).toBe(3);
  });

  test("Retry-After goes before the step's own interval", async () => {
    const place = new Place();
    await place.script({ status: 429, headers: { "retry-after-ms": "5" } });
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: place.url, retry: patient, totalTimeout: "2h" }] });
    expect(run.error).toBeNull();
  });

  test("Retry-After of 0 means at once", async () => {
    const place = new Place();
    await place.script({ status: 429, headers: { "retry-after": "0" } });
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: place.url, retry: patient, totalTimeout: "2h" }] });
    expect(run.error).toBeNull();
  });

  test("an error type named in nonRetryable is not tried again", async () => {
    const place = new Place();
    await place.script({ status: 503 });
    await admin.finish({ steps: [{ id: "call", type: "http", url: place.url, retry: { ...soon, nonRetryable: ["http"] } }] });
    expect(await place.calls()).toHaveLength(1);
  });

  test("an answer that asks for patience is asked again by retry.while", async () => {
    const place = new Place();
    const step = { id: "call", type: "http", url: place.url, retry: { ...soon, while: "${output.body.n < 3}" } };
    const run = await admin.finish({ steps: [step], output: "${steps.call.output.body.n}" });
    expect(run.output).toBe(3);
  });

  test("retry.while that never comes false fails the step", async () => {
    const step = { id: "call", type: "http", url: new Place().url, retry: { ...soon, while: "${true}" } };
    const run = await admin.finish({ steps: [step] });
    expect(run.error).toMatchObject({ instance: "call", detail: expect.stringContaining("3 attempts") });
  });

  test("totalTimeout ends the attempts", async () => {
    const place = new Place();
    await place.script(...Array.from({ length: 500 }, () => ({ status: 503 })));
    const retry = { initialInterval: "20ms", maxInterval: "20ms", maxAttempts: 1_000 };
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: place.url, totalTimeout: "1s", retry }] });
    expect(run).toMatchObject({ status: "failed", error: { instance: "call" } });
  });

  test("defaults.retry holds for all calls", async () => {
    const place = new Place();
    await place.script({ status: 503 });
    const run = await admin.finish({ defaults: { retry: { maxAttempts: 1 } }, steps: [{ id: "call", type: "http", url: place.url }] });
    expect(run.error).toMatchObject({ type: "http", status: 503 });
  });

  test("an attempt that takes too long fails as timeout", async () => {
    const place = new Place();
    await place.script({ delayMs: 30_000 });
    const run = await admin.finish({ steps: [{ id: "call", type: "http", url: place.url, timeout: "300ms", retry: { maxAttempts: 1 } }] });
    expect(run.error).toMatchObject({ type: "timeout", instance: "call" });
  });

  test("a connection that breaks is tried again", async () => {
    const place = new Place();
    await place.script({ cut: "before" }, { cut: "middle" });
    const run = await admin.finish({
      steps: [{ id: "call", type: "http", url: place.url, retry: soon }],
      output: "${steps.call.output.body.n}",
    });
    expect(run.output).toBe(3);
  });
});

describe("headers of calls", () => {
  test("all attempts of a step carry one Idempotency-Key", async () => {
    const place = new Place();
    await place.script({ status: 503 }, { status: 503 });
    await admin.finish({ steps: [{ id: "call", type: "http", url: place.url, retry: soon }] });
    expect(keysOf(await place.calls(3)).size).toBe(1);
  });

  test("each step has a key of its own", async () => {
    const place = new Place();
    const call = { type: "http", url: place.url };
    await admin.finish({
      steps: [
        { id: "one", ...call },
        { id: "two", ...call },
      ],
    });
    expect(keysOf(await place.calls(2)).size).toBe(2);
  });

  test("each item has a key of its own", async () => {
    const place = new Place();
    await admin.finish({
      steps: [{ id: "all", type: "foreach", items: "${range(5)}", steps: [{ id: "call", type: "http", url: place.url }] }],
    });
    expect(keysOf(await place.calls(5)).size).toBe(5);
  });

  test("each iteration has a key of its own", async () => {
    const place = new Place();
    const loop = { id: "again", type: "loop", maxIterations: 3, onLimit: "end", steps: [{ id: "call", type: "http", url: place.url }] };
    await admin.finish({ steps: [loop] });
    expect(keysOf(await place.calls(3)).size).toBe(3);
  });

  test("every call names its run", async () => {
    const place = new Place();
    const run = await admin.begin({ steps: [{ id: "call", type: "http", url: place.url }] });
    const [call] = await place.calls(1);
    expect(call!.headers["x-run-id"]).toBe(run.id);
  });

  test("models get both headers too", async () => {
    const model = new Model();
    const run = await admin.begin({ steps: [{ id: "say", type: "llm", model: model.wanted, prompt: "Hi" }] });
    const [call] = await model.calls(1);
    expect(call!.headers).toMatchObject({ "x-run-id": run.id, "idempotency-key": `${run.id}:say` });
  });
});

test("a call longer than its heartbeat goes on while its worker lives", async () => {
  expect((await long.end()).error).toBeNull();
});

const keysOf = (calls: { headers: Record<string, string> }[]): Set<string | undefined> =>
  new Set(calls.map(({ headers }) => headers["idempotency-key"]));
