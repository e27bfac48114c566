import type OpenAI from "openai";
import { Fault } from "../contracts/faults.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import type { TokenUsage } from "../contracts/model-calls.ts";
import { gather, shapeFault, tooLongFault } from "./model-fault.ts";
import { estimatedUsage, noUsage, toolCallOf, writtenText, type ChatAnswer, type ChatRequest, type Delta } from "./model-port.ts";
import { saysTooLong } from "./too-long.ts";
import { thinker } from "./responses-request.ts";

type Response = Partial<Pick<OpenAI.Responses.Response, "status" | "output" | "error" | "incomplete_details" | "usage">>;

export function readResponse(response: Response | null, request: ChatRequest, label: string): ChatAnswer {
  if (!isObject(response as Json) || !Array.isArray(response?.output)) throw shapeFault(label, "output");
  if (response.status === "failed") throw failedFault(response, label);
  const items = (response.output as unknown as Json[]).filter((item) => isObject(item));
  const parts = ofType(items, "message").flatMap(({ content }) => (Array.isArray(content) ? content.filter((part) => isObject(part)) : []));
  const refusal = textOf(parts, "refusal", "refusal");
  const written = {
    text: textOf(parts, "output_text", "text"),
    toolCalls: ofType(items, "function_call").map(({ call_id: id, name, arguments: given }) =>
      toolCallOf(wordIn(id), wordIn(name), typeof given === "string" ? given : JSON.stringify(given ?? {})),
    ),
  };
  return {
    ...written,
    text: refusal || written.text,
    ...(ofType(items, "reasoning").length === 0 ? {} : { thinking: { provider: thinker(request.model), blocks: items.map(withoutWords) } }),
    usage: readUsage(response.usage) ?? estimatedUsage(request, writtenText(written)),
    finish: finishOf(response, { refusal, calls: written.toolCalls.length }),
  };
}

const wordIn = (value: Json | undefined): string => (typeof value === "string" ? value : "unnamed");

/** What was said and called stands beside it, and may be changed there. */
function withoutWords(item: JsonObject): JsonObject {
  const { content: _, arguments: __, ...rest } = item;
  return item["type"] === "message" || item["type"] === "function_call" ? rest : item;
}

const ofType = (items: JsonObject[], wanted: string): JsonObject[] => items.filter(({ type }) => type === wanted);

const textOf = (parts: JsonObject[], type: string, field: string): string =>
  ofType(parts, type)
    .map((part) => (typeof part[field] === "string" ? part[field] : ""))
    .join("");

function finishOf({ incomplete_details: why }: Response, { refusal, calls }: { refusal: string; calls: number }): ChatAnswer["finish"] {
  if (refusal !== "" || why?.reason === "content_filter") return "refusal";
  if (why?.reason === "max_output_tokens") return "length";
  return calls > 0 ? "tools" : "stop";
}

function failedFault({ error, usage }: Response, label: string): Fault {
  const message = error?.message ?? "";
  if (saysTooLong({ code: error?.code, message })) return tooLongFault(new Error(message), label, {});
  const spent = readUsage(usage);
  const isPassing = error?.code === undefined || /^(server_error|rate_limit_exceeded|vector_store_timeout)$/.test(error.code);
  return new Fault("model", `${label} broke off its answer (${error?.code ?? "unknown"}): ${message.slice(0, 500)}`, {
    extra: { retryable: isPassing, ...(spent ? { spent: { ...spent } } : {}) },
  });
}

function readUsage(usage: OpenAI.Responses.ResponseUsage | null | undefined): TokenUsage | undefined {
  if (typeof usage?.input_tokens !== "number") return undefined;
  return {
    ...noUsage,
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens ?? 0,
    cacheReadTokens: usage.input_tokens_details?.cached_tokens ?? 0,
    reasoningTokens: usage.output_tokens_details?.reasoning_tokens ?? 0,
  };
}

/** The response that the last event of a stream brings. */
export async function gatherResponse(
  events: AsyncIterable<OpenAI.Responses.ResponseStreamEvent>,
  label: string,
  onDelta: (delta: Delta) => void,
): Promise<Response> {
  const gathered = new Gathered(label, onDelta);
  await gather(events, label, gathered);
  return gathered.response!;
}

class Gathered {
  response: Response | undefined;
  /** Nothing is counted before the end. */
  readonly spent = undefined;
  readonly #label: string;
  readonly #onDelta: (delta: Delta) => void;

  constructor(label: string, onDelta: (delta: Delta) => void) {
    this.#label = label;
    this.#onDelta = onDelta;
  }

  get isWhole(): boolean {
    return this.response !== undefined;
  }

  add(event: OpenAI.Responses.ResponseStreamEvent): void {
    switch (event.type) {
      case "response.output_text.delta":
        this.#onDelta({ kind: "text", text: event.delta });
        break;
      case "response.reasoning_summary_text.delta":
        this.#onDelta({ kind: "thinking", text: event.delta });
        break;
      case "response.completed":
      case "response.incomplete":
      case "response.failed":
        this.response = event.response;
        break;
      case "error":
        throw failedFault({ error: { code: event.code, message: event.message } as OpenAI.Responses.ResponseError }, this.#label);
      default:
    }
  }
}
