import type { ChatRequest } from "../activities/model-port.ts";

/** What tests of wire formats ask. */
export const chatRequest = (model: string, more: Partial<ChatRequest> = {}): ChatRequest => ({
  model,
  messages: [{ role: "user", content: "Where?" }],
  signal: new AbortController().signal,
  headers: {},
  ...more,
});
