import type { Json } from "../contracts/json.ts";
import { hashOf, sha256 } from "../prisma/hash.ts";
import type { ChatRequest, Message } from "./model-port.ts";

type Conversation = Pick<ChatRequest, "messages" | "tools">;

/** What a thought is signed with: all that stood before it, tools and system prompt included. */
export const hashBefore = (request: Conversation): string => hashesBefore(request).at(-1)!;

/**
 * Without thoughts that stood behind other words when they were had, as after a repair, a handover or a summary: newer models of Anthropic
 * refuse a request (400) for one of them.
 */
export function withoutStale(request: Conversation): Message[] {
  const { messages } = request;
  if (!messages.some((message) => message.role === "assistant" && message.thinking)) return messages;
  const hashes = hashesBefore(request);
  return messages.map((message, index) => {
    if (message.role !== "assistant" || !message.thinking || message.thinking.after === hashes[index]) return message;
    const { thinking: _, ...rest } = message;
    return rest;
  });
}

/** Before each message, and at last behind all. The system prompt counts first, wherever it stands. */
function hashesBefore({ messages, tools = [] }: Conversation): string[] {
  const system = messages.filter(({ role }) => role === "system");
  const hashes = [hashOf({ system, tools } as unknown as Json)];
  for (const message of messages) hashes.push(sha256(`${hashes.at(-1)!} ${hashOf(message as unknown as Json)}`));
  return hashes;
}
