import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { Fault } from "../contracts/faults.ts";
import { isObject, type Json } from "../contracts/json.ts";
import type { TokenUsage } from "../contracts/model-calls.ts";
import { limits } from "../contracts/limits.ts";
import { startModelServer, type ModelServer } from "../tests/servers/model-server.ts";
import { createAnthropic } from "./model-anthropic.ts";
import { outcomeOfError } from "./llm-outcome.ts";
import { createOpenAi } from "./model-openai.ts";
import type { ChatAnswer, ChatRequest, Delta, Message, Model } from "./model-port.ts";
import { fitsStrictMode } from "./openai-request.ts";

/** What every provider promises, whole and as a stream, over real HTTP: its server says what the test wants. */

const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const weather = { name: "weather", description: "The weather of a city", parameters: city };

let server: ModelServer;
beforeEach(async () => void (server = await startModelServer()));
afterEach(() => server.close());

const providers: Record<string, () => Model> = {
  openai: () => createOpenAi({ apiKey: "key", baseUrl: `${server.url}/v1` }),
  anthropic: () => createAnthropic({ apiKey: "key", baseUrl: server.url }),
};

const request = (more: Partial<ChatRequest> = {}): ChatRequest => ({
  model: "m",
  messages: [{ role: "user", content: "Where?" }],
  signal: new AbortController().signal,
  headers: { "idempotency-key": "r_1:step", "x-run-id": "r_1" },
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

const ways = Object.keys(providers).flatMap((provider) => ["chat" as const, "stream" as const].map((way) => [provider, way] as const));

describe.each(ways)("%s by %s", (provider, way) => {
  let deltas: Delta[];
  beforeEach(() => void (deltas = []));

  const ask = (more: Partial<ChatRequest> = {}): Promise<ChatAnswer> => {
    const model = providers[provider]!();
    return way === "chat" ? model.chat(request(more)) : model.stream(request(more), (delta) => deltas.push(delta));
  };

  test("gives the text and what was counted", async () => {
    server.script({ text: "Here it is.", usage: { inputTokens: 7, outputTokens: 3 } });
    const answer = await ask();
    expect(answer).toMatchObject({ text: "Here it is.", toolCalls: [], finish: "stop" });
    expect(answer.usage).toMatchObject({ inputTokens: 7, outputTokens: 3, isEstimated: false });
    if (way === "stream") expect(deltas.map(({ text }) => text).join("")).toBe("Here it is.");
  });

  test("sends the headers it is given", async () => {
    await ask();
    expect(server.requests[0]!.headers).toMatchObject({ "idempotency-key": "r_1:step", "x-run-id": "r_1" });
  });

  test("counts what was read from a cache as a part of the input", async () => {
    server.script({ text: "Here.", usage: { inputTokens: 100, outputTokens: 3, cacheReadTokens: 60 } });
    expect((await ask()).usage).toMatchObject({ inputTokens: 100, cacheReadTokens: 60 });
  });

  test("asks for a schema and gives the value's text", async () => {
    server.script({ json: { city: "Bonn" } });
    const answer = await ask({ outputSchema: city });
    expect(JSON.parse(answer.text)).toEqual({ city: "Bonn" });
    expect(answer.toolCalls).toEqual([]);
    const body = server.body(0);
    expect(body.response_format?.json_schema.schema ?? body.tools?.[0]?.input_schema).toEqual(city);
  });

  test("offers tools and gives the calls that are asked for", async () => {
    const calls = [
      { id: "call_1", name: "weather", arguments: { city: "Bonn" } },
      { id: "call_2", name: "weather", arguments: { city: "Köln am Rhein" } },
    ];
    server.script({ text: "Let me see.", toolCalls: calls });
    const answer = await ask({ tools: [weather], toolChoice: "required" });
    expect(answer).toMatchObject({ text: "Let me see.", toolCalls: calls, finish: "tools" });
    const [tool] = server.body(0).tools ?? [];
    expect(tool?.function?.parameters ?? tool?.input_schema).toEqual(city);
    expect(server.body(0).tool_choice).toEqual(provider === "openai" ? "required" : { type: "any" });
  });

  test("takes a call without arguments", async () => {
    server.script({ toolCalls: [{ id: "call_1", name: "now", arguments: way === "chat" && provider === "openai" ? "" : {} }] });
    expect((await ask({ tools: [weather] })).toolCalls).toEqual([{ id: "call_1", name: "now", arguments: {} }]);
  });

  test("sends calls and their results back in the provider's words", async () => {
    await ask({
      tools: [weather],
      messages: [
        { role: "user", content: "Weather?" },
        {
          role: "assistant",
          content: "",
          toolCalls: [
            { id: "call_1", name: "weather", arguments: { city: "Bonn" } },
            { id: "call_2", name: "weather", arguments: null, malformed: "{" },
          ],
        },
        { role: "tool", toolCallId: "call_1", content: "rain" },
        { role: "tool", toolCallId: "call_2", content: "not JSON", isError: true },
      ],
    });
    const { messages } = server.body(0);
    const said = JSON.stringify(messages);
    for (const part of ["call_1", "call_2", "rain", "not JSON"]) expect(said).toContain(part);
    // Anthropic wants all results of a turn in one message.
    expect(messages).toHaveLength(provider === "openai" ? 4 : 3);
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
    const fault = await faultOf(ask());
    expect([fault.code, fault.problem["upstreamStatus"]]).toEqual(["model", status]);
    expect({ retryable: fault.problem["retryable"], retryAfterMs: fault.problem["retryAfterMs"] }).toMatchObject(expected);
    expect(server.requests).toHaveLength(1);
  });

  test("waits until the date a server names", async () => {
    server.script({ status: 503, headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() } });
    const waitMs = Number((await faultOf(ask())).problem["retryAfterMs"]);
    expect(waitMs).toBeGreaterThan(55_000);
    expect(waitMs).toBeLessThanOrEqual(60_000);
  });

  test.each(["before", "middle"] as const)("may be retried when the connection is cut (%s)", async (cut) => {
    server.script({ cut, text: "word ".repeat(400) });
    const fault = await faultOf(ask());
    expect([fault.code, fault.problem["retryable"]]).toEqual(["model", true]);
    expect(fault.problem["upstreamStatus"]).toBeUndefined();
  });

  test.each(way === "chat" ? ["{ broken", "[]", "{}", "null"] : ["{ broken", "data: { broken\n\n", ""])(
    "may be retried when the server answers %j",
    async (body) => {
      server.script({ body, ...(way === "stream" ? { headers: { "content-type": "text/event-stream" } } : {}) });
      const fault = await faultOf(ask());
      expect([fault.code, fault.problem["retryable"]]).toEqual(["model", true]);
    },
  );

  test("waits for a slow first word", async () => {
    server.script({ delayMs: 300, text: "late but there" });
    expect((await ask()).text).toBe("late but there");
  });

  test("ends when it is told to, also in the middle of an answer", async () => {
    // It would take many minutes.
    server.script(way === "chat" ? { delayMs: 600_000, text: "late" } : { text: "word ".repeat(10_000), pauseMs: 50 });
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error("left")), 120);
    await expect(ask({ signal: stop.signal })).rejects.toBeDefined();
  });

  test("tells a refusal from an answer", async () => {
    server.script({ refusal: "I cannot help with that." });
    expect(await ask()).toMatchObject({ finish: "refusal", text: "I cannot help with that." });
  });

  test("tells an answer that its limit cut", async () => {
    server.script({ text: "and then", isCutShort: true });
    expect((await ask()).finish).toBe("length");
  });

  test("gives an empty answer as such", async () => {
    server.script({ text: "" });
    expect((await ask()).text).toBe("");
  });

  test("stops reading an answer of 5 MB", async () => {
    server.script({ text: "x".repeat(5 * 1024 * 1024) });
    const fault = await faultOf(ask());
    expect(fault.code).toBe("limit");
    expect(fault.message).toContain(String(limits.modelAnswerBytesMax));
  });

  test("estimates tokens when the server does not count them, and says so", async () => {
    server.script({ text: "a".repeat(400), usage: null });
    const { usage } = await ask();
    expect(usage).toMatchObject({ outputTokens: 100, isEstimated: true });
    expect(usage.inputTokens).toBeGreaterThan(0);
  });
});

describe.each(Object.keys(providers))("a stream of %s", (provider) => {
  test("that ends in good order without its last event was cut", async () => {
    server.script({ text: "half of", lacksEnd: true });
    const fault = await faultOf(providers[provider]!().stream(request(), () => undefined));
    expect([fault.code, fault.problem["retryable"]]).toEqual(["model", true]);
  });

  test.each([
    ["overloaded_error", true],
    ["server_error", true],
    ["invalid_request_error", false],
  ])("that an error ends is told apart by its type: %s", async (errorEvent, retryable) => {
    server.script({ text: "half of", errorEvent });
    const fault = await faultOf(providers[provider]!().stream(request(), () => undefined));
    expect([fault.code, fault.problem["retryable"]]).toEqual(["model", retryable]);
    expect(fault.message).toContain(errorEvent);
  });

  test("brings its words as they come", async () => {
    server.script({ text: "one two three four", pauseMs: 30 });
    const times: number[] = [];
    await providers[provider]!().stream(request(), () => times.push(Date.now()));
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(30);
  });
});

describe("anthropic", () => {
  test("what it thought goes back to it as it came, and to nobody else", async () => {
    server.script({ thinking: "Hmm, Bonn.", text: "Bonn." });
    const { thinking, usage } = await providers["anthropic"]!().chat(request({ reasoning: "low" }));
    expect(thinking).toEqual({
      provider: "anthropic",
      blocks: [{ type: "thinking", thinking: "Hmm, Bonn.", signature: "signed" }],
      after: expect.any(String),
    });
    expect(usage.inputTokens).toBe(10);
    const messages = [
      { role: "user" as const, content: "Where?" },
      { role: "assistant" as const, content: "Bonn.", thinking: thinking! },
    ];
    await providers["anthropic"]!().chat(request({ messages }));
    await providers["openai"]!().chat(request({ messages }));
    expect(server.requests[1]!.body).toContain("Hmm, Bonn.");
    expect(server.requests[2]!.body).not.toContain("Hmm, Bonn.");
    expect(server.body(0).thinking).toEqual({ type: "enabled", budget_tokens: 2_048 });
  });

  test("a stream brings what it thinks apart from what it says", async () => {
    server.script({ thinking: "Hmm, Bonn.", text: "Bonn it is." });
    const deltas: Delta[] = [];
    const answer = await providers["anthropic"]!().stream(request(), (delta) => deltas.push(delta));
    expect(answer.thinking?.blocks[0]).toMatchObject({ thinking: "Hmm, Bonn.", signature: "signed" });
    expect(
      deltas
        .filter(({ kind }) => kind === "thinking")
        .map(({ text }) => text)
        .join(""),
    ).toBe("Hmm, Bonn.");
  });

  test("what a cut stream has cost so far is known", async () => {
    server.script({
      text: "word ".repeat(50),
      cut: "middle",
      pauseMs: 1,
      usage: { inputTokens: 90, outputTokens: 50, cacheWriteTokens: 40 },
    });
    const fault = await faultOf(providers["anthropic"]!().stream(request(), () => undefined));
    const spent = fault.problem["spent"] as unknown as TokenUsage;
    expect(spent).toMatchObject({ inputTokens: 90, cacheWriteTokens: 40, isEstimated: true });
    expect(spent.outputTokens).toBeGreaterThan(5);
    expect(outcomeOfError(fault, request().signal)).toMatchObject({ status: "failed", usage: spent, isCut: true });
  });

  test("what it thought goes back behind the same words only, to models that look at it", async () => {
    server.script({ thinking: "Hmm, Bonn.", text: "Bonn." });
    const model = providers["anthropic"]!();
    const asked = request({ model: "claude-fable-5-1", outputTokensMax: 1_000, tools: [weather] });
    const { text: content, thinking } = await model.chat(asked);
    // As it comes back out of the record.
    const said = JSON.parse(JSON.stringify({ thinking, content, role: "assistant" })) as Message;
    await model.chat({ ...asked, messages: [...asked.messages, said, { role: "user", content: "And?" }] });
    await model.chat({ ...asked, messages: [{ role: "user", content: "In short: Where?" }, said, { role: "user", content: "And?" }] });
    expect(server.requests.map(({ body }) => body.includes("Hmm, Bonn."))).toEqual([false, true, false]);
  });

  test("an answer that may be long comes as a stream, and is the same", async () => {
    server.script({ text: "Bonn.", usage: { inputTokens: 7, outputTokens: 3 } });
    const answer = await providers["anthropic"]!().chat(request({ model: "claude-opus-5" }));
    expect(server.body(0)).toMatchObject({ stream: true, max_tokens: 32_000 });
    expect(answer).toMatchObject({ text: "Bonn.", finish: "stop", usage: { inputTokens: 7, outputTokens: 3 } });
    await providers["anthropic"]!().chat(request({ model: "claude-opus-5", outputTokensMax: 2_000 }));
    expect(server.body(1)).toMatchObject({ max_tokens: 2_000 });
    expect(server.body(1).stream).toBeUndefined();
  });

  test.each(["chat", "stream"] as const)("a value is the answer's text where the model takes a format (%s)", async (way) => {
    server.script({ json: { city: "Bonn" } });
    const deltas: Delta[] = [];
    const model = providers["anthropic"]!();
    const asked = request({ model: "claude-haiku-4-5", outputSchema: city, outputTokensMax: 1_000 });
    const answer = way === "chat" ? await model.chat(asked) : await model.stream(asked, (delta) => deltas.push(delta));
    expect(server.body(0).output_config?.format).toEqual({ type: "json_schema", schema: city });
    expect(server.body(0).tools).toBeUndefined();
    expect(answer).toMatchObject({ toolCalls: [], finish: "stop" });
    expect(JSON.parse(answer.text)).toEqual({ city: "Bonn" });
    if (way === "stream") expect(deltas.map(({ text }) => text).join("")).toBe(answer.text);
  });

  test("what was written to its cache and read from it is counted", async () => {
    server.script({ text: "Bonn.", usage: { inputTokens: 1_000, outputTokens: 3, cacheReadTokens: 600, cacheWriteTokens: 300 } });
    const { usage } = await providers["anthropic"]!().chat(request({ tools: [weather] }));
    expect(usage).toMatchObject({ inputTokens: 1_000, cacheReadTokens: 600, cacheWriteTokens: 300 });
  });

  test("has no embeddings and says so", async () => {
    const fault = await faultOf(providers["anthropic"]!().embed({ ...request(), texts: ["a"] }));
    expect(fault.problem).toMatchObject({ code: "model", retryable: false });
  });
});

describe("openai", () => {
  test("arguments of a call that are no JSON are told as they came", async () => {
    server.script({ toolCalls: [{ id: "call_1", name: "weather", arguments: '{"city":' }] });
    const { toolCalls } = await providers["openai"]!().chat(request({ tools: [weather] }));
    expect(toolCalls).toEqual([{ id: "call_1", name: "weather", arguments: null, malformed: '{"city":' }]);
  });

  test("calls that are none are left out, and those without a name or an id have one", async () => {
    const calls = [null, 1, { function: null }, { id: 7, type: "function", function: { arguments: "{}" } }];
    const body = (part: object, delta: object): string => JSON.stringify({ choices: [{ ...part, finish_reason: "tool_calls", ...delta }] });
    server.script({ body: body({ message: { tool_calls: calls } }, {}) });
    const named = [{ id: "call_3", name: "unnamed", arguments: {} }];
    expect((await providers["openai"]!().chat(request({ tools: [weather] }))).toolCalls).toEqual(named);
    const pieces = calls.map((call, index) => (isObject(call as Json) ? { ...(call as object), index } : call));
    const headers = { "content-type": "text/event-stream" };
    server.script({ body: `data: ${body({ delta: { tool_calls: pieces } }, {})}\n\ndata: [DONE]\n\n`, headers });
    const { toolCalls } = await providers["openai"]!().stream(request({ tools: [weather] }), () => undefined);
    expect(toolCalls.at(-1)).toMatchObject({ name: "unnamed", arguments: {} });
  });

  test("embeddings come in the order of their texts", async () => {
    server.script({ usage: { inputTokens: 12, outputTokens: 0 } });
    const { vectors, usage } = await providers["openai"]!().embed({ ...request(), texts: ["a", "b b b"] });
    expect(vectors.map((vector) => vector.slice(0, 3))).toEqual([
      [1, 0, 0],
      [0, 3, 0],
    ]);
    expect(usage.inputTokens).toBe(12);
  });

  test("reasoning is counted", async () => {
    server.script({ text: "42", usage: { inputTokens: 1, outputTokens: 60, reasoningTokens: 50 } });
    expect((await providers["openai"]!().chat(request())).usage).toMatchObject({ outputTokens: 60, reasoningTokens: 50 });
  });

  test("strict mode is used only for schemas it accepts", () => {
    expect(fitsStrictMode(city)).toBe(true);
    expect(fitsStrictMode({ ...city, required: [] })).toBe(false);
    expect(fitsStrictMode({ ...city, additionalProperties: true })).toBe(false);
    expect(fitsStrictMode({ ...city, properties: { city: { type: "object" } } })).toBe(false);
  });
});
