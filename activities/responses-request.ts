import type OpenAI from "openai";
import type { JsonObject } from "../contracts/json.ts";
import { modelName, type ChatRequest, type Message, type ToolCall } from "./model-port.ts";
import { openAiTraits } from "./model-traits.ts";
import { fitsStrictMode } from "./openai-request.ts";

type Body = OpenAI.Responses.ResponseCreateParamsNonStreaming;
type Item = OpenAI.Responses.ResponseInputItem;

/** Whose thoughts go back to a model: they are sealed, and no other opens them. */
export const thinker = (model: string): string => `openai/${model}`;

/**
 * A chat in the words of OpenAI's responses API, which lets its newest models reason where they have tools. Nothing is kept there: what they
 * thought comes sealed, and goes back with what they said and called.
 */
export function responseBody(request: ChatRequest): Body {
  const { model, messages, tools = [], toolChoice, outputSchema, outputTokensMax, reasoning } = request;
  const longest = openAiTraits(model).outputTokensMax ?? Number.POSITIVE_INFINITY;
  return {
    model,
    input: messages.flatMap((message) => itemsOf(message, model)),
    store: false,
    include: ["reasoning.encrypted_content"],
    ...(tools.length === 0 ? {} : { tools: tools.map(toolOf) }),
    ...(tools.length === 0 || toolChoice === undefined ? {} : { tool_choice: choiceOf(toolChoice) }),
    ...(outputSchema
      ? { text: { format: { type: "json_schema", name: "output", schema: outputSchema, strict: fitsStrictMode(outputSchema) } } }
      : {}),
    // The API takes no less than 16.
    ...(outputTokensMax === undefined ? {} : { max_output_tokens: Math.max(16, Math.min(outputTokensMax, longest)) }),
    ...(reasoning === undefined ? {} : { reasoning: { effort: reasoning } }),
  };
}

function itemsOf(message: Message, model: string): Item[] {
  if (message.role === "tool") return [{ type: "function_call_output", call_id: message.toolCallId, output: message.content }];
  if (message.role !== "assistant") return [{ role: message.role, content: message.content }];
  const { content, toolCalls = [], thinking } = message;
  if (thinking?.provider === thinker(model)) return thoughtItems(message, thinking.blocks);
  return [
    ...(content === "" ? [] : [{ role: "assistant" as const, content }]),
    ...toolCalls.map((call) => ({ type: "function_call" as const, call_id: call.id, name: modelName(call.name), ...argumentsOf(call) })),
  ];
}

const argumentsOf = ({ arguments: given, malformed }: ToolCall): { arguments: string } => ({
  arguments: malformed ?? JSON.stringify(given),
});

/** In the order in which they came, since a thought must stand before what it led to; with what guardrails have made of words and calls. */
function thoughtItems({ content, toolCalls = [] }: Message & { role: "assistant" }, blocks: JsonObject[]): Item[] {
  let text = content;
  return blocks.flatMap((block): Item[] => {
    const call = block["type"] === "function_call" ? toolCalls.find(({ id }) => id === block["call_id"]) : undefined;
    const item = block as unknown as Item;
    if (block["type"] === "function_call") return call ? [{ ...item, ...argumentsOf(call) } as Item] : [];
    if (block["type"] !== "message") return [item];
    const said = text;
    text = "";
    return said === "" ? [] : [{ ...item, content: [{ type: "output_text", text: said, annotations: [] }] } as Item];
  });
}

const toolOf = ({ name, description, parameters }: NonNullable<ChatRequest["tools"]>[number]): OpenAI.Responses.FunctionTool => ({
  type: "function",
  name,
  description,
  parameters: parameters as JsonObject,
  // Strict unless it is told otherwise.
  strict: fitsStrictMode(parameters),
});

const choiceOf = (choice: NonNullable<ChatRequest["toolChoice"]>): NonNullable<Body["tool_choice"]> =>
  typeof choice === "string" ? choice : { type: "function", name: choice.name };
