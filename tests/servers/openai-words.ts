import { usageOf, wordsOf, type ModelReply, type ModelRequestBody } from "./model-reply.ts";

/** What OpenAI's chat API would say. */
export function openAiBody(request: ModelRequestBody, reply: ModelReply): unknown {
  const calls = callsOf(reply);
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: request.model,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: reply.refusal === undefined ? contentOf(reply) : null,
          refusal: reply.refusal ?? null,
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
        },
        finish_reason: reasonOf(reply),
      },
    ],
    ...(reply.usage === null ? {} : { usage: countedBy(reply) }),
  };
}

/** The same as a stream of server-sent events. */
export function openAiChunks(request: ModelRequestBody, reply: ModelReply): string[] {
  const chunk = (delta: unknown, more: object = {}): string =>
    event({
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 1,
      model: request.model,
      choices: [{ index: 0, delta, finish_reason: null, ...more }],
    });
  const text = reply.refusal ?? contentOf(reply);
  const field = reply.refusal === undefined ? "content" : "refusal";
  const calls = callsOf(reply).flatMap(({ id, type, function: { name, arguments: given } }, index) => [
    chunk({ tool_calls: [{ index, id, type, function: { name, arguments: "" } }] }),
    ...wordsOf(given).map((piece) => chunk({ tool_calls: [{ index, function: { arguments: piece } }] })),
  ]);
  if (reply.errorEvent !== undefined)
    return [
      ...wordsOf(text).map((piece) => chunk({ [field]: piece })),
      event({ error: { type: reply.errorEvent, message: "scripted error", code: null } }),
    ];
  const usage = {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1,
    model: request.model,
    choices: [],
    usage: countedBy(reply),
  };
  return [
    chunk({ role: "assistant", content: "" }),
    ...wordsOf(text).map((piece) => chunk({ [field]: piece })),
    ...calls,
    ...(reply.lacksEnd ? [] : [chunk({}, { finish_reason: reasonOf(reply) })]),
    ...(reply.usage === null || reply.lacksEnd ? [] : [event(usage)]),
    ...(reply.lacksEnd ? [] : ["data: [DONE]\n\n"]),
  ];
}

export const openAiEmbeddings = ({ input = [], model }: ModelRequestBody, reply: ModelReply): unknown => ({
  object: "list",
  model,
  // Out of order, as it may be.
  data: input.map((text, index) => ({ object: "embedding", index, embedding: initialsOf(text) })).toReversed(),
  ...(reply.usage === null ? {} : { usage: { prompt_tokens: usageOf(reply).inputTokens, total_tokens: usageOf(reply).inputTokens } }),
});

/** What its words begin with, counted: texts can mean alike here that share no word. */
const initialsOf = (text: string): number[] => {
  const initials = text.toLowerCase().match(/\b[a-z]/g) ?? [];
  return Array.from({ length: 26 }, (_, letter) => initials.filter((initial) => initial.charCodeAt(0) - 97 === letter).length);
};

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;

const contentOf = ({ text, json }: ModelReply): string => text ?? (json === undefined ? "" : JSON.stringify(json));

const callsOf = ({ toolCalls = [] }: ModelReply) =>
  toolCalls.map(({ id, name, arguments: given }) => ({
    id,
    type: "function",
    function: { name, arguments: typeof given === "string" ? given : JSON.stringify(given) },
  }));

const reasonOf = ({ isCutShort, toolCalls }: ModelReply): string => (isCutShort ? "length" : toolCalls ? "tool_calls" : "stop");

function countedBy(reply: ModelReply): unknown {
  const { inputTokens, outputTokens, cacheReadTokens, reasoningTokens } = usageOf(reply);
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cacheReadTokens },
    completion_tokens_details: { reasoning_tokens: reasoningTokens },
  };
}
