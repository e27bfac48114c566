import type { LlmFields } from "../contracts/activities.ts";
import type { JsonSchema } from "../contracts/json.ts";

export type Message = LlmFields["messages"][number];

export interface ChatRequest {
  /** The provider's own name of the model. */
  model: string;
  messages: Message[];
  /** Always `type: object`: providers accept nothing else. */
  outputSchema?: JsonSchema;
  signal: AbortSignal;
  idempotencyKey: string;
  /** Sent as they are; hold `idempotency-key` and `x-run-id`. */
  headers: Record<string, string>;
}

export interface ChatAnswer {
  /** With `outputSchema`: the text of a JSON value. */
  text: string;
  usage: { inputTokens: number; outputTokens: number };
  finish: "stop" | "length" | "refusal";
}

/**
 * One provider of models. A chat is one request: no retries, no repairs.
 * Faults: `model` (extensions `retryable`, `retryAfterMs`), `limit` for an answer that is too large.
 */
export interface Model {
  chat(request: ChatRequest): Promise<ChatAnswer>;
}

export interface ResolvedModel {
  model: Model;
  provider: string;
  /** The provider's own name of the model. */
  name: string;
  /** USD for a call, null when not known. */
  costUsd: number | null;
}

/** All models a process can ask. */
export interface Models {
  /** By alias or `provider/model`. Fault `model`, not retryable, for a name nobody answers to. */
  resolve(name: string): ResolvedModel;
}

/** For servers that do not tell: four characters a token is right within a third for English text. */
export const estimateTokens = (text: string): number => Math.ceil(text.length / 4);

export const estimateInputTokens = (messages: Message[]): number =>
  messages.reduce((sum, message) => sum + estimateTokens(message.content) + 4, 0);
