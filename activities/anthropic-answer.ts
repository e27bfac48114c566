import type Anthropic from "@anthropic-ai/sdk";
import type { TokenUsage } from "../contracts/model-calls.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { OUTPUT_TOOL } from "./anthropic-request.ts";
import { hashBefore } from "./anthropic-thoughts.ts";
import { gather, shapeFault } from "./model-fault.ts";
import {
  estimatedUsage,
  estimateTokens,
  noUsage,
  toolCallOf,
  writtenText,
  type ChatAnswer,
  type ChatRequest,
  type Delta,
  type ToolCall,
} from "./model-port.ts";

// A server behind another base URL may send anything, so nothing of its type is trusted.
interface Answer {
  content?: readonly object[];
  stop_reason?: string | null;
  usage?: Partial<Anthropic.Usage>;
}

type Block = { type: string; [field: string]: unknown };

export function readMessage(message: Answer | null, request: ChatRequest, label: string): ChatAnswer {
  if (!Array.isArray(message?.content)) throw shapeFault(label, "content");
  const blocks = (message.content as readonly Json[]).filter((block) => isObject(block)) as Block[];
  const calls = blocks.filter(({ type }) => type === "tool_use");
  const output = request.outputSchema && calls.find(({ name }) => name === OUTPUT_TOOL);
  const thoughts = blocks.filter(({ type }) => type === "thinking" || type === "redacted_thinking");
  const written = {
    text: output ? textOfInput(output) : blocks.map(({ type, text }) => (type === "text" && typeof text === "string" ? text : "")).join(""),
    toolCalls: output ? [] : calls.map(callOf),
  };
  return {
    ...written,
    ...(thoughts.length === 0 ? {} : { thinking: { provider: "anthropic", blocks: thoughts as JsonObject[], after: hashBefore(request) } }),
    usage: readUsage(message.usage) ?? estimatedUsage(request, writtenText(written)),
    finish: finishOf(message.stop_reason, written.toolCalls),
  };
}

// Of a stream the input comes as text, whole or not.
const textOfInput = ({ input }: Block): string => (typeof input === "string" ? input : JSON.stringify(input ?? {}));

const callOf = (block: Block): ToolCall => toolCallOf(String(block["id"]), String(block["name"]), textOfInput(block));

function finishOf(reason: string | null | undefined, calls: ToolCall[]): ChatAnswer["finish"] {
  if (reason === "refusal") return "refusal";
  if (reason === "max_tokens" || reason === "model_context_window_exceeded") return "length";
  return calls.length > 0 ? "tools" : "stop";
}

// Anthropic counts tokens read from and written to its cache apart from the others.
function readUsage(usage: Partial<Anthropic.Usage> | undefined): TokenUsage | undefined {
  if (typeof usage?.input_tokens !== "number") return undefined;
  const cacheReadTokens = usage.cache_read_input_tokens ?? 0;
  const cacheWriteTokens = usage.cache_creation_input_tokens ?? 0;
  return {
    ...noUsage,
    inputTokens: usage.input_tokens + cacheReadTokens + cacheWriteTokens,
    outputTokens: usage.output_tokens ?? 0,
    cacheReadTokens,
    cacheWriteTokens,
    reasoningTokens: usage.output_tokens_details?.thinking_tokens ?? 0,
  };
}

/** Put the events of a stream together. */
export async function gatherEvents(
  events: AsyncIterable<Anthropic.RawMessageStreamEvent>,
  label: string,
  onDelta: (delta: Delta) => void,
): Promise<Answer> {
  const gathered = new Gathered(onDelta);
  await gather(events, label, gathered);
  return gathered.answer;
}

class Gathered {
  readonly answer: Answer & { content: Block[] } = { content: [] };
  isWhole = false;
  #isCounted = false;
  readonly #onDelta: (delta: Delta) => void;

  constructor(onDelta: (delta: Delta) => void) {
    this.#onDelta = onDelta;
  }

  /** The start counts one token of output or so, the end all of it. */
  get spent(): TokenUsage | undefined {
    const usage = readUsage(this.answer.usage);
    if (!usage || this.#isCounted) return usage;
    return { ...usage, outputTokens: Math.max(usage.outputTokens, estimateTokens(JSON.stringify(this.answer.content))), isEstimated: true };
  }

  add(event: Anthropic.RawMessageStreamEvent): void {
    switch (event.type) {
      case "message_start":
        this.#count(event.message?.usage);
        break;
      case "content_block_start":
        this.answer.content[event.index] = startOf(event.content_block as unknown as Block);
        break;
      case "content_block_delta":
        this.#grow(this.answer.content[event.index], event.delta);
        break;
      case "message_delta":
        this.answer.stop_reason = event.delta.stop_reason;
        this.#count(event.usage);
        this.#isCounted = event.usage !== undefined;
        break;
      case "message_stop":
        this.isWhole = true;
        break;
      case "content_block_stop":
        break;
    }
  }

  // The counts of the end are totals; those that it leaves out stay as the start told them.
  #count(usage: object | undefined): void {
    const told = Object.entries(usage ?? {}).filter(([, value]) => value !== null && value !== undefined);
    if (told.length > 0) this.answer.usage = { ...this.answer.usage, ...(Object.fromEntries(told) as Partial<Anthropic.Usage>) };
  }

  #grow(block: Block | undefined, delta: Anthropic.RawContentBlockDelta): void {
    if (!block) return;
    switch (delta.type) {
      case "text_delta":
        grow(block, "text", delta.text);
        this.#onDelta({ kind: "text", text: delta.text });
        break;
      case "input_json_delta":
        grow(block, "input", delta.partial_json);
        // The input of the output tool is the answer.
        if (block["name"] === OUTPUT_TOOL) this.#onDelta({ kind: "text", text: delta.partial_json });
        break;
      case "thinking_delta":
        grow(block, "thinking", delta.thinking);
        this.#onDelta({ kind: "thinking", text: delta.thinking });
        break;
      case "signature_delta":
        block["signature"] = delta.signature;
        break;
      default:
    }
  }
}

function grow(block: Block, field: string, piece: string): void {
  const before = block[field];
  block[field] = typeof before === "string" ? before + piece : piece;
}

// A stream begins a call with an empty object and then tells its text.
const startOf = (block: Block): Block => (block.type === "tool_use" ? { ...block, input: "" } : { ...block });
