import type OpenAI from "openai";
import type { TokenUsage } from "../contracts/model-calls.ts";
import { isObject, type Json } from "../contracts/json.ts";
import { gather, shapeFault } from "./model-fault.ts";
import {
  estimatedUsage,
  noUsage,
  toolCallOf,
  writtenText,
  type ChatAnswer,
  type ChatRequest,
  type Delta,
  type ToolCall,
} from "./model-port.ts";

// A compatible server may send anything, so nothing of its type is trusted.
type Completion = { choices?: unknown; usage?: OpenAI.CompletionUsage | null };

type Choice = { message?: Partial<OpenAI.ChatCompletionMessage>; finish_reason?: string | null };

export function readCompletion(completion: Completion | null, request: ChatRequest, label: string): ChatAnswer {
  const choice = Array.isArray(completion?.choices) ? (completion.choices[0] as Choice | undefined) : undefined;
  if (!choice?.message) throw shapeFault(label, "choices");
  const { content, refusal, tool_calls: calls } = choice.message;
  const written = { text: typeof content === "string" ? content : "", toolCalls: readToolCalls(calls) };
  return {
    ...written,
    text: refusal ? refusal : written.text,
    usage: readUsage(completion?.usage) ?? estimatedUsage(request, writtenText(written)),
    finish: finishOf(choice, written.toolCalls),
  };
}

function finishOf({ message, finish_reason: reason }: Choice, calls: ToolCall[]): ChatAnswer["finish"] {
  if (message?.refusal || reason === "content_filter") return "refusal";
  if (reason === "length") return "length";
  return calls.length > 0 ? "tools" : "stop";
}

function readToolCalls(calls: unknown): ToolCall[] {
  if (!Array.isArray(calls)) return [];
  return (calls as Json[]).flatMap((call, index) => {
    if (!isObject(call) || !isObject(call["function"])) return [];
    const { name, arguments: given } = call["function"];
    // Some servers leave them out: the result must refer to something, and providers take no call without a name.
    const [id, called] = [textOr(call["id"], `call_${index}`), textOr(name, "unnamed")];
    return [toolCallOf(id, called, typeof given === "string" ? given : JSON.stringify(given ?? {}))];
  });
}

const textOr = (value: Json | undefined, otherwise: string): string => (typeof value === "string" && value !== "" ? value : otherwise);

function readUsage(usage: OpenAI.CompletionUsage | null | undefined): TokenUsage | undefined {
  if (typeof usage?.prompt_tokens !== "number") return undefined;
  return {
    ...noUsage,
    inputTokens: usage.prompt_tokens,
    outputTokens: usage.completion_tokens ?? 0,
    cacheReadTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    reasoningTokens: usage.completion_tokens_details?.reasoning_tokens ?? 0,
  };
}

/** Put the pieces of a stream together. */
export async function gatherChunks(
  chunks: AsyncIterable<OpenAI.ChatCompletionChunk>,
  label: string,
  onDelta: (delta: Delta) => void,
): Promise<Completion> {
  const gathered = new Gathered(onDelta);
  await gather(chunks, label, gathered);
  return gathered.completion();
}

class Gathered {
  #usage: OpenAI.CompletionUsage | null = null;
  #reason: string | null = null;
  #text = "";
  #refusal = "";
  readonly #calls: { id: string; type: "function"; function: { name: string; arguments: string } }[] = [];

  readonly #onDelta: (delta: Delta) => void;

  constructor(onDelta: (delta: Delta) => void) {
    this.#onDelta = onDelta;
  }

  get isWhole(): boolean {
    return this.#reason !== null;
  }

  /** Some servers count all along. */
  get spent(): TokenUsage | undefined {
    const usage = readUsage(this.#usage);
    return usage && !this.isWhole ? { ...usage, isEstimated: true } : usage;
  }

  add(chunk: OpenAI.ChatCompletionChunk): void {
    // The usage comes last, in a chunk without a choice.
    this.#usage = chunk.usage ?? this.#usage;
    const choice = chunk.choices?.[0];
    if (!choice) return;
    this.#reason = choice.finish_reason ?? this.#reason;
    const { content, refusal, tool_calls: calls = [] } = choice.delta ?? {};
    if (content) {
      this.#text += content;
      this.#onDelta({ kind: "text", text: content });
    }
    this.#refusal += refusal ?? "";
    for (const call of Array.isArray(calls) ? calls : []) if (isObject(call)) this.#addCall(call);
  }

  #addCall(piece: OpenAI.ChatCompletionChunk.Choice.Delta.ToolCall): void {
    const call = (this.#calls[piece.index ?? this.#calls.length] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
    call.id ||= piece.id ?? "";
    call.function.name ||= piece.function?.name ?? "";
    call.function.arguments += piece.function?.arguments ?? "";
  }

  completion(): Completion {
    // A server that leaves numbers out leaves holes.
    const calls = this.#calls.filter((call) => call !== undefined);
    const message = { content: this.#text, refusal: this.#refusal || null, ...(calls.length > 0 ? { tool_calls: calls } : {}) };
    return { choices: [{ message, finish_reason: this.#reason }], usage: this.#usage };
  }
}
