import OpenAI from "openai";
import { createModelFetch, sdkOptions } from "./model-fetch.ts";
import { faulting, shapeFault } from "./model-fault.ts";
import {
  estimatedUsage,
  noUsage,
  type ChatAnswer,
  type ChatRequest,
  type Delta,
  type Embedded,
  type EmbedRequest,
  type Model,
} from "./model-port.ts";
import { isOpenAis, openAiTraits } from "./model-traits.ts";
import { chatBody } from "./openai-request.ts";
import { gatherChunks, readCompletion } from "./openai-answer.ts";
import { gatherResponse, readResponse } from "./responses-answer.ts";
import { responseBody } from "./responses-request.ts";

/**
 * OpenAI, and every server that speaks its chat API (vLLM, Ollama, llama.cpp): those need no key. Its newest models are asked by its responses API where
 * there are tools: by the other they would not reason.
 */
export function createOpenAi(options: { apiKey?: string | undefined; baseUrl?: string | undefined; fetch?: typeof fetch }): Model {
  const client = new OpenAI({
    apiKey: options.apiKey ?? "none",
    baseURL: options.baseUrl ?? "https://api.openai.com/v1",
    organization: null,
    project: null,
    ...sdkOptions,
    fetch: options.fetch ?? createModelFetch(),
  });
  const own = isOpenAis(options.baseUrl);
  const asksResponses = ({ model, tools = [] }: ChatRequest): boolean => own && tools.length > 0 && openAiTraits(model).reasonsWithoutTools;
  return {
    chat: (request) => faulting(labelOf(request), () => (asksResponses(request) ? respond(client, request) : chat(client, request, own))),
    stream: (request, onDelta) =>
      faulting(labelOf(request), () =>
        asksResponses(request) ? streamResponse(client, request, onDelta) : stream(client, { request, onDelta }, own),
      ),
    embed: (request) => faulting(labelOf(request), () => embed(client, request)),
  };
}

const labelOf = ({ model }: { model: string }): string => `openai/${model}`;

async function chat(client: OpenAI, request: ChatRequest, own: boolean): Promise<ChatAnswer> {
  const completion = await client.chat.completions.create(chatBody(request, own), { headers: request.headers, signal: request.signal });
  return readCompletion(completion, request, labelOf(request));
}

async function stream(
  client: OpenAI,
  { request, onDelta }: { request: ChatRequest; onDelta: (delta: Delta) => void },
  own: boolean,
): Promise<ChatAnswer> {
  const body = { ...chatBody(request, own), stream: true as const, stream_options: { include_usage: true } };
  const chunks = await client.chat.completions.create(body, { headers: request.headers, signal: request.signal });
  return readCompletion(await gatherChunks(chunks, labelOf(request), onDelta), request, labelOf(request));
}

async function respond(client: OpenAI, request: ChatRequest): Promise<ChatAnswer> {
  const { headers, signal } = request;
  // Not by the method for it, which adds to what comes before anybody has looked whether it is a response.
  const response = await client.post<OpenAI.Responses.Response | null>("/responses", { body: responseBody(request), headers, signal });
  return readResponse(response, request, labelOf(request));
}

async function streamResponse(client: OpenAI, request: ChatRequest, onDelta: (delta: Delta) => void): Promise<ChatAnswer> {
  const body = { ...responseBody(request), stream: true as const };
  const events = await client.responses.create(body, { headers: request.headers, signal: request.signal });
  return readResponse(await gatherResponse(events, labelOf(request), onDelta), request, labelOf(request));
}

async function embed(client: OpenAI, request: EmbedRequest): Promise<Embedded> {
  const { model, texts, headers, signal } = request;
  // The SDK's default, base64, is not understood by every compatible server.
  const answer = await client.embeddings.create({ model, input: texts, encoding_format: "float" }, { headers, signal });
  const rows = [...(answer.data ?? [])].toSorted((a, b) => a.index - b.index);
  if (rows.length !== texts.length) throw shapeFault(labelOf(request), "an embedding for each text");
  const counted = answer.usage?.prompt_tokens;
  const messages = texts.map((content) => ({ role: "user" as const, content }));
  const usage = counted === undefined ? estimatedUsage({ messages }, "") : { ...noUsage, inputTokens: counted };
  return { vectors: rows.map(({ embedding }) => embedding), usage };
}
