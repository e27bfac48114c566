import { afterAll } from "@jest/globals";
import { LLMock } from "@copilotkit/aimock";
import { converse } from "../tests/servers/conversation.ts";
import { startModelServer, type ModelServer } from "../tests/servers/model-server.ts";
import type { ModelReply, ModelRequestBody } from "../tests/servers/model-reply.ts";
import { createAnthropic } from "./model-anthropic.ts";
import { createLocalModel } from "./model-local.ts";
import { createOpenAi } from "./model-openai.ts";

const closing: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

const person = { name: "Ada Lovelace", born: 1_815 };

async function ownServer(): Promise<ModelServer> {
  const server = await startModelServer();
  closing.push(() => server.close());
  server.answerWith(({ body }) => replyTo(body));
  return server;
}

function replyTo({ messages }: ModelRequestBody): ModelReply {
  const said = JSON.stringify(messages);
  if (said.includes("It rains")) return { text: "It rains in Bonn." };
  if (said.includes("weather tool")) return { toolCalls: [{ id: "call_1", name: "weather", arguments: { city: "Bonn" } }] };
  return said.includes("Ada") ? { json: person } : { text: "hello" };
}

converse("our own server, as OpenAI", async () => ({
  model: createOpenAi({ apiKey: "key", baseUrl: `${(await ownServer()).url}/v1` }),
  name: "m",
}));
converse("our own server, as Anthropic", async () => ({
  model: createAnthropic({ apiKey: "key", baseUrl: (await ownServer()).url }),
  name: "m",
}));

/** A server that others wrote: what we take for the providers' words it need not. */
async function otherServer(outputTool: boolean): Promise<LLMock> {
  const mock = new LLMock({ port: 0 });
  mock.on({ userMessage: "weather tool", hasToolResult: true }, { content: "It rains in Bonn." });
  mock.on({ userMessage: "weather tool" }, { toolCalls: [{ name: "weather", arguments: JSON.stringify({ city: "Bonn" }) }] });
  mock.on(
    { userMessage: "Extract the person" },
    outputTool ? { toolCalls: [{ name: "output", arguments: JSON.stringify(person) }] } : { content: JSON.stringify(person) },
  );
  // Without it aimock tells no tokens in Anthropic's words.
  mock.onMessage("hello", { content: "hello", usage: { input_tokens: 9, output_tokens: 2, prompt_tokens: 9, completion_tokens: 2 } });
  await mock.start();
  closing.push(() => mock.stop());
  return mock;
}

converse("aimock, as OpenAI", async () => ({
  model: createOpenAi({ apiKey: "key", baseUrl: `${(await otherServer(false)).url}/v1` }),
  name: "gpt-4o",
}));
converse("aimock, as Anthropic", async () => ({
  model: createAnthropic({ apiKey: "key", baseUrl: (await otherServer(true)).url }),
  name: "claude-haiku-5-5",
}));

converse("local", async () => ({ model: createLocalModel(), name: "extractive" }));

// With keys the real ones, too: `OPENAI_API_KEY=… npm run check`.
const { OPENAI_API_KEY: openAiKey, ANTHROPIC_API_KEY: anthropicKey } = process.env;
if (openAiKey) converse("OpenAI", async () => ({ model: createOpenAi({ apiKey: openAiKey }), name: "gpt-5.4-nano" }));
if (anthropicKey) converse("Anthropic", async () => ({ model: createAnthropic({ apiKey: anthropicKey }), name: "claude-haiku-5-5" }));
