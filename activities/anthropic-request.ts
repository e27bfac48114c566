import type Anthropic from "@anthropic-ai/sdk";
import { isObject, type JsonSchema } from "../contracts/json.ts";
import { modelName, wordOf, type ChatRequest, type Message } from "./model-port.ts";

// The API demands a bound. An answer that reaches it is a fault, never a silently cut text.
const OUTPUT_TOKENS_MAX = 16_384;
const THINKING_TOKENS_MIN = 1_024;

/** The tool whose input is a structured answer. */
export const OUTPUT_TOOL = "output";

/** A chat in Anthropic's words. */
export function messageBody(request: ChatRequest): Anthropic.MessageCreateParamsNonStreaming {
  const system = request.messages.flatMap((message) => (message.role === "system" ? [message.content] : []));
  const thinking = request.thinkingTokens === undefined ? 0 : Math.max(THINKING_TOKENS_MIN, request.thinkingTokens);
  return {
    model: request.model,
    // What is thought counts as output.
    max_tokens: (request.outputTokensMax ?? OUTPUT_TOKENS_MAX) + thinking,
    messages: turnsOf(request.messages),
    ...(system.length === 0 ? {} : { system: system.join("\n\n") }),
    ...toolsOf(request),
    ...(thinking === 0 ? {} : { thinking: { type: "enabled", budget_tokens: thinking } }),
  };
}

// The API wants at least one turn, and the first must be the user's.
function turnsOf(messages: Message[]): Anthropic.MessageParam[] {
  const turns = joined(messages.flatMap(turnOf));
  return turns[0]?.role === "user" ? turns : [{ role: "user", content: "Begin." }, ...turns];
}

function turnOf(message: Message): Anthropic.MessageParam[] {
  switch (message.role) {
    case "system":
      return [];
    case "user":
      return [{ role: "user", content: message.content }];
    case "assistant":
      return [{ role: "assistant", content: assistantContent(message) }];
    case "tool":
      return [{ role: "user", content: [resultOf(message)] }];
  }
}

function assistantContent({ content, toolCalls = [], thinking }: Message & { role: "assistant" }): Anthropic.MessageParam["content"] {
  // Signed: another provider's are refused, and so are changed ones.
  const thoughts = thinking?.provider === "anthropic" ? (thinking.blocks as unknown as Anthropic.ContentBlockParam[]) : [];
  if (toolCalls.length === 0 && thoughts.length === 0) return content;
  return [
    ...thoughts,
    // A text of white space is refused.
    ...(content.trim() === "" ? [] : [{ type: "text" as const, text: content }]),
    // The input must be an object: what the model wrote instead it reads in the result.
    ...toolCalls.map((call) => ({
      type: "tool_use" as const,
      id: wordOf(call.id),
      name: modelName(call.name),
      input: isObject(call.arguments) ? call.arguments : {},
    })),
  ];
}

const resultOf = ({ toolCallId, content, isError }: Message & { role: "tool" }): Anthropic.ToolResultBlockParam => ({
  type: "tool_result",
  tool_use_id: wordOf(toolCallId),
  content,
  ...(isError ? { is_error: true } : {}),
});

/** All results of one turn must stand in one message. */
function joined(turns: Anthropic.MessageParam[]): Anthropic.MessageParam[] {
  const kept: Anthropic.MessageParam[] = [];
  for (const turn of turns) {
    const before = kept.at(-1);
    if (before?.role === "user" && Array.isArray(before.content) && Array.isArray(turn.content) && turn.role === "user")
      before.content = [...before.content, ...turn.content];
    else kept.push({ ...turn });
  }
  return kept;
}

type Tools = Pick<Anthropic.MessageCreateParamsNonStreaming, "tools" | "tool_choice">;

function toolsOf({ tools = [], toolChoice, outputSchema, thinkingTokens }: ChatRequest): Tools {
  const own = tools.map(({ name, description, parameters }) => ({ name, description, input_schema: objectOf(parameters) }));
  if (!outputSchema)
    return own.length === 0 ? {} : { tools: own, ...(toolChoice === undefined ? {} : { tool_choice: choiceOf(toolChoice) }) };
  const output = { name: OUTPUT_TOOL, description: "Give the output.", input_schema: objectOf(outputSchema) };
  return { tools: [...own, output], tool_choice: outputChoice(own.length > 0, thinkingTokens !== undefined) };
}

// A model that thinks may not be forced to a tool.
function outputChoice(hasTools: boolean, isThinking: boolean): Anthropic.ToolChoice {
  if (isThinking) return { type: "auto" };
  return hasTools ? { type: "any" } : { type: "tool", name: OUTPUT_TOOL, disable_parallel_tool_use: true };
}

function choiceOf(choice: NonNullable<ChatRequest["toolChoice"]>): Anthropic.ToolChoice {
  if (typeof choice !== "string") return { type: "tool", name: choice.name };
  return { type: choice === "required" ? "any" : choice };
}

const objectOf = (schema: JsonSchema): Anthropic.Tool.InputSchema => ({ ...schema, type: "object" });
