import { anthropicBody, anthropicEvents } from "./anthropic-words.ts";
import type { ModelReply, ModelRequestBody } from "./model-reply.ts";
import { openAiBody, openAiChunks, openAiEmbeddings } from "./openai-words.ts";
import { startServer, type Recorded, type Reply, type ScriptedServer } from "./scripted-server.ts";

export interface ModelServer extends ScriptedServer {
  /** The next answers, in order; afterwards it echoes the last message. */
  script(...replies: ModelReply[]): void;
  /** Answers every request that no script is left for. */
  answerWith(answer: (request: { body: ModelRequestBody; recorded: Recorded }) => ModelReply): void;
  /** The parsed body of a request. */
  body(index: number): ModelRequestBody;
}

/** A model server over real HTTP. It speaks both APIs: `/chat/completions` and `/v1/messages`. Base URLs: `${url}/v1` and `url`. */
export async function startModelServer(options: { port?: number } = {}): Promise<ModelServer> {
  const script: ModelReply[] = [];
  let answer = echo;
  const server = await startServer((recorded) => {
    // A request for an embedding has none.
    const body = { messages: [], ...(JSON.parse(recorded.body) as object) } as unknown as ModelRequestBody;
    return spoken(body, recorded, script.shift() ?? answer({ body, recorded }));
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

function spoken(body: ModelRequestBody, { path }: Recorded, reply: ModelReply): Reply {
  const isAnthropic = path.endsWith("/messages");
  const json = (value: unknown): Reply => ({
    ...reply,
    headers: { "content-type": "application/json", ...reply.headers },
    body: reply.body ?? JSON.stringify(value),
  });
  if ((reply.status ?? 200) >= 400) return json({ type: "error", error: { type: "scripted", message: "scripted error" } });
  if (path.endsWith("/embeddings")) return json(openAiEmbeddings(body, reply));
  if (!body.stream || reply.body !== undefined) return json(isAnthropic ? anthropicBody(body, reply) : openAiBody(body, reply));
  const pieces = isAnthropic ? anthropicEvents(body, reply) : openAiChunks(body, reply);
  return { ...reply, headers: { "content-type": "text/event-stream", ...reply.headers }, pieces };
}
