import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { asOpenAi } from "../tests/servers/as-openai.ts";
import { startServer, type Reply, type ScriptedServer } from "../tests/servers/scripted-server.ts";
import type { ChatAnswer, ChatRequest, Delta, Message, Model } from "./model-port.ts";

/** OpenAI's newest models where they have tools: asked at its own address, answered here. */
let server: ScriptedServer;
let replies: Reply[];
let model: Model;
beforeEach(async () => {
  replies = [];
  server = await startServer(() => replies.shift() ?? { status: 500 });
  model = asOpenAi(server.url, "key");
});
afterEach(() => server.close());

const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const weather = { name: "weather", description: "The weather", parameters: city };

const request = (more: Partial<ChatRequest> = {}): ChatRequest => ({
  model: "gpt-5.5",
  messages: [
    { role: "system", content: "You know cities." },
    { role: "user", content: "Where?" },
  ],
  tools: [weather],
  signal: new AbortController().signal,
  headers: { "idempotency-key": "r_1:step" },
  ...more,
});

const thought = { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "sealed" };
const said = (text: string) => ({
  type: "message",
  id: "m_1",
  role: "assistant",
  content: [{ type: "output_text", text, annotations: [] }],
});
const called = { type: "function_call", id: "fc_1", call_id: "call_1", name: "weather", arguments: '{"city":"Bonn"}' };
const usage = {
  input_tokens: 90,
  input_tokens_details: { cached_tokens: 60 },
  output_tokens: 40,
  output_tokens_details: { reasoning_tokens: 30 },
  total_tokens: 130,
};
const response = (output: object[], more: object = {}) => ({ id: "r_1", object: "response", status: "completed", output, usage, ...more });
const whole = (body: object): Reply => ({ headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const events = (...list: object[]): Reply => ({
  headers: { "content-type": "text/event-stream" },
  pieces: list.map((event) => `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`),
});
const bodyOf = (index: number): JsonObject => JSON.parse(server.requests[index]!.body) as JsonObject;

async function faultOf(work: Promise<ChatAnswer>): Promise<Fault> {
  const error = await work.catch((thrown: unknown) => thrown);
  if (error instanceof Fault) return error;
  throw new Error(`expected a fault, got ${JSON.stringify(error)}`);
}

describe("OpenAI's newest models, where they have tools", () => {
  test("are asked by the API that lets them reason, and nothing is kept there", async () => {
    replies = [whole(response([said("Bonn.")]))];
    await model.chat(request({ reasoning: "high", outputTokensMax: 500_000, toolChoice: { name: "weather" } }));
    expect([server.requests[0]!.path, server.requests[0]!.headers["idempotency-key"]]).toEqual(["/v1/responses", "r_1:step"]);
    expect(bodyOf(0)).toEqual({
      model: "gpt-5.5",
      input: [
        { role: "system", content: "You know cities." },
        { role: "user", content: "Where?" },
      ],
      store: false,
      include: ["reasoning.encrypted_content"],
      tools: [{ type: "function", name: "weather", description: "The weather", parameters: city, strict: true }],
      tool_choice: { type: "function", name: "weather" },
      max_output_tokens: 128_000,
      reasoning: { effort: "high" },
    });
  });

  test("are not told to be strict about a schema that leaves something open", async () => {
    replies = [whole(response([said("{}")]))];
    await model.chat(request({ tools: [{ ...weather, parameters: { type: "object" } }], outputSchema: { type: "object" } }));
    expect(bodyOf(0)).toMatchObject({ tools: [{ strict: false }], text: { format: { type: "json_schema", strict: false } } });
  });

  test.each([
    ["without tools", { tools: [] }],
    ["of before", { model: "gpt-5-mini" }],
    ["that do not reason", { model: "gpt-4o" }],
  ])("are asked by the chat API otherwise: %s", async (_, more) => {
    await model.chat(request(more)).catch(() => undefined);
    expect(server.requests[0]!.path).toBe("/v1/chat/completions");
  });

  test.each(["chat", "stream"] as const)(
    "have their calls, words and counts read, and their thoughts sent back as they came (%s)",
    async (way) => {
      const output = [thought, said("Let me see."), called];
      const deltas: Delta[] = [];
      const parts = ["Let me ", "see."].map((delta) => ({ type: "response.output_text.delta", delta }));
      const ask = (asked: ChatRequest): Promise<ChatAnswer> =>
        way === "chat" ? model.chat(asked) : model.stream(asked, (delta) => deltas.push(delta));
      replies = [
        way === "chat" ? whole(response(output)) : events(...parts, { type: "response.completed", response: response(output) }),
        ...Array.from({ length: 3 }, () =>
          way === "chat" ? whole(response([said("Rain.")])) : events({ type: "response.completed", response: response([said("Rain.")]) }),
        ),
      ];
      const { thinking, text: content, toolCalls, ...answer } = await ask(request());
      expect(answer).toMatchObject({
        finish: "tools",
        usage: { inputTokens: 90, cacheReadTokens: 60, outputTokens: 40, reasoningTokens: 30 },
      });
      expect([content, toolCalls]).toEqual(["Let me see.", [{ id: "call_1", name: "weather", arguments: { city: "Bonn" } }]]);
      if (way === "stream") expect(deltas.map(({ text }) => text)).toEqual(["Let me ", "see."]);
      const messages: Message[] = [
        ...request().messages,
        { role: "assistant", content, toolCalls, thinking: thinking! },
        { role: "tool", toolCallId: "call_1", content: "rain" },
      ];
      expect(await ask(request({ messages }))).toMatchObject({ text: "Rain.", finish: "stop" });
      const result = { type: "function_call_output", call_id: "call_1", output: "rain" };
      expect((bodyOf(1)["input"] as object[]).slice(2)).toEqual([...output, result]);
      // A guardrail has changed what is called: what was asked for at first goes nowhere.
      const changed = {
        role: "assistant" as const,
        content: "",
        toolCalls: [{ ...toolCalls[0]!, arguments: { city: "Ulm" } }],
        thinking: thinking!,
      };
      await ask(request({ messages: [...request().messages, changed, messages.at(-1)!] }));
      expect((bodyOf(2)["input"] as object[]).slice(2)).toEqual([thought, { ...called, arguments: '{"city":"Ulm"}' }, result]);
      // Sealed for one model: another reads what was said and called.
      await ask(request({ model: "gpt-5.6-sol", messages }));
      const { id: _, ...call } = called;
      expect((bodyOf(3)["input"] as object[]).slice(2)).toEqual([{ role: "assistant", content: "Let me see." }, call, result]);
    },
  );

  test.each([
    ["its limit cut", { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }, [said("and")], "length"],
    ["a filter cut", { status: "incomplete", incomplete_details: { reason: "content_filter" } }, [said("and")], "refusal"],
    ["refuses", {}, [{ ...said(""), content: [{ type: "refusal", refusal: "No." }] }], "refusal"],
  ])("have an answer that %s told apart", async (_, more, output, finish) => {
    const type = "status" in more ? "response.incomplete" : "response.completed";
    replies = [whole(response(output, more)), events({ type, response: response(output, more) })];
    expect(await model.chat(request())).toMatchObject({ finish });
    expect(await model.stream(request(), () => undefined)).toMatchObject({ finish });
  });

  test.each([
    ["server_error", true],
    ["invalid_prompt", false],
  ])("fail as they say, whole and as a stream: %s", async (code, retryable) => {
    const failed = response([], { status: "failed", error: { code, message: "scripted" } });
    const cases = [
      whole(failed),
      events({ type: "response.failed", response: failed }),
      events({ type: "error", code, message: "scripted" }),
    ];
    for (const [index, reply] of cases.entries()) {
      replies = [reply];
      const fault = await faultOf(index === 0 ? model.chat(request()) : model.stream(request(), () => undefined));
      expect(fault.problem).toMatchObject({ code: "model", retryable, detail: expect.stringContaining(code) });
      if (index < 2) expect(fault.problem["spent"]).toMatchObject({ inputTokens: 90, outputTokens: 40 });
    }
  });

  test("may be asked again when their stream ends too soon, or what comes is nothing", async () => {
    const part = { type: "response.output_text.delta", delta: "half of" };
    replies = [events(part), { ...events(part, part, part), cut: "middle" }];
    for (let times = 0; times < 2; times++)
      expect((await faultOf(model.stream(request(), () => undefined))).problem).toMatchObject({ code: "model", retryable: true });
    for (const body of ["null", "{}", "[]", '{"output":1}']) {
      replies = [{ headers: { "content-type": "application/json" }, body }];
      expect((await faultOf(model.chat(request()))).problem).toMatchObject({ code: "model", retryable: true });
    }
  });

  test("have calls without JSON read as they came, and tokens estimated that nobody counted", async () => {
    replies = [whole({ ...response([{ ...called, arguments: "{" }]), usage: null })];
    const answer = await model.chat(request());
    expect(answer.toolCalls).toEqual([{ id: "call_1", name: "weather", arguments: null, malformed: "{" }]);
    expect(answer.usage.isEstimated).toBe(true);
  });
});
