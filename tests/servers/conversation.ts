import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { Socket } from "node:net";
import { beforeAll, describe, expect, test } from "@jest/globals";
import type { ChatAnswer, ChatRequest, Delta, Message, Model } from "../../activities/model-port.ts";

/** What a conversation needs of whoever speaks; a live provider says it by itself. */
export interface Partner {
  model: Model;
  name: string;
  /** The same provider, asked with a key that it has not given. */
  stranger?: Model;
  /** Its model of embeddings. */
  embedder?: string;
}

/** What not every partner has. */
export type Trait = "key" | "embeddings" | "connection";

/** Of one conversation: a request above it is not made, an answer above it is cut. */
const bound = { requests: 12, outputTokensEach: 1_000 };

const prompts = {
  greeting: "Answer with the single word hello, nothing else.",
  weather: "What is the weather there? Use the weather tool.\nCity: Bonn",
  person: "Extract the person.\nName: Ada Lovelace\nBorn: 1815",
  count: "Count from 1 to 300 in words, one number in each line, without leaving any out.",
} as const;

const weather = {
  name: "weather",
  description: "The weather in a city",
  parameters: {
    type: "object",
    properties: { city: { type: "string", description: "Name of the city" } },
    required: ["city"],
    additionalProperties: false,
  },
};

const person = {
  type: "object",
  properties: { name: { type: "string" }, born: { type: "integer" } },
  required: ["name", "born"],
  additionalProperties: false,
};

const ways = ["chat", "stream"] as const;
type Way = (typeof ways)[number];

/** The same conversation with every provider: our own fake, somebody else's, `local`, and the real ones where there are keys. */
export function converse(title: string, traits: Trait[], open: () => Promise<Partner>): void {
  describe(`a conversation with ${title}`, () => {
    const talk = new Talk();
    beforeAll(async () => void (talk.partner = await open()));
    testWords(talk);
    testTools(talk);
    if (traits.includes("embeddings")) testEmbeddings(talk);
    if (traits.includes("key")) testKey(talk);
    if (traits.includes("connection")) testConnection(talk);
  });
}

/** What is said to a partner, within the bound. */
class Talk {
  partner!: Partner;
  #requests = 0;

  request(content: string, more: Partial<ChatRequest> = {}): ChatRequest {
    this.#requests += 1;
    if (this.#requests > bound.requests) throw new Error(`More than ${bound.requests} requests: raise the bound.`);
    return {
      model: this.partner.name,
      messages: [{ role: "user", content }],
      outputTokensMax: bound.outputTokensEach,
      signal: AbortSignal.timeout(60_000),
      headers: { "idempotency-key": `r_1:talk${this.#requests}`, "x-run-id": "r_1" },
      ...more,
    };
  }

  ask(way: Way, request: ChatRequest, onDelta: (delta: Delta) => void = () => undefined): Promise<ChatAnswer> {
    const { model } = this.partner;
    return way === "chat" ? model.chat(request) : model.stream(request, onDelta);
  }
}

function testWords(talk: Talk): void {
  test("words", async () => {
    const answer = await talk.ask("chat", talk.request(prompts.greeting));
    expect(answer.text.trim()).not.toBe("");
    expect(answer).toMatchObject({ finish: "stop", toolCalls: [] });
    expectCounted(answer.usage);
  });

  test("words as they come", async () => {
    const deltas: Delta[] = [];
    const answer = await talk.ask("stream", talk.request(prompts.greeting), (delta) => deltas.push(delta));
    const said = deltas.flatMap(({ kind, text }) => (kind === "text" ? [text] : [])).join("");
    expect(said.trim()).toBe(answer.text.trim());
    expectCounted(answer.usage);
  });

  test("a value of a schema", async () => {
    const answer = await talk.ask("chat", talk.request(prompts.person, { outputSchema: person }));
    expect(JSON.parse(answer.text)).toEqual({ name: "Ada Lovelace", born: 1_815 });
  });
}

function testTools(talk: Talk): void {
  test.each(ways)("a tool, its result, and what follows from it (%s)", async (way) => {
    const turn = (messages: Message[]): Promise<ChatAnswer> => talk.ask(way, talk.request("", { messages, tools: [weather] }));
    const question: Message = { role: "user", content: prompts.weather };
    const first = await turn([question]);
    expect(first.finish).toBe("tools");
    const [call] = first.toolCalls;
    expect(call).toMatchObject({ name: "weather", arguments: { city: expect.stringContaining("Bonn") } });
    const { text: content, toolCalls, thinking } = first;
    const said: Message = { role: "assistant", content, toolCalls, ...(thinking ? { thinking } : {}) };
    const results = toolCalls.map(({ id }): Message => ({ role: "tool", toolCallId: id, content: "It rains in Bonn, 12 degrees." }));
    const last = await turn([question, said, ...results]);
    expect(last).toMatchObject({ finish: "stop", toolCalls: [] });
    expect(last.text).toMatch(/rain/i);
  });
}

function testEmbeddings(talk: Talk): void {
  test("a vector for each text, near for what is alike", async () => {
    const { model, embedder } = talk.partner;
    const { signal, headers } = talk.request("");
    const texts = [
      "A cat sleeps on the sofa.",
      "A cat sleeps on a sofa.",
      "Interest rates rose again in most countries of Europe last year.",
    ];
    const { vectors, usage } = await model.embed({ model: embedder!, texts, signal, headers });
    const [cat, sameCat, rates] = vectors as [number[], number[], number[]];
    expect(vectors.map(({ length }) => length)).toEqual(texts.map(() => cat.length));
    expect(distance(cat, sameCat)).toBeLessThan(distance(cat, rates));
    expect(usage.inputTokens).toBeGreaterThan(0);
  });
}

function testKey(talk: Talk): void {
  test("a wrong key is refused for good", async () => {
    const refused = talk.partner.stranger!.chat(talk.request(prompts.greeting));
    await expect(refused).rejects.toMatchObject({ problem: { code: "model", retryable: false, upstreamStatus: 401 } });
  });
}

function testConnection(talk: Talk): void {
  test("a model that there is not is refused for good, and it is said where models are named", async () => {
    const refused = talk.ask("chat", talk.request(prompts.greeting, { model: "no-such-model" }));
    const problem = { code: "model", retryable: false, upstreamStatus: 404, detail: expect.stringContaining("TENUTO_MODELS") as unknown };
    await expect(refused).rejects.toMatchObject({ problem });
  });

  test.each(ways)("who is told to stop hangs up (%s)", async (way) => {
    const stop = new AbortController();
    const sent = nextSocket();
    const asked = talk.ask(way, talk.request(prompts.count, { signal: stop.signal }), () => stop.abort());
    const socket = await sent;
    if (way === "chat") stop.abort();
    await expect(asked).rejects.toBeDefined();
    if (!socket.closed) await once(socket, "close", { signal: AbortSignal.timeout(30_000) });
  });
}

function expectCounted({ inputTokens, outputTokens }: ChatAnswer["usage"]): void {
  expect(inputTokens).toBeGreaterThan(0);
  expect(outputTokens).toBeGreaterThan(0);
}

/** The connection that the next request goes over. */
function nextSocket(): Promise<Socket> {
  return new Promise((found) => {
    const hear = (message: unknown): void => {
      unsubscribe(channel, hear);
      found((message as { socket: Socket }).socket);
    };
    subscribe(channel, hear);
  });
}

const channel = "undici:client:sendHeaders";

const distance = (a: number[], b: number[]): number => Math.hypot(...a.map((value, index) => value - b[index]!));
