import { describe, expect, test } from "@jest/globals";
import { cannotDo, isOpenAis, longestAnswer } from "./model-traits.ts";
import { chatBody } from "./openai-request.ts";
import { chatRequest } from "../tests/chat-request.ts";

describe("the bound of an answer", () => {
  const boundOf = (model: string, isOwn: boolean, outputTokensMax = 50_000): object => {
    const { max_tokens, max_completion_tokens } = chatBody(chatRequest(model, { outputTokensMax }), isOwn);
    return { max_tokens, max_completion_tokens };
  };

  test("is `max_completion_tokens` at OpenAI, at most what the model can", () => {
    expect(boundOf("gpt-5.4-mini", true)).toEqual({ max_completion_tokens: 50_000 });
    expect(boundOf("gpt-4o-mini", true)).toEqual({ max_completion_tokens: 16_384 });
    expect(boundOf("gpt-3.5-turbo", true)).toEqual({ max_completion_tokens: 4_096 });
  });

  test("is `max_tokens` at other servers, which keep to nothing else", () => {
    expect(boundOf("llama3.2", false)).toEqual({ max_tokens: 50_000 });
    expect(boundOf("gpt-oss:20b", false)).toEqual({ max_tokens: 50_000 });
  });

  test("is `max_completion_tokens` of OpenAI's reasoning models also behind a gateway: they refuse the other", () => {
    expect(boundOf("gpt-5.5", false)).toEqual({ max_completion_tokens: 50_000 });
  });

  test("is nothing when nobody asks for one", () => {
    expect(chatBody(chatRequest("gpt-4o"), true)).toEqual({ model: "gpt-4o", messages: [{ role: "user", content: "Where?" }] });
  });
});

describe("how hard a model is to reason", () => {
  const effortOf = (model: string, isOwn = true): unknown => chatBody(chatRequest(model, { reasoning: "high" }), isOwn).reasoning_effort;

  test.each(["gpt-5-mini", "gpt-5.5", "o3", "o4-mini"])("is said to %s", (model) => expect(effortOf(model)).toBe("high"));
  test.each(["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "gpt-5.3-chat-latest", "o1-mini", "chatgpt-4o-latest"])(
    "is not said to %s, which would refuse it",
    (model) => expect(effortOf(model)).toBeUndefined(),
  );

  test("is said to a model that nobody knows", () => {
    expect(effortOf("qwen3", false)).toBe("high");
    expect(effortOf("gpt-oss:20b", false)).toBe("high");
  });
});

test.each([
  [undefined, true],
  ["https://api.openai.com/v1", true],
  ["https://eu.api.openai.com/v1", true],
  ["https://house.openai.azure.com/openai/v1/", true],
  ["http://127.0.0.1:11434/v1", false],
  ["https://openai.com.example.com/v1", false],
  ["https://openrouter.ai/api/v1", false],
])("whether %s is OpenAI's own: %s", (baseUrl, expected) => expect(isOpenAis(baseUrl)).toBe(expected));

test("the longest answer is known of models that are known, where they are asked at their maker's", () => {
  expect(longestAnswer({ provider: "openai", name: "gpt-4o" })).toBe(16_384);
  expect(longestAnswer({ provider: "openai", name: "gpt-4o", baseUrl: "http://127.0.0.1:8000/v1" })).toBe(Infinity);
  expect(longestAnswer({ provider: "anthropic", name: "claude-haiku-4-5" })).toBe(64_000);
  expect(longestAnswer({ provider: "local", name: "extractive" })).toBe(Infinity);
});

test("what a model is known not to do is known to those who choose", () => {
  const openai = (name: string, baseUrl?: string) => cannotDo({ provider: "openai", name, baseUrl });
  expect(openai("gpt-4-turbo")).toEqual(["structured"]);
  expect(openai("o1-mini")).toEqual(["structured", "tools"]);
  for (const name of ["gpt-4o", "gpt-4.1", "gpt-5.5", "o3"]) expect(openai(name)).toEqual([]);
  expect(openai("gpt-4-turbo", "http://127.0.0.1:8000/v1")).toBeUndefined();
  expect(cannotDo({ provider: "anthropic", name: "claude-opus-5-5" })).toEqual(["embedding"]);
});
