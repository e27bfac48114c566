import Anthropic from "@anthropic-ai/sdk";
import type { JsonSchema } from "../contracts/json.ts";
import { createModelFetch } from "./model-fetch.ts";
import { modelFault, shapeFault } from "./model-fault.ts";
import { estimateInputTokens, estimateTokens, type ChatAnswer, type ChatRequest, type Message, type Model } from "./model-port.ts";

/** Claude. Structured output is a forced call of one tool whose input is the output. */
export function createAnthropic(options: { apiKey?: string; baseUrl?: string; fetch?: typeof fetch }): Model {
  const client = new Anthropic({
    apiKey: options.apiKey ?? "none",
    authToken: null,
    baseURL: options.baseUrl ?? "https://api.anthropic.com",
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
// The API demands a bound. An answer that reaches it is a fault, never a silently cut text.
const OUTPUT_TOKENS_MAX = 16_384;
const TOOL = "output";

async function chat(client: Anthropic, request: ChatRequest): Promise<ChatAnswer> {
  const label = `anthropic/${request.model}`;
  try {
    const message = await client.messages.create(bodyOf(request), { headers: request.headers, signal: request.signal });
    return readMessage(message, request, label);
  } catch (error) {
    throw modelFault(error, label);
  }
}

function bodyOf(request: ChatRequest): Anthropic.MessageCreateParamsNonStreaming {
  const system = request.messages.filter((message) => message.role === "system").map((message) => message.content);
  return {
    model: request.model,
    max_tokens: OUTPUT_TOKENS_MAX,
    messages: turnsOf(request.messages),
    ...(system.length === 0 ? {} : { system: system.join("\n\n") }),
    ...(request.outputSchema ? forcedTool(request.outputSchema) : {}),
  };
}

// The API wants at least one turn, and the first must be the user's.
function turnsOf(messages: Message[]): Anthropic.MessageParam[] {
  const turns = messages.flatMap(({ role, content }) => (role === "system" ? [] : [{ role, content }]));
  return turns[0]?.role === "user" ? turns : [{ role: "user", content: "Begin." }, ...turns];
}

const forcedTool = (schema: JsonSchema): Pick<Anthropic.MessageCreateParamsNonStreaming, "tools" | "tool_choice"> => ({
  tools: [{ name: TOOL, description: "Give the output.", input_schema: { ...schema, type: "object" } }],
  tool_choice: { type: "tool", name: TOOL, disable_parallel_tool_use: true },
});

function readMessage(message: Partial<Anthropic.Message> | null, request: ChatRequest, label: string): ChatAnswer {
  if (!Array.isArray(message?.content)) throw shapeFault(label, "content");
  const call = message.content.find((block) => block.type === "tool_use");
  const written = message.content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("");
  const text = request.outputSchema && call ? JSON.stringify(call.input) : written;
  return {
    text,
    usage: {
      inputTokens: inputTokens(message.usage) ?? estimateInputTokens(request.messages),
      outputTokens: message.usage?.output_tokens ?? estimateTokens(text),
    },
    finish: message.stop_reason === "refusal" ? "refusal" : isCut(message.stop_reason) ? "length" : "stop",
  };
}

const isCut = (reason: Anthropic.Message["stop_reason"] | undefined): boolean =>
  reason === "max_tokens" || reason === "model_context_window_exceeded";

// Anthropic counts tokens read from and written to its cache apart from the others.
function inputTokens(usage: Anthropic.Usage | undefined): number | undefined {
  if (usage?.input_tokens === undefined) return undefined;
  return usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
}
