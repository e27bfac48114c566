import { apiKeyFile } from "./api-key.ts";

export interface Server {
  url: string;
  apiKey: string;
}

/** What the API said no to. */
export class Refused extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail);
    this.name = "Refused";
    this.problem = problem;
  }
}

export interface Problem {
  code: string;
  detail: string;
  errors?: { path?: string; pointer?: string; line?: number; column?: number; message: string }[];
}

export interface RunAnswer {
  id: string;
  status: string;
  output?: unknown;
  error?: Problem | null;
  links: { self: string; events: string; temporal: string };
}

export interface EventAnswer {
  seq: number;
  type: string;
  step: string | null;
  data: Record<string, unknown>;
}

interface Sent {
  method?: "GET" | "POST";
  body?: string;
  mediaType?: string;
  idempotencyKey?: string;
}

/** One request to the API; throws `Refused` with its problem, or an error that says what to do when nobody answers. */
export async function ask<Answer>(server: Server, path: string, sent: Sent = {}): Promise<Answer> {
  const answer = await send(server, path, sent);
  const body = (await answer.json()) as unknown;
  if (!answer.ok) throw new Refused(body as Problem);
  return body as Answer;
}

/** The run's log from its start to its end, however often the connection breaks. */
export async function* followRun(server: Server, run: string): AsyncGenerator<EventAnswer> {
  for (let last = 0; ; await new Promise((later) => setTimeout(later, 500))) {
    const answer = await send(server, `/api/v2/runs/${run}/events`, {}, { accept: "text/event-stream", "last-event-id": String(last) });
    if (answer.status === 204) return;
    if (!answer.ok || !answer.body) throw new Refused((await answer.json()) as Problem);
    try {
      for await (const event of eventsIn(answer.body)) {
        last = event.seq;
        yield event;
      }
    } catch {
      // The stream broke off: the next one goes on after the last number.
    }
  }
}

async function send({ url, apiKey }: Server, path: string, sent: Sent, headers: Record<string, string> = {}): Promise<Response> {
  const { method = "GET", body, mediaType = "application/json", idempotencyKey } = sent;
  const all = {
    authorization: `Bearer ${apiKey}`,
    ...(body !== undefined && { "content-type": mediaType }),
    ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
    ...headers,
  };
  try {
    return await fetch(new URL(path, url), { method, headers: all, ...(body !== undefined && { body }) });
  } catch (cause) {
    throw new Error(`Nothing answers at ${url}. Start the stack by "npm start", or set TENUTO_URL.`, { cause });
  }
}

async function* eventsIn(body: ReadableStream<Uint8Array>): AsyncGenerator<EventAnswer> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:"));
      if (data.length > 0) yield JSON.parse(data.map((line) => line.slice(5)).join("\n")) as EventAnswer;
    }
  }
}

export const missingKey = (stateDir: string): Error =>
  new Error(`No API key: set TENUTO_API_KEY, or start the stack here once, which keeps one in ${apiKeyFile(stateDir)}.`);
