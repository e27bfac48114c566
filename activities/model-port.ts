import type { Manner, TokenUsage } from "../contracts/model-calls.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";

export interface ToolSpec {
  name: string;
  description: string;
  /** JSON Schema of the arguments; `type: object`. */
  parameters: JsonSchema;
}

/** What a model asks for. */
export interface ToolCall {
  /** The provider's own; the result refers to it. */
  id: string;
  name: string;
  arguments: Json;
  /** The model's text, when it was not JSON: `arguments` is null then, and whoever runs tools tells the model so. */
  malformed?: string;
}

/** A name as providers take it, also of a call that a model has invented: letters, digits, `_` and `-`, 64 of them. */
export const modelName = (name: string): string => wordOf(name).slice(0, 64);

/** The same of an id: as long as it was, since it must remain one. */
export const wordOf = (text: string): string => text.replace(/[^A-Za-z0-9_-]/g, "_") || "_";

/** Reasoning of a model, signed by its provider: sent back as it came, to the same provider only. */
export interface Thinking {
  provider: string;
  blocks: JsonObject[];
  /** Hash of all that stood before it. */
  after?: string;
}

export type Message =
  | { role: "system" | "user"; content: string }
  | { role: "assistant"; content: string; toolCalls?: ToolCall[]; thinking?: Thinking }
  | { role: "tool"; toolCallId: string; content: string; isError?: boolean };

export interface ChatRequest {
  /** The provider's own name of the model. */
  model: string;
  messages: Message[];
  /** Always `type: object`: providers accept nothing else. */
  outputSchema?: JsonSchema;
  tools?: ToolSpec[];
  /** `auto` without it, and where the model refuses to be held to one. `required`: some tool; a name: this one. */
  toolChoice?: "auto" | "none" | "required" | { name: string };
  reasoning?: Manner["reasoning"];
  /** Reasoning included. */
  outputTokensMax?: number;
  signal: AbortSignal;
  /** Sent as they are; hold `idempotency-key` and `x-run-id`. */
  headers: Record<string, string>;
}

export interface ChatAnswer {
  /** With `outputSchema`: the text of a JSON value. */
  text: string;
  toolCalls: ToolCall[];
  thinking?: Thinking;
  usage: TokenUsage;
  finish: "stop" | "tools" | "length" | "refusal";
}

export interface EmbedRequest extends Pick<ChatRequest, "model" | "signal" | "headers"> {
  texts: string[];
}

export interface Embedded {
  /** In the order of the texts. */
  vectors: number[][];
  usage: TokenUsage;
}

/** A piece of an answer, as it comes. */
export interface Delta {
  kind: "text" | "thinking";
  text: string;
}

/**
 * One provider of models. Each method is one request: no retries, no repairs.
 * Faults: `model` (extensions `retryable`, `retryAfterMs`, `upstreamStatus`; `spent`: what a broken answer has cost, estimated when its provider had not counted all of it),
 * `limit` for an answer that is too large.
 */
export interface Model {
  chat(request: ChatRequest): Promise<ChatAnswer>;
  /** As `chat`; tells each piece as it comes. `onDelta` must not throw. */
  stream(request: ChatRequest, onDelta: (delta: Delta) => void): Promise<ChatAnswer>;
  /** Fault `model`, not retryable, where the provider has no embeddings. */
  embed(request: EmbedRequest): Promise<Embedded>;
}

/** For servers that do not tell. */
export const estimateTokens = (text: string): number => Math.ceil(quartersOf(text) / 4);

/** Of a message of so many quarters. */
export const estimateMessageTokens = (quarters: number): number => Math.ceil(quarters / 4) + 4;

/**
 * How long a text is for a model, in quarters of a token: four characters of English are one, right within a third; a letter of other
 * alphabets is half of one, a sign of Chinese, Japanese or Korean a whole one.
 */
export function quartersOf(text: string): number {
  let quarters = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    quarters += unit < 0x80 ? 1 : unit < 0x2e80 ? 2 : 4;
  }
  return quarters;
}

/** How many characters of a text are about so many quarters. */
export const charactersIn = (text: string, quarters: number): number =>
  Math.floor(Math.max(0, quarters) * Math.min(1, text.length / Math.max(1, quartersOf(text))));

export const estimateInputTokens = ({ messages, tools = [] }: Pick<ChatRequest, "messages" | "tools">): number =>
  messages.reduce((sum, message) => sum + estimateMessageTokens(quartersOf(textOf(message))), 0) +
  tools.reduce((sum, tool) => sum + estimateTokens(JSON.stringify(tool)), 0);

export const estimatedUsage = (request: Pick<ChatRequest, "messages" | "tools">, output: string): TokenUsage => ({
  ...noUsage,
  inputTokens: estimateInputTokens(request),
  outputTokens: estimateTokens(output),
  isEstimated: true,
});

export const noUsage: TokenUsage = {
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  isEstimated: false,
};

/** What was written, tool calls included: for estimates. */
export const writtenText = ({ text, toolCalls }: Pick<ChatAnswer, "text" | "toolCalls">): string =>
  text + toolCalls.map((call) => call.malformed ?? JSON.stringify(call.arguments)).join("");

/** A tool call whose arguments came as text. An empty text is a call without arguments. */
export function toolCallOf(id: string, name: string, text: string): ToolCall {
  try {
    return { id, name, arguments: text.trim() === "" ? {} : (JSON.parse(text) as Json) };
  } catch {
    return { id, name, arguments: null, malformed: text };
  }
}

const textOf = (message: Message): string =>
  message.role === "assistant" ? writtenText({ text: message.content, toolCalls: message.toolCalls ?? [] }) : message.content;
