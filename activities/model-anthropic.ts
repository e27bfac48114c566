import Anthropic from "@anthropic-ai/sdk";
import { Fault } from "../contracts/faults.ts";
import { gatherEvents, readMessage } from "./anthropic-answer.ts";
import { messageBody } from "./anthropic-request.ts";
import { createModelFetch } from "./model-fetch.ts";
import { modelFault } from "./model-fault.ts";
import type { ChatAnswer, ChatRequest, Delta, Model } from "./model-port.ts";

/** Claude. Structured output is a call of one more tool whose input is the output. */
export function createAnthropic(options: { apiKey?: string | undefined; baseUrl?: string | undefined; fetch?: typeof fetch }): Model {
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
  return {
    chat: (request) => faulting(request, () => chat(client, request)),
    stream: (request, onDelta) => faulting(request, () => stream(client, request, onDelta)),
    async embed({ model }) {
      throw new Fault("model", `${labelOf({ model })}: Anthropic has no embeddings; take a model of another provider.`, {
        extra: { retryable: false },
      });
    },
  };
}

// The step's signal decides; the SDK's own limit must not come first.
const SDK_TIMEOUT_MS = 2 ** 31 - 1;

const labelOf = ({ model }: { model: string }): string => `anthropic/${model}`;

async function faulting(request: ChatRequest, work: () => Promise<ChatAnswer>): Promise<ChatAnswer> {
  try {
    return await work();
  } catch (error) {
    throw modelFault(error, labelOf(request));
  }
}

async function chat(client: Anthropic, request: ChatRequest): Promise<ChatAnswer> {
  const message = await client.messages.create(messageBody(request), { headers: request.headers, signal: request.signal });
  return readMessage(message, request, labelOf(request));
}

async function stream(client: Anthropic, request: ChatRequest, onDelta: (delta: Delta) => void): Promise<ChatAnswer> {
  const body = { ...messageBody(request), stream: true as const };
  const events = await client.messages.create(body, { headers: request.headers, signal: request.signal });
  return readMessage(await gatherEvents(events, labelOf(request), onDelta), request, labelOf(request));
}
