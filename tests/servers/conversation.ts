import { beforeAll, describe, expect, test } from "@jest/globals";
import type { ChatAnswer, ChatRequest, Delta, Message, Model } from "../../activities/model-port.ts";

/** What a conversation needs of whoever speaks; a live provider says it by itself. */
export interface Partner {
  model: Model;
  name: string;
}

const prompts = {
  greeting: "Answer with the single word hello, nothing else.",
  weather: "What is the weather there? Use the weather tool.\nCity: Bonn",
  person: "Extract the person.\nName: Ada Lovelace\nBorn: 1815",
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

/** The same conversation with every provider: our own fake, somebody else's, `local`, and the real ones where there are keys. */
export function converse(title: string, open: () => Promise<Partner>): void {
  describe(`a conversation with ${title}`, () => {
    let partner: Partner;
    beforeAll(async () => void (partner = await open()));

    const ask = (messages: Message[], more: Partial<ChatRequest> = {}): Promise<ChatAnswer> =>
      partner.model.chat(requestTo(partner, messages, more));

    test("words", async () => {
      const answer = await ask([{ role: "user", content: prompts.greeting }]);
      expect(answer.text.trim()).not.toBe("");
      expect(answer).toMatchObject({ finish: "stop", toolCalls: [] });
      expect(answer.usage.inputTokens).toBeGreaterThan(0);
      expect(answer.usage.outputTokens).toBeGreaterThan(0);
    });

    test("words as they come", async () => {
      const deltas: Delta[] = [];
      const request = requestTo(partner, [{ role: "user", content: prompts.greeting }]);
      const answer = await partner.model.stream(request, (delta) => deltas.push(delta));
      const said = deltas.flatMap(({ kind, text }) => (kind === "text" ? [text] : [])).join("");
      expect(said.trim()).toBe(answer.text.trim());
      expect(answer.usage.outputTokens).toBeGreaterThan(0);
    });

    test("a value of a schema", async () => {
      const answer = await ask([{ role: "user", content: prompts.person }], { outputSchema: person });
      expect(JSON.parse(answer.text)).toEqual({ name: "Ada Lovelace", born: 1_815 });
    });

    test.each(["chat", "stream"] as const)("a tool, its result, and what follows from it (%s)", async (way) => {
      const turn = (messages: Message[]): Promise<ChatAnswer> => {
        const request = requestTo(partner, messages, { tools: [weather] });
        return way === "chat" ? partner.model.chat(request) : partner.model.stream(request, () => undefined);
      };
      const question: Message = { role: "user", content: prompts.weather };
      const first = await turn([question]);
      expect(first.finish).toBe("tools");
      const [call] = first.toolCalls;
      expect(call).toMatchObject({ name: "weather", arguments: { city: expect.stringContaining("Bonn") } });
      const said: Message = {
        role: "assistant",
        content: first.text,
        toolCalls: first.toolCalls,
        ...(first.thinking ? { thinking: first.thinking } : {}),
      };
      const results = first.toolCalls.map(({ id }): Message => ({
        role: "tool",
        toolCallId: id,
        content: "It rains in Bonn, 12 degrees.",
      }));
      const last = await turn([question, said, ...results]);
      expect(last).toMatchObject({ finish: "stop", toolCalls: [] });
      expect(last.text).toMatch(/rain/i);
    });
  });
}

const requestTo = ({ name }: Partner, messages: Message[], more: Partial<ChatRequest> = {}): ChatRequest => ({
  model: name,
  messages,
  signal: AbortSignal.timeout(60_000),
  headers: { "idempotency-key": "r_1:talk", "x-run-id": "r_1" },
  ...more,
});
