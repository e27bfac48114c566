import Anthropic from "@anthropic-ai/sdk";
import { Fault } from "../contracts/faults.ts";
import { gatherEvents, readMessage } from "./anthropic-answer.ts";
import { messageBody } from "./anthropic-request.ts";
import { createModelFetch, sdkOptions } from "./model-fetch.ts";
import { faulting } from "./model-fault.ts";
import type { ChatAnswer, ChatRequest, Delta, Model } from "./model-port.ts";

/** Claude. Structured output is a format of the answer, or else a call of one more tool whose input is the output. */
export function createAnthropic(options: { apiKey?: string | undefined; baseUrl?: string | undefined; fetch?: typeof fetch }): Model {
  const client = new Anthropic({
    apiKey: options.apiKey ?? "none",
    authToken: null,
    baseURL: options.baseUrl ?? "https://api.anthropic.com",
    ...sdkOptions,
    fetch: options.fetch ?? createModelFetch(),
  });
  return {
    chat: (request) => faulting(labelOf(request), () => chat(client, request)),
    stream: (request, onDelta) => faulting(labelOf(request), () => stream(client, request, onDelta)),
    async embed({ model }) {
      throw new Fault("model", `${labelOf({ model })}: Anthropic has no embeddings; take a model of another provider.`, {
        extra: { retryable: false },
      });
    },
  };
}

const labelOf = ({ model }: { model: string }): string => `anthropic/${model}`;

async function chat(client: Anthropic, request: ChatRequest): Promise<ChatAnswer> {
  const body = messageBody(request);
  if (body.max_tokens > WHOLE_TOKENS_MAX) return stream(client, request, () => undefined);
  const message = await client.messages.create(body, { headers: request.headers, signal: request.signal });
  return readMessage(message, request, labelOf(request));
}

async function stream(client: Anthropic, request: ChatRequest, onDelta: (delta: Delta) => void): Promise<ChatAnswer> {
  const { thinking, ...rest } = messageBody(request);
  // The newest models do not show what they think unless they are asked to.
  const shown = thinking?.type === "adaptive" ? { ...thinking, display: "summarized" as const } : thinking;
  const body = { ...rest, ...(shown ? { thinking: shown } : {}), stream: true as const };
  const events = await client.messages.create(body, { headers: request.headers, signal: request.signal });
  return readMessage(await gatherEvents(events, labelOf(request), onDelta), request, labelOf(request));
}

/** An answer that may be longer can take over ten minutes, in which a connection that is silent is cut somewhere: so it comes as a stream. */
const WHOLE_TOKENS_MAX = 21_333;
