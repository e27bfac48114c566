import { expect, test } from "@jest/globals";
import { Fault, messageOf } from "../contracts/faults.ts";
import { startModelServer } from "../tests/servers/model-server.ts";
import { outcomeOfError } from "./llm-outcome.ts";
import { createAnthropic } from "./model-anthropic.ts";
import { createOpenAi } from "./model-openai.ts";
import { noUsage, type Model } from "./model-port.ts";
import { saysTooLong } from "./too-long.ts";

test.each([
  "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
  "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
  "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
  "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
  "Your input exceeds the context window of this model. Please adjust your input and try again.",
  "prompt is too long: 210000 tokens > 200000 maximum",
  "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000",
  "the request exceeds the available context size, try increasing it",
  "the input length exceeds the context length",
  "prompt too long; exceeded max context length by 12 tokens",
  "Input is too long for requested model.",
  "The input (40000 tokens) is longer than the model's context length (32768 tokens).",
  "The number of tokens to keep from the initial prompt is greater than the context length.",
  "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
  "Please reduce the length of the messages or completion.",
  "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens",
])("a provider says that a request is too long: %s", (message) => {
  expect(saysTooLong({ status: 400, message })).toBe(true);
  expect(saysTooLong({ message })).toBe(true);
  expect(saysTooLong({ status: 429, message })).toBe(false);
});

test.each([
  "Invalid schema for response_format: the maximum number of properties is 100.",
  "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens",
  "The model `gpt-9` does not exist or you do not have access to it.",
  "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7000, please reduce your message size and try again.",
  "Incorrect API key provided.",
])("other refusals are none: %s", (message) => {
  expect(saysTooLong({ status: 400, message })).toBe(false);
});

const words = "This model's maximum context length is 32768 tokens.";
const request = { model: "m", messages: [{ role: "user" as const, content: "Hi" }], signal: new AbortController().signal, headers: {} };

async function refusedBy(provider: "openai" | "anthropic", body: object, isStreamed: boolean): Promise<unknown> {
  const server = await startModelServer();
  server.script({ status: 400, body: JSON.stringify(body) });
  const model: Model =
    provider === "openai"
      ? createOpenAi({ apiKey: "k", baseUrl: `${server.url}/v1` })
      : createAnthropic({ apiKey: "k", baseUrl: server.url });
  const asked = isStreamed ? model.stream(request, () => undefined) : model.chat(request);
  const refusal: unknown = await asked.catch((error: unknown) => error);
  await server.close();
  return refusal;
}

test.each([
  ["openai", { error: { message: words, type: "invalid_request_error", code: 400 } }],
  ["openai", { error: { message: "Too many.", type: "invalid_request_error", code: "context_length_exceeded" } }],
  ["openai", { object: "error", message: words, type: "BadRequestError", code: 400 }],
  ["anthropic", { type: "error", error: { type: "invalid_request_error", message: "prompt is too long: 210000 tokens > 200000 maximum" } }],
] as const)("it is a fault of its own, over the network, which costs nothing: %s %j", async (provider, body) => {
  for (const isStreamed of [false, true]) {
    const fault = await refusedBy(provider, body, isStreamed);
    expect(fault).toMatchObject({ code: "context_too_long", problem: { upstreamStatus: 400 } });
    expect(messageOf(fault)).toContain("larger window");
    expect(outcomeOfError(fault as Fault, request.signal)).toMatchObject({ status: "failed", usage: noUsage });
  }
});

test("so is one that comes in the middle of a stream", async () => {
  const server = await startModelServer();
  server.script({ text: "", errorEvent: "context_length_exceeded" });
  const fault = await createOpenAi({ apiKey: "k", baseUrl: `${server.url}/v1` })
    .stream(request, () => undefined)
    .catch((error: unknown) => error);
  await server.close();
  expect(fault).toMatchObject({ code: "context_too_long" });
  expect(outcomeOfError(fault, request.signal)).toMatchObject({ usage: noUsage });
});
