import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { LlmFields } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import type { JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { startModelServer, type ModelServer } from "../tests/servers/model-server.ts";
import { testContext } from "../tests/work-context.ts";
import { createLlm, type Llm } from "./llm.ts";
import { createModels, describeModels } from "./models.ts";
import { fitsStrictMode } from "./model-openai.ts";

const city: JsonSchema = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };

const ask = (more: Partial<LlmFields> = {}): LlmFields => ({
  models: ["default"],
  messages: [{ role: "user", content: "Where?" }],
  repairs: 2,
  ...more,
});

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Fault) return error;
  throw new Error(`expected a fault, got ${String(error)}`);
}

let server: ModelServer;
beforeEach(async () => void (server = await startModelServer()));
afterEach(() => server.close());

const providers = {
  openai: () => ({ OPENAI_API_KEY: "key", OPENAI_BASE_URL: `${server.url}/v1`, TENUTO_MODELS: [] }),
  anthropic: () => ({ ANTHROPIC_API_KEY: "key", ANTHROPIC_BASE_URL: server.url, TENUTO_MODELS: [] }),
};

describe.each(Object.entries(providers))("a step that asks %s", (name, settings) => {
  let llm: Llm;
  beforeEach(() => void (llm = createLlm({ models: createModels(settings()) })));

  test("gets the text and what it cost", async () => {
    server.script({ text: "Here.", usage: { inputTokens: 7, outputTokens: 3 } });
    const { output, usage } = await llm(ask(), {}, testContext());
    expect(output).toBe("Here.");
    expect(usage).toMatchObject({ inputTokens: 7, outputTokens: 3, costUsd: null, calls: 1 });
    expect(usage.model).toMatch(new RegExp(`^${name}/`));
  });

  test("sends its idempotency key and run id", async () => {
    await llm(ask(), {}, testContext());
    expect(server.requests[0]!.headers).toMatchObject({ "idempotency-key": "r_1:step", "x-run-id": "r_1" });
  });

  test("gets a value that fits its schema", async () => {
    server.script({ json: { city: "Bonn" } });
    const { output } = await llm(ask(), { outputSchema: city }, testContext());
    expect(output).toEqual({ city: "Bonn" });
    const body = server.body(0);
    expect(body.response_format?.json_schema.schema ?? body.tools?.[0]?.input_schema).toEqual(city);
  });

  test("gets a list although providers answer with objects only", async () => {
    server.script({ json: { value: ["a", "b"] } });
    const { output } = await llm(ask(), { outputSchema: { type: "array", items: { type: "string" } } }, testContext());
    expect(output).toEqual(["a", "b"]);
  });

  test("shows the model a wrong answer once and takes the repaired one, paying for both", async () => {
    server.script({ json: { town: "Bonn" } }, { json: { city: "Bonn" } });
    const { output, usage } = await llm(ask(), { outputSchema: city }, testContext());
    expect(output).toEqual({ city: "Bonn" });
    expect(usage).toMatchObject({ inputTokens: 20, outputTokens: 10, calls: 2 });
    expect(server.requests[1]!.headers["idempotency-key"]).toBe("r_1:step:repair1");
    expect(server.body(1).messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
    expect(server.requests[1]!.body).toContain("town");
  });

  test("fails with model_output when no repair helps", async () => {
    server.script({ json: {} }, { json: {} }, { json: {} });
    const fault = await faultOf(llm(ask(), { outputSchema: city }, testContext()));
    expect(fault.code).toBe("model_output");
    expect(fault.problem["usage"]).toMatchObject({ calls: 3, inputTokens: 30 });
    expect(server.requests).toHaveLength(3);
  });

  test("repairs an answer that is not JSON", async () => {
    server.script({ text: "{ broken" }, { json: { city: "Bonn" } });
    expect((await llm(ask(), { outputSchema: city }, testContext())).output).toEqual({ city: "Bonn" });
  });

  test("takes JSON out of a code fence", async () => {
    server.script({ text: '```json\n{"city":"Bonn"}\n```' });
    expect((await llm(ask(), { outputSchema: city }, testContext())).output).toEqual({ city: "Bonn" });
  });

  const answers: { says: string; status: number; headers: Record<string, string>; expected: object }[] = [
    { says: "429 with seconds", status: 429, headers: { "retry-after": "7" }, expected: { retryable: true, retryAfterMs: 7_000 } },
    {
      says: "429 with milliseconds, which win",
      status: 429,
      headers: { "retry-after": "7", "retry-after-ms": "1500" },
      expected: { retryable: true, retryAfterMs: 1_500 },
    },
    { says: "429 without", status: 429, headers: {}, expected: { retryable: true, retryAfterMs: undefined } },
    { says: "500", status: 500, headers: {}, expected: { retryable: true } },
    { says: "529", status: 529, headers: {}, expected: { retryable: true } },
    { says: "408", status: 408, headers: {}, expected: { retryable: true } },
    { says: "409", status: 409, headers: {}, expected: { retryable: true } },
    { says: "400", status: 400, headers: {}, expected: { retryable: false } },
    { says: "401", status: 401, headers: {}, expected: { retryable: false } },
    { says: "404", status: 404, headers: {}, expected: { retryable: false } },
    { says: "500 and not to retry", status: 500, headers: { "x-should-retry": "false" }, expected: { retryable: false } },
    { says: "400 and to retry", status: 400, headers: { "x-should-retry": "true" }, expected: { retryable: true } },
  ];
  test.each(answers)("is told what to do after $says, and nothing is retried behind its back", async ({ status, headers, expected }) => {
    server.script({ status, headers });
    const fault = await faultOf(llm(ask(), {}, testContext()));
    expect(fault.code).toBe("model");
    expect({ retryable: fault.problem["retryable"], retryAfterMs: fault.problem["retryAfterMs"] }).toMatchObject(expected);
    expect(server.requests).toHaveLength(1);
  });

  test("waits until the date a server names", async () => {
    server.script({ status: 503, headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() } });
    const waitMs = Number((await faultOf(llm(ask(), {}, testContext()))).problem["retryAfterMs"]);
    expect(waitMs).toBeGreaterThan(55_000);
    expect(waitMs).toBeLessThanOrEqual(60_000);
  });

  test.each(["before", "middle"] as const)("may be retried when the connection is cut (%s)", async (cut) => {
    server.script({ cut, text: "x".repeat(2_000) });
    const fault = await faultOf(llm(ask(), {}, testContext()));
    expect(fault.code).toBe("model");
    expect(fault.problem["retryable"]).toBe(true);
  });

  test.each(["{ broken", "[]", "{}", "null"])("may be retried when the server answers %s", async (body) => {
    server.script({ body });
    const fault = await faultOf(llm(ask(), {}, testContext()));
    expect([fault.code, fault.problem["retryable"]]).toEqual(["model", true]);
  });

  test("times out", async () => {
    server.script({ delayMs: 5_000, text: "late" });
    const fault = await faultOf(llm(ask(), {}, testContext({ timeoutMs: 100 })));
    expect(fault.code).toBe("timeout");
  });

  test("ends with the reason of its cancellation", async () => {
    server.script({ delayMs: 5_000, text: "late" });
    const stop = new AbortController();
    const reason = new Error("canceled by a person");
    setTimeout(() => stop.abort(reason), 50);
    await expect(llm(ask({ models: ["default", "fast"] }), {}, testContext({ signal: stop.signal }))).rejects.toBe(reason);
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    ["an empty answer", { text: "" }],
    ["a refusal", { refusal: "I cannot help with that." }],
    ["an answer cut by the model's limit", { text: "and then", isCutShort: true }],
  ])("fails with model_output for %s", async (_, reply) => {
    server.script(reply);
    expect((await faultOf(llm(ask(), {}, testContext()))).code).toBe("model_output");
  });

  test("stops reading an answer of 5 MB", async () => {
    server.script({ text: "x".repeat(5 * 1024 * 1024) });
    const fault = await faultOf(llm(ask(), {}, testContext()));
    expect(fault.code).toBe("limit");
    expect(fault.message).toContain(String(limits.modelAnswerBytesMax));
  });

  test("estimates tokens when the server does not count them", async () => {
    server.script({ text: "a".repeat(400), usage: null });
    const { usage } = await llm(ask(), {}, testContext());
    expect(usage.outputTokens).toBe(100);
    expect(usage.inputTokens).toBeGreaterThan(0);
  });

  test("asks its fallback in the same attempt, under a key of its own", async () => {
    server.script({ status: 500 }, { text: "from the second" });
    const { output, usage } = await llm(ask({ models: ["smart", "cheap"] }), {}, testContext());
    expect(output).toBe("from the second");
    expect(usage.calls).toBe(2);
    expect(server.requests.map(({ headers }) => headers["idempotency-key"])).toEqual(["r_1:step", "r_1:step:fallback1"]);
  });

  test("leaves time for the fallback of a model that hangs", async () => {
    server.script({ delayMs: 5_000 }, { text: "in time" });
    const { output } = await llm(ask({ models: ["smart", "cheap"] }), {}, testContext({ timeoutMs: 600 }));
    expect(output).toBe("in time");
  });

  test("is retried after the shortest wait when every model failed", async () => {
    server.script({ status: 401 }, { status: 429, headers: { "retry-after": "9" } }, { status: 429, headers: { "retry-after": "4" } });
    const { problem } = await faultOf(llm(ask({ models: ["smart", "fast", "cheap"] }), {}, testContext()));
    expect(problem).toMatchObject({ code: "model", retryable: true, retryAfterMs: 4_000 });
    expect(problem.detail).toContain("smart: ");
  });

  test("refuses an answer that passes itself off as a stored value", async () => {
    server.script({ json: { $tenutoRef: "0".repeat(64) } });
    expect((await faultOf(llm(ask(), { outputSchema: { type: "object" } }, testContext()))).code).toBe("reserved_key");
  });
});

describe("which model answers", () => {
  const resolve = (wanted: string, settings: Partial<Parameters<typeof createModels>[0]> = {}) => {
    const { provider, name } = createModels({ TENUTO_MODELS: [], ...settings }).resolve(wanted);
    return `${provider}/${name}`;
  };

  test("local, when nothing is set", () => {
    expect(resolve("default")).toBe("local/extractive");
    expect(describeModels({ TENUTO_MODELS: [] })).toContain("set OPENAI_API_KEY");
  });

  test("OpenAI before Anthropic, when both have keys", () => {
    expect(resolve("fast", { OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k" })).toMatch(/^openai\//);
    expect(resolve("fast", { ANTHROPIC_API_KEY: "k" })).toMatch(/^anthropic\//);
  });

  test("a compatible server that needs no key", () => {
    const settings = { OPENAI_BASE_URL: "http://127.0.0.1:11434/v1", TENUTO_MODELS: ["default=openai/meta/llama-3"] };
    expect(resolve("default", settings)).toBe("openai/meta/llama-3");
    expect(describeModels(settings)).toBe("openai/meta/llama-3 at http://127.0.0.1:11434/v1");
  });

  test("an alias of the operator", () => {
    expect(resolve("judge", { TENUTO_MODELS: ["judge=local/extractive"] })).toBe("local/extractive");
    expect(() => resolve("judge", { TENUTO_MODELS: ["judge=gpt"] })).toThrow("TENUTO_MODELS");
  });

  test.each([
    ["nobody", "Aliases: default"],
    ["acme/one", "Aliases"],
    ["openai/gpt-5", "set OPENAI_API_KEY"],
    ["openai/", "Aliases"],
    ["__proto__", "Aliases"],
  ])("%s is refused with what there is", async (wanted, hint) => {
    const fault = await faultOf(createLlm({ models: createModels({ TENUTO_MODELS: [] }) })(ask({ models: [wanted] }), {}, testContext()));
    expect(fault.problem).toMatchObject({ code: "model", retryable: false });
    expect(fault.message).toContain(hint);
  });
});

test("strict mode is used only for schemas it accepts", () => {
  expect(fitsStrictMode(city)).toBe(true);
  expect(fitsStrictMode({ ...city, required: [] })).toBe(false);
  expect(fitsStrictMode({ ...city, additionalProperties: true })).toBe(false);
  expect(fitsStrictMode({ ...city, properties: { city: { type: "object" } } })).toBe(false);
});
