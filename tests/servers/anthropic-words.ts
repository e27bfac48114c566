import { usageOf, wordsOf, type ModelReply, type ModelRequestBody } from "./model-reply.ts";

/** What Anthropic's messages API would say. */
export const anthropicBody = (request: ModelRequestBody, reply: ModelReply): unknown => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: request.model,
  content: blocksOf(request, reply),
  stop_reason: reasonOf(request, reply),
  stop_sequence: null,
  ...(reply.usage === null ? {} : { usage: { ...inputCounts(reply), output_tokens: usageOf(reply).outputTokens } }),
});

/** The same as a stream of server-sent events. */
export function anthropicEvents(request: ModelRequestBody, reply: ModelReply): string[] {
  const message = {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: request.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  };
  const counted = reply.usage === null ? {} : { usage: { ...inputCounts(reply), output_tokens: 1 } };
  const ended = reply.usage === null ? {} : { usage: { output_tokens: usageOf(reply).outputTokens } };
  return [
    event("message_start", { message: { ...message, ...counted } }),
    ...blocksOf(request, reply).flatMap(blockEvents),
    ...(reply.errorEvent === undefined ? [] : [event("error", { error: { type: reply.errorEvent, message: "scripted error" } })]),
    ...(reply.lacksEnd || reply.errorEvent !== undefined
      ? []
      : [
          event("message_delta", { delta: { stop_reason: reasonOf(request, reply), stop_sequence: null }, ...ended }),
          event("message_stop", {}),
        ]),
  ];
}

type Block = { type: string; text?: string; thinking?: string; signature?: string; input?: unknown; id?: string; name?: string };

function blocksOf(request: ModelRequestBody, reply: ModelReply): Block[] {
  // By a format the value is the text; without one it is the input of the output tool.
  const value = reply.json !== undefined && request.output_config?.format ? JSON.stringify(reply.json) : undefined;
  const written = reply.refusal ?? reply.text ?? value;
  const calls = (reply.toolCalls ?? []).map(({ id, name, arguments: input }): Block => ({ type: "tool_use", id, name, input }));
  const output: Block = { type: "tool_use", id: "toolu_1", name: request.tools?.at(-1)?.name ?? "output", input: reply.json };
  return [
    ...(reply.thinking === undefined ? [] : [{ type: "thinking", thinking: reply.thinking, signature: "signed" }]),
    ...(written ? [{ type: "text", text: written }] : []),
    ...calls,
    ...(reply.json === undefined || value !== undefined ? [] : [output]),
  ];
}

function blockEvents(block: Block, index: number): string[] {
  const delta = (content: object): string => event("content_block_delta", { index, delta: content });
  return [
    event("content_block_start", { index, content_block: emptied(block) }),
    ...deltasOf(block).map(delta),
    event("content_block_stop", { index }),
  ];
}

function emptied(block: Block): Block {
  if (block.type === "tool_use") return { ...block, input: {} };
  return block.type === "text" ? { ...block, text: "" } : { ...block, thinking: "", signature: "" };
}

function deltasOf(block: Block): object[] {
  if (block.type === "text") return wordsOf(block.text ?? "").map((text) => ({ type: "text_delta", text }));
  if (block.type === "tool_use") {
    const text = typeof block.input === "string" ? block.input : JSON.stringify(block.input);
    return wordsOf(text).map((partial) => ({ type: "input_json_delta", partial_json: partial }));
  }
  return [
    ...wordsOf(block.thinking ?? "").map((thinking) => ({ type: "thinking_delta", thinking })),
    { type: "signature_delta", signature: block.signature },
  ];
}

const event = (type: string, data: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;

function reasonOf(request: ModelRequestBody, reply: ModelReply): string {
  const calls = reply.toolCalls || (reply.json !== undefined && !request.output_config?.format);
  if (reply.refusal !== undefined) return "refusal";
  return reply.isCutShort ? "max_tokens" : calls ? "tool_use" : "end_turn";
}

// Anthropic counts what concerns its cache apart.
function inputCounts(reply: ModelReply): object {
  const { inputTokens, cacheReadTokens, cacheWriteTokens } = usageOf(reply);
  return {
    input_tokens: inputTokens - cacheReadTokens - cacheWriteTokens,
    cache_read_input_tokens: cacheReadTokens,
    cache_creation_input_tokens: cacheWriteTokens,
  };
}
