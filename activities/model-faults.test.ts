import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { LLMock } from "@copilotkit/aimock";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { createAnthropic } from "./model-anthropic.ts";
import { createOpenAi } from "./model-openai.ts";
import type { ChatAnswer, Delta, Model } from "./model-port.ts";

/**
 * The faults of providers as a server tells them that others wrote. What it cannot say (429 without Retry-After, an answer without counts, a stream
 * that ends in good order too soon) only our own says: `model-contract.test.ts`.
 */
const faulty = new LLMock({ port: 0 });
let providers: Record<string, Model>;
beforeAll(async () => {
  for (const [name, status] of Object.entries({ "fails 500": 500, "fails 503": 503, "fails 529": 529, "fails 400": 400 }))
    faulty.on({ userMessage: name }, { error: { message: "scripted", type: "server_error" }, status });
  faulty.on({ userMessage: "limited" }, { error: { message: "scripted", type: "rate_limit_error" }, status: 429, retryAfter: 7 });
  const words = { content: "word ".repeat(400), usage: { input_tokens: 9, output_tokens: 400 } };
  faulty.on({ userMessage: "broken" }, words, { chaos: { malformedRate: 1 } });
  faulty.on({ userMessage: "hangs up" }, words, { chaos: { disconnectRate: 1 } });
  faulty.on({ userMessage: "is cut" }, words, { truncateAfterChunks: 10 });
  faulty.on({ userMessage: "cut in time" }, words, { latency: 20, disconnectAfterMs: 200 });
  faulty.on({ userMessage: "is slow" }, { content: "late but there" }, { chaos: { latencyMs: 400 } });
  faulty.on({ userMessage: "begins late" }, { content: "late but there" }, { streamingProfile: { ttft: 400, tps: 1_000 } });
  faulty.on({ userMessage: "is endless" }, { content: "x".repeat(5 * 1024 * 1024) }, { chunkSize: 64 * 1024 });
  faulty.on({ userMessage: "says nothing" }, { content: "" });
  faulty.on({ userMessage: "is full" }, { content: "and then", finishReason: "length" });
  const url = await faulty.start();
  providers = {
    openai: createOpenAi({ apiKey: "key", baseUrl: `${url}/v1` }),
    anthropic: createAnthropic({ apiKey: "key", baseUrl: url }),
  };
});
afterAll(() => faulty.stop());

const ways = ["openai", "anthropic"].flatMap((provider) => ["chat" as const, "stream" as const].map((way) => [provider, way] as const));

describe.each(ways)("%s by %s, of a server that others wrote", (provider, way) => {
  const ask = (content: string, onDelta: (delta: Delta) => void = () => undefined): Promise<ChatAnswer> => {
    const request = { model: "m", messages: [{ role: "user" as const, content }], signal: AbortSignal.timeout(30_000), headers: {} };
    return way === "chat" ? providers[provider]!.chat(request) : providers[provider]!.stream(request, onDelta);
  };

  async function problemOf(content: string) {
    const error = await ask(content).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error instanceof Fault) return error.problem;
    throw new Error(`expected a fault, got ${String(error)}`);
  }

  test.each([
    ["fails 500", 500, true],
    ["fails 503", 503, true],
    ["fails 529", 529, true],
    ["fails 400", 400, false],
  ])("%s", async (content, upstreamStatus, retryable) => {
    const before = faulty.getRequests().length;
    expect(await problemOf(content)).toMatchObject({ code: "model", upstreamStatus, retryable });
    expect(faulty.getRequests()).toHaveLength(before + 1);
  });

  test("waits as long as it is told to", async () => {
    expect(await problemOf("limited")).toMatchObject({ code: "model", upstreamStatus: 429, retryable: true, retryAfterMs: 7_000 });
  });

  test.each(["broken", "hangs up", ...(way === "stream" ? ["is cut", "cut in time"] : [])])(
    "may try again one that %s",
    async (content) => {
      const problem = await problemOf(content);
      expect(problem).toMatchObject({ code: "model", retryable: true });
      expect(problem).not.toHaveProperty("upstreamStatus");
    },
  );

  test.each(["is slow", "begins late"])("waits for one that %s", async (content) => {
    const startedAt = Date.now();
    const first: number[] = [];
    expect((await ask(content, () => first.push(Date.now() - startedAt))).text).toBe("late but there");
    if (way === "stream") expect(first[0]).toBeGreaterThan(300);
  });

  test("stops reading an answer of 5 MB", async () => {
    expect(await problemOf("is endless")).toMatchObject({
      code: "limit",
      detail: expect.stringContaining(String(limits.modelAnswerBytesMax)),
    });
  });

  test("tells an empty answer, and one that its limit cut", async () => {
    expect(await ask("says nothing")).toMatchObject({ text: "", toolCalls: [], finish: "stop" });
    expect(await ask("is full")).toMatchObject({ text: "and then", finish: "length" });
  });
});
