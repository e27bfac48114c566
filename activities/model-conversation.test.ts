import { afterAll, test } from "@jest/globals";
import { LLMock } from "@copilotkit/aimock";
import { readSettings } from "../settings.ts";
import { asOpenAi as openAiAt } from "../tests/servers/as-openai.ts";
import { converse, type Partner, type Trait } from "../tests/servers/conversation.ts";
import { startModelServer, type ModelServer } from "../tests/servers/model-server.ts";
import type { ModelReply, ModelRequestBody } from "../tests/servers/model-reply.ts";
import type { Recorded } from "../tests/servers/scripted-server.ts";
import { createModels, type ModelSettings } from "./models.ts";

const closing: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

/** Whoever the settings name, as a worker would ask it: the cheapest of its models. */
async function partnerOf(settings: Partial<ModelSettings>, embedder?: string): Promise<Partner> {
  const route = (more: Partial<ModelSettings> = {}) =>
    createModels({ TENUTO_MODELS: [], ...settings, ...more }).route("cheap", { inputTokens: 100, task: "text" }, "t");
  const { model, name, provider } = await route();
  const { model: stranger } = await route({ [provider === "openai" ? "OPENAI_API_KEY" : "ANTHROPIC_API_KEY"]: "sk-nobody-has-this" });
  return { model, name, stranger, ...(embedder === undefined ? {} : { embedder }) };
}

const asOpenAi = (url: string): Partial<ModelSettings> => ({ OPENAI_API_KEY: "key", OPENAI_BASE_URL: `${url}/v1` });
const asAnthropic = (url: string): Partial<ModelSettings> => ({ ANTHROPIC_API_KEY: "key", ANTHROPIC_BASE_URL: url });

const person = { name: "Ada Lovelace", born: 1_815 };
const counted = Array.from({ length: 300 }, (_, n) => n + 1).join("\n");

async function ownServer(): Promise<string> {
  const server: ModelServer = await startModelServer();
  closing.push(() => server.close());
  server.answerWith(replyTo);
  return server.url;
}

function replyTo({ body: { model, messages }, recorded: { headers } }: { body: ModelRequestBody; recorded: Recorded }): ModelReply {
  if (headers["authorization"] !== "Bearer key" && headers["x-api-key"] !== "key") return { status: 401 };
  if (model === "no-such-model") return { status: 404 };
  const said = JSON.stringify(messages ?? []);
  if (said.includes("Count")) return { text: counted, pauseMs: 10, delayMs: 50 };
  if (said.includes("It rains")) return { text: "It rains in Bonn." };
  if (said.includes("weather tool")) return { toolCalls: [{ id: "call_1", name: "weather", arguments: { city: "Bonn" } }] };
  return said.includes("Ada") ? { json: person } : { text: "hello" };
}

converse("our own server, as OpenAI", ["key", "embeddings", "connection"], async () => partnerOf(asOpenAi(await ownServer()), "m"));
converse("our own server, as Anthropic", ["key", "connection"], async () => partnerOf(asAnthropic(await ownServer())));

/** A server that others wrote: what we take for the providers' words it need not. */
async function otherServer(): Promise<string> {
  const mock = new LLMock({ port: 0, auth: { apiKeys: ["key"] } });
  mock.on({ model: "no-such-model" }, { error: { message: "no such model", type: "not_found_error" }, status: 404 });
  mock.on({ userMessage: "weather tool", hasToolResult: true }, { content: "It rains in Bonn." });
  mock.on({ userMessage: "weather tool" }, { toolCalls: [{ name: "weather", arguments: JSON.stringify({ city: "Bonn" }) }] });
  mock.on({ userMessage: "Extract the person" }, { content: JSON.stringify(person) });
  mock.onMessage("Count", { content: counted }, { latency: 10 });
  // Without it aimock tells no tokens in Anthropic's words.
  mock.onMessage("hello", { content: "hello", usage: { input_tokens: 9, output_tokens: 2, prompt_tokens: 9, completion_tokens: 2 } });
  const url = await mock.start();
  closing.push(() => mock.stop());
  return url;
}

converse("aimock, as OpenAI", ["key", "connection"], async () => partnerOf(asOpenAi(await otherServer())));
converse("aimock, as Anthropic", ["key", "connection"], async () => partnerOf(asAnthropic(await otherServer())));

/** What is asked at OpenAI itself, asked there: its newest models with tools by another API. */
async function newestPartner(): Promise<Partner> {
  const url = await otherServer();
  return { model: openAiAt(url, "key"), stranger: openAiAt(url, "sk-nobody-has-this"), name: "gpt-5.5" };
}

converse("aimock, as OpenAI itself with its newest model", ["key", "connection"], newestPartner);

converse("local", ["embeddings"], () => partnerOf({}, "extractive"));

/** Those that the environment names, asked over the network: CONTRIBUTING.md says what it may cost. */
const { TENUTO_MODELS, ...env } = readSettings();
const { OPENAI_API_KEY, OPENAI_BASE_URL, ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL } = env;
const cheapOf = (provider: string) => ({ TENUTO_MODELS: TENUTO_MODELS.filter((entry) => entry.startsWith(`cheap=${provider}/`)) });
const openAi = { OPENAI_API_KEY, OPENAI_BASE_URL, ...cheapOf("openai") };
// Elsewhere there may be no such model.
const [openAiEmbedder, embeds] = OPENAI_BASE_URL ? [undefined, []] : ["text-embedding-3-small", ["embeddings" as const]];

const live: { title: string; variable: keyof typeof env; isThere: unknown; traits: Trait[]; open: () => Promise<Partner> }[] = [
  {
    title: "OpenAI",
    variable: "OPENAI_API_KEY",
    isThere: OPENAI_API_KEY,
    traits: ["key", "connection", ...embeds],
    open: () => partnerOf(openAi, openAiEmbedder),
  },
  {
    title: "Anthropic",
    variable: "ANTHROPIC_API_KEY",
    isThere: ANTHROPIC_API_KEY,
    traits: ["key", "connection"],
    open: () => partnerOf({ ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, ...cheapOf("anthropic") }),
  },
  {
    title: "a server that speaks OpenAI's API and needs no key",
    variable: "OPENAI_BASE_URL",
    isThere: OPENAI_BASE_URL && !OPENAI_API_KEY,
    traits: ["connection"],
    open: () => partnerOf(openAi),
  },
];
for (const { title, variable, isThere, traits, open } of live)
  if (isThere) converse(`${title}, live`, traits, open);
  else test.skip(`a conversation with ${title}, live: ${variable} is not set`, () => undefined);
const absent = live.filter(({ isThere }) => !isThere).map(({ title, variable }) => `${title} (${variable})`);
if (absent.length > 0) process.stderr.write(`Not asked live, for want of a key or an address: ${absent.join(", ")}.\n`);
