import { describe, expect, test } from "@jest/globals";
import type { JsonSchema } from "../contracts/json.ts";
import { formatOf } from "./anthropic-format.ts";
import { messageBody } from "./anthropic-request.ts";
import { hashBefore } from "./anthropic-thoughts.ts";
import type { ChatRequest, Message } from "./model-port.ts";
import { chatRequest } from "../tests/chat-request.ts";

const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const anyNames = { type: "object", additionalProperties: { type: "number" } };
const weather = { name: "weather", description: "The weather", parameters: city };
const clock = { name: "clock", description: "The time", parameters: city };

/** A conversation as an agent has it: `turns` of a call with its result, behind a task. */
const conversation = (turns: number): Message[] => [
  { role: "system", content: "You find cities." },
  { role: "user", content: "Where?" },
  ...Array.from({ length: turns }, (_, turn): Message[] => [
    { role: "assistant", content: "", toolCalls: [{ id: `c${turn}`, name: "weather", arguments: { city: "Bonn" } }] },
    { role: "tool", toolCallId: `c${turn}`, content: "rain" },
  ]).flat(),
];

const marked = (body: object): number => JSON.stringify(body).split('"cache_control"').length - 1;
const mark = { cache_control: { type: "ephemeral" } };

describe("what Claude is to remember", () => {
  test("of a conversation with tools: the tools, the system prompt, its last words, and those that the turn before has marked", () => {
    const body = messageBody(chatRequest("claude-opus-5", { messages: conversation(3), tools: [clock, weather] }));
    expect(marked(body)).toBe(4);
    expect(body.tools).toEqual([expect.not.objectContaining(mark), expect.objectContaining(mark)]);
    expect(body.system).toEqual([{ type: "text", text: "You find cities.", ...mark }]);
    expect(body.messages.map((turn) => marked(turn))).toEqual([0, 0, 0, 0, 1, 0, 1]);
    expect(body.messages.at(-1)!.content).toEqual([{ type: "tool_result", tool_use_id: "c2", content: "rain", ...mark }]);
    // The next request finds what this one has written.
    const next = messageBody(chatRequest("claude-opus-5", { messages: conversation(4), tools: [clock, weather] }));
    expect(next.messages[6]).toEqual(body.messages[6]);
  });

  test("its first words are marked as those that come later, an empty text is not", () => {
    const first = messageBody(chatRequest("claude-opus-5", { messages: conversation(0), tools: [weather] }));
    expect(first.messages).toEqual([{ role: "user", content: [{ type: "text", text: "Where?", ...mark }] }]);
    const empty = messageBody(chatRequest("claude-opus-5", { messages: [{ role: "user", content: " " }], tools: [weather] }));
    expect(empty.messages).toEqual([{ role: "user", content: " " }]);
  });

  test("of a single question its system prompt alone: nobody asks the rest again", () => {
    const body = messageBody(chatRequest("claude-opus-5", { messages: conversation(0), outputSchema: anyNames }));
    expect(marked(body)).toBe(1);
    expect(marked({ system: body.system })).toBe(1);
  });
});

describe("how hard Claude is to reason", () => {
  test("is said by a word where the model knows one", () => {
    const body = messageBody(chatRequest("claude-sonnet-5", { reasoning: "medium" }));
    expect(body).toMatchObject({ thinking: { type: "adaptive" }, output_config: { effort: "medium" } });
  });

  test("is said by a number where it does not, within the answer's bound", () => {
    expect(messageBody(chatRequest("claude-haiku-4-5-20251001", { reasoning: "high" })).thinking).toEqual({
      type: "enabled",
      budget_tokens: 24_000,
    });
    const small = messageBody(chatRequest("claude-haiku-4-5", { reasoning: "high", outputTokensMax: 4_000 }));
    expect(small).toMatchObject({ max_tokens: 4_000, thinking: { budget_tokens: 3_000 } });
    const least = messageBody(chatRequest("claude-haiku-4-5", { reasoning: "high", outputTokensMax: 1_200 }));
    expect([least.max_tokens, least.thinking]).toEqual([1_200, undefined]);
  });

  test.each(["claude-3-5-haiku-latest", "claude-3-opus-20240229"])("is not said to %s, which would refuse it", (model) => {
    const body = messageBody(chatRequest(model, { reasoning: "high" }));
    expect([body.thinking, body.output_config]).toEqual([undefined, undefined]);
  });

  test("is not said by a number where calls of tools were begun without a thought, which is refused", () => {
    const thinks = (messages: Message[]): boolean =>
      messageBody(chatRequest("claude-haiku-4-5", { reasoning: "low", messages, tools: [weather] })).thinking !== undefined;
    const thinking = { provider: "anthropic", blocks: [{ type: "thinking", thinking: "Hm.", signature: "s" }] };
    const [system, task, call, ...rest] = conversation(2) as [Message, Message, Message & { role: "assistant" }, ...Message[]];
    expect(thinks([system, task, call, ...rest])).toBe(false);
    // It thinks once, before the first of them.
    expect(thinks([system, task, { ...call, thinking }, ...rest])).toBe(true);
    expect(thinks([system, task, { ...call, thinking: { ...thinking, provider: "other" } }, ...rest])).toBe(false);
    expect(thinks([system, task, call, ...rest, { role: "user", content: "And now?" }])).toBe(true);
  });

  test("is not said when nobody says it", () => {
    expect(messageBody(chatRequest("claude-opus-5"))).toEqual({
      model: "claude-opus-5",
      max_tokens: 32_000,
      messages: [{ role: "user", content: "Where?" }],
    });
  });
});

describe("an answer of Claude by a schema", () => {
  test.each(["claude-haiku-4-5", "claude-sonnet-5", "claude-opus-5-5", "claude-fable-5-1"])(
    "is a format of %s, with thinking too",
    (model) => {
      const body = messageBody(chatRequest(model, { outputSchema: city, reasoning: "high" }));
      expect(body.output_config?.format).toEqual({ type: "json_schema", schema: city });
      expect([body.tools, body.tool_choice]).toEqual([undefined, undefined]);
    },
  );

  test("is a tool that older models are held to", () => {
    const body = messageBody(chatRequest("claude-opus-4-1", { outputSchema: city }));
    expect(body.tools).toEqual([expect.objectContaining({ name: "output", input_schema: city })]);
    expect(body.tool_choice).toMatchObject({ type: "tool", name: "output" });
  });

  test.each([
    ["claude-opus-5-5", undefined],
    ["claude-sonnet-5-5", undefined],
    ["claude-opus-5", "low" as const],
    ["claude-opus-4-1", "low" as const],
  ])("that no format can say is a tool that %s (reasoning: %s) is told of, but not held to", (model, reasoning) => {
    const body = messageBody(chatRequest(model, { outputSchema: anyNames, ...(reasoning ? { reasoning } : {}) }));
    expect(body.tool_choice).toEqual({ type: "auto" });
    expect(JSON.stringify(body.system)).toContain("`output`");
  });

  test("that no format can say is a tool that models are held to which can be", () => {
    const body = messageBody(chatRequest("claude-opus-5", { outputSchema: anyNames }));
    expect([body.tool_choice, body.system]).toEqual([expect.objectContaining({ name: "output" }), undefined]);
  });

  test("nothing is forced on a model that would refuse it: the repair of an agent's answer", () => {
    const choice = (model: string, more: Partial<ChatRequest> = {}) =>
      messageBody(chatRequest(model, { tools: [weather], toolChoice: { name: "weather" }, ...more })).tool_choice;
    expect(choice("claude-opus-5")).toEqual({ type: "tool", name: "weather" });
    expect(choice("claude-opus-5", { reasoning: "low" })).toEqual({ type: "auto" });
    expect(choice("claude-haiku-5-5")).toEqual({ type: "auto" });
    expect(choice("claude-haiku-5-5", { toolChoice: "required" })).toEqual({ type: "auto" });
    expect(choice("claude-haiku-5-5", { toolChoice: "none" })).toEqual({ type: "none" });
  });
});

describe("a format", () => {
  test("says what it can be held to, and the rest in words", () => {
    const open: JsonSchema = {
      type: "object",
      properties: {
        name: { type: "string", maxLength: 10 },
        tags: { type: "array", items: { enum: ["a", "b"] } },
        either: { anyOf: [{ type: "null" }, { type: "object", properties: { n: { type: "integer" } } }] },
        born: { type: ["integer", "null"] },
      },
      required: ["name"],
    };
    expect(formatOf(open)?.schema).toMatchObject({
      additionalProperties: false,
      required: ["name"],
      properties: {
        name: { type: "string", description: expect.stringContaining("maxLength") },
        tags: { items: { enum: ["a", "b"] } },
        either: { anyOf: [{ type: "null" }, { properties: { n: { type: "integer" } }, additionalProperties: false }] },
        born: { type: ["integer", "null"] },
      },
    });
  });

  const inObject = (schema: JsonSchema): JsonSchema => ({ type: "object", properties: { value: schema } });
  test.each<[string, JsonSchema]>([
    ["names that nobody knows", anyNames],
    ["names that nobody has said", { type: "object" }],
    ["no name at all, where any may be", { type: "object", properties: {} }],
    ["a name that must be there, but is not said", { ...city, required: ["town"] }],
    ["so many names that its grammar would be refused", { type: "object", properties: plain(101), required: Object.keys(plain(101)) }],
    ["more names than are said", { ...city, additionalProperties: true }],
    ["anything", inObject({})],
    ["a list of anything", inObject({ type: "array" })],
    ["a reference, which may turn in circles", inObject({ $ref: "#" })],
    ["all of several", inObject({ allOf: [{ type: "string" }] })],
    ["an object among types", inObject({ type: ["object", "null"], properties: {} })],
    ["a literal with parts", inObject({ const: { a: 1 } })],
    ["more that may be left out than the API takes", { type: "object", properties: Object.fromEntries(many(25)) }],
    [
      "more choices than the API takes",
      { type: "object", properties: Object.fromEntries(many(17)), required: many(17).map(([name]) => name) },
    ],
  ])("does not say %s", (_, schema) => expect(formatOf(schema)).toBeUndefined());

  function plain(count: number): Record<string, JsonSchema> {
    return Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, { type: "string" }]));
  }

  function many(count: number): [string, JsonSchema][] {
    return Array.from({ length: count }, (_, n) => [`p${n}`, { type: ["string", "null"] }]);
  }
});

describe("the longest answer of Claude", () => {
  test.each([
    ["claude-opus-5", undefined, 32_000],
    ["claude-opus-5", 100_000, 100_000],
    ["claude-opus-5", 500_000, 128_000],
    ["claude-haiku-4-5", 500_000, 64_000],
    ["claude-opus-4-20250514", 500_000, 32_000],
    ["claude-3-5-haiku-latest", undefined, 8_192],
    ["claude-3-haiku-20240307", 16_384, 4_096],
    ["house-model", undefined, 16_384],
    ["house-model", 500_000, 500_000],
  ])("%s, asked for %s tokens: %s", (model, outputTokensMax, expected) => {
    expect(messageBody(chatRequest(model, outputTokensMax === undefined ? {} : { outputTokensMax })).max_tokens).toBe(expected);
  });
});

describe("a thought of the newest models", () => {
  const thoughtAfter = (asked: ChatRequest): Message => ({
    role: "assistant",
    content: "Bonn.",
    thinking: { provider: "anthropic", blocks: [{ type: "thinking", thinking: "Hm.", signature: "s" }], after: hashBefore(asked) },
  });
  const asked = chatRequest("claude-fable-5-1", { messages: conversation(0), tools: [weather] });
  const goesOn = (model: string, change: Partial<ChatRequest> = {}): string =>
    JSON.stringify(
      messageBody({
        ...asked,
        model,
        ...change,
        messages: [...(change.messages ?? asked.messages), thoughtAfter(asked), { role: "user", content: "And?" }],
      }).messages,
    );

  test("goes back behind the words that it stood behind", () => {
    expect(goesOn("claude-fable-5-1")).toContain("Hm.");
  });

  test.each([
    ["other tools", { tools: [clock] }],
    ["another system prompt", { messages: [{ role: "system" as const, content: "Other." }, ...conversation(0).slice(1)] }],
    ["other words", { messages: conversation(1) }],
  ])("does not go back behind %s, since the request would be refused", (_, change) => {
    expect(goesOn("claude-fable-5-1", change)).not.toContain("Hm.");
    expect(goesOn("claude-opus-5", change)).toContain("Hm.");
  });
});
