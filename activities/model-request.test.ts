import { describe, expect, test } from "@jest/globals";
import { messageBody } from "./anthropic-request.ts";
import type { ChatRequest } from "./model-port.ts";
import { chatBody } from "./openai-request.ts";

/** A model of another provider has invented a tool, and has begun with an empty line. */
const conversation: ChatRequest = {
  model: "m",
  messages: [
    { role: "user", content: "Search." },
    {
      role: "assistant",
      content: "\n\n",
      toolCalls: [
        { id: "functions.search:0", name: "multi_tool_use.parallel", arguments: { q: 1 } },
        { id: "functions.search:1", name: "", arguments: {} },
        { id: "c_3", name: "x".repeat(100), arguments: {} },
      ],
    },
    { role: "tool", toolCallId: "functions.search:0", content: "There is no tool multi_tool_use.parallel." },
  ],
  signal: new AbortController().signal,
  headers: {},
};

describe("a conversation that a provider would refuse", () => {
  test("goes to Anthropic with names and ids that it takes, and without a text of white space", () => {
    const { messages } = messageBody(conversation);
    expect(messages[1]!.content).toEqual([
      { type: "tool_use", id: "functions_search_0", name: "multi_tool_use_parallel", input: { q: 1 } },
      { type: "tool_use", id: "functions_search_1", name: "_", input: {} },
      { type: "tool_use", id: "c_3", name: "x".repeat(64), input: {} },
    ]);
    expect(messages[2]!.content).toMatchObject([{ type: "tool_result", tool_use_id: "functions_search_0" }]);
  });

  test("goes to OpenAI with names that it takes; ids stay, since some models behind compatible servers read theirs", () => {
    const [, asked, result] = chatBody(conversation, true).messages;
    const names = asked?.role === "assistant" ? asked.tool_calls?.map((call) => call.type === "function" && call.function.name) : [];
    expect(names).toEqual(["multi_tool_use_parallel", "_", "x".repeat(64)]);
    expect(asked).toMatchObject({ tool_calls: [{ id: "functions.search:0" }, {}, {}] });
    expect(result).toMatchObject({ tool_call_id: "functions.search:0" });
  });
});
