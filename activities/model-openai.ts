import OpenAI from "openai";
import { isObject, type Json, type JsonSchema } from "../contracts/json.ts";
import { createModelFetch } from "./model-fetch.ts";
import { modelFault, shapeFault } from "./model-fault.ts";
import { estimateInputTokens, estimateTokens, type ChatAnswer, type ChatRequest, type Model } from "./model-port.ts";

/** OpenAI, and every server that speaks its chat API (vLLM, Ollama, llama.cpp): those need no key. */
export function createOpenAi(options: { apiKey?: string; baseUrl?: string; fetch?: typeof fetch }): Model {
  const client = new OpenAI({
    apiKey: options.apiKey ?? "none",
    baseURL: options.baseUrl ?? "https://api.openai.com/v1",
    organization: null,
    project: null,
    // Retries are the step's: only they are seen in the run's history.
    maxRetries: 0,
    timeout: SDK_TIMEOUT_MS,
    fetch: options.fetch ?? createModelFetch(),
    logLevel: "off",
  });
  return { chat: (request) => chat(client, request) };
}

// The step's signal decides; the SDK's own limit must not come first.
const SDK_TIMEOUT_MS = 2 ** 31 - 1;

async function chat(client: OpenAI, request: ChatRequest): Promise<ChatAnswer> {
  const label = `openai/${request.model}`;
  try {
    const completion = await client.chat.completions.create(bodyOf(request), { headers: request.headers, signal: request.signal });
    return readCompletion(completion, request, label);
  } catch (error) {
    throw modelFault(error, label);
  }
}

function bodyOf(request: ChatRequest): OpenAI.ChatCompletionCreateParamsNonStreaming {
  const schema = request.outputSchema;
  const body = { model: request.model, messages: request.messages };
  if (!schema) return body;
  return { ...body, response_format: { type: "json_schema", json_schema: { name: "output", schema, strict: fitsStrictMode(schema) } } };
}

// A compatible server may send anything, so nothing of its type is trusted.
function readCompletion(completion: Partial<OpenAI.ChatCompletion> | null, request: ChatRequest, label: string): ChatAnswer {
  const choice = completion?.choices?.[0];
  if (!choice?.message) throw shapeFault(label, "choices");
  const { content, refusal } = choice.message;
  const text = typeof content === "string" ? content : "";
  return {
    text: refusal ? refusal : text,
    usage: {
      inputTokens: completion?.usage?.prompt_tokens ?? estimateInputTokens(request.messages),
      outputTokens: completion?.usage?.completion_tokens ?? estimateTokens(text),
    },
    finish: refusal || choice.finish_reason === "content_filter" ? "refusal" : choice.finish_reason === "length" ? "length" : "stop",
  };
}

/**
 * Strict mode refuses (400) every schema that leaves anything open: objects must be closed and all their properties required.
 * Other schemas go as a hint; the answer is checked by us in both cases.
 */
export function fitsStrictMode(schema: Json): boolean {
  if (Array.isArray(schema)) return schema.every(fitsStrictMode);
  if (!isObject(schema)) return true;
  return (
    !Object.keys(schema).some((keyword) => openKeywords.has(keyword)) && isClosed(schema) && childSchemas(schema).every(fitsStrictMode)
  );
}

const openKeywords = new Set([
  "allOf",
  "oneOf",
  "not",
  "if",
  "patternProperties",
  "dependentRequired",
  "dependentSchemas",
  "default",
  "prefixItems",
  "uniqueItems",
  "format",
  "minLength",
  "maxLength",
  "propertyNames",
  "minProperties",
  "maxProperties",
  "contains",
  "unevaluatedProperties",
]);

function isClosed(schema: JsonSchema): boolean {
  if (schema["type"] !== "object" && schema["properties"] === undefined) return true;
  const names = isObject(schema["properties"]) ? Object.keys(schema["properties"]) : [];
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return schema["additionalProperties"] === false && names.every((name) => required.includes(name));
}

function childSchemas(schema: JsonSchema): Json[] {
  const maps = [schema["properties"], schema["$defs"]].filter(isObject).flatMap((map) => Object.values(map));
  return [...maps, ...[schema["items"], schema["anyOf"]].filter((child) => child !== undefined)];
}
