import { startServer, type Recorded, type Reply, type ScriptedServer } from "./scripted-server.ts";

/** What a model says: plain words, a JSON value, or anything a broken server may send. */
export interface ModelReply extends Reply {
  text?: string;
  /** The value of a structured answer; as text for OpenAI, as tool input for Anthropic. */
  json?: unknown;
  refusal?: string;
  isCutShort?: boolean;
  /** null: the server does not tell. */
  usage?: { inputTokens: number; outputTokens: number } | null;
}

export interface ModelServer extends ScriptedServer {
  /** The next answers, in order; afterwards it echoes the last message. */
  script(...replies: ModelReply[]): void;
  /** Answers every request that no script is left for. */
  answerWith(answer: (request: { body: ModelRequestBody; recorded: Recorded }) => ModelReply): void;
  /** The parsed body of a request. */
  body(index: number): ModelRequestBody;
}

/** The parts of both providers' requests that tests look at. */
export interface ModelRequestBody {
  model: string;
  messages: { role: string; content: string }[];
  system?: string;
  response_format?: { json_schema: { schema: unknown; strict: boolean } };
  tools?: { name: string; input_schema: unknown }[];
}

/** A model server over real HTTP. It speaks both APIs: `/chat/completions` and `/v1/messages`. Base URLs: `${url}/v1` and `url`. */
export async function startModelServer(options: { port?: number } = {}): Promise<ModelServer> {
  const script: ModelReply[] = [];
  let answer = echo;
  const server = await startServer((recorded) => {
    const body = JSON.parse(recorded.body) as ModelRequestBody;
    const reply = script.shift() ?? answer({ body, recorded });
    const spoken = recorded.path.endsWith("/messages") ? anthropicBody(body, reply) : openAiBody(body, reply);
    const isError = (reply.status ?? 200) >= 400;
    return {
      ...reply,
      headers: { "content-type": "application/json", ...reply.headers },
      body: reply.body ?? JSON.stringify(isError ? { type: "error", error: { type: "scripted", message: "scripted error" } } : spoken),
    };
  }, options.port);
  return {
    ...server,
    script: (...replies) => void script.push(...replies),
    answerWith: (next) => void (answer = next),
    body: (index) => JSON.parse(server.requests.at(index)!.body) as ModelRequestBody,
  };
}

const echo = ({ body }: { body: ModelRequestBody; recorded: Recorded }): ModelReply => ({
  text: `echo: ${body.messages.at(-1)?.content ?? ""}`,
});

const usageOf = (reply: ModelReply): { inputTokens: number; outputTokens: number } => reply.usage ?? { inputTokens: 10, outputTokens: 5 };

function openAiBody(request: ModelRequestBody, reply: ModelReply): unknown {
  const { inputTokens, outputTokens } = usageOf(reply);
  const content = reply.refusal === undefined ? (reply.text ?? (reply.json === undefined ? "" : JSON.stringify(reply.json))) : null;
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: request.model,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content, refusal: reply.refusal ?? null },
        finish_reason: reply.isCutShort ? "length" : "stop",
      },
    ],
    ...(reply.usage === null
      ? {}
      : { usage: { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens } }),
  };
}

function anthropicBody(request: ModelRequestBody, reply: ModelReply): unknown {
  const { inputTokens, outputTokens } = usageOf(reply);
  const call = { type: "tool_use", id: "toolu_1", name: request.tools?.[0]?.name ?? "output", input: reply.json };
  const written = reply.refusal ?? reply.text;
  return {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: request.model,
    content: reply.json !== undefined ? [call] : written ? [{ type: "text", text: written }] : [],
    stop_reason: reply.refusal !== undefined ? "refusal" : reply.isCutShort ? "max_tokens" : "end_turn",
    stop_sequence: null,
    ...(reply.usage === null ? {} : { usage: { input_tokens: inputTokens, output_tokens: outputTokens } }),
  };
}
