import type OpenAI from "openai";
import { isObject, type Json, type JsonSchema } from "../contracts/json.ts";
import { modelName, type ChatRequest, type Message } from "./model-port.ts";
import { openAiTraits, type OpenAiTraits } from "./model-traits.ts";

/**
 * A chat in OpenAI's words. Nothing that was not asked for is sent: compatible servers refuse fields they do not know. `isOpenAis`: it goes to
 * OpenAI itself.
 */
export function chatBody(request: ChatRequest, isOpenAis: boolean): OpenAI.ChatCompletionCreateParamsNonStreaming {
  const { model, messages, tools = [], toolChoice, outputSchema } = request;
  const traits = openAiTraits(model);
  return {
    model,
    messages: messages.map(messageOf),
    ...(tools.length === 0 ? {} : { tools: tools.map(toolOf) }),
    ...(tools.length === 0 || toolChoice === undefined ? {} : { tool_choice: choiceOf(toolChoice) }),
    ...(outputSchema ? { response_format: formatOf(outputSchema) } : {}),
    ...boundOf(request, traits, isOpenAis),
    ...effortOf(request, traits),
  };
}

type Bound = Pick<OpenAI.ChatCompletionCreateParams, "max_tokens" | "max_completion_tokens">;

/** Ollama, and llama.cpp and vLLM as they were for long, keep to `max_tokens` alone; OpenAI's models that reason refuse it. */
function boundOf({ outputTokensMax }: ChatRequest, traits: OpenAiTraits, isOpenAis: boolean): Bound {
  if (outputTokensMax === undefined) return {};
  if (!isOpenAis) return traits.countsReasoning ? { max_completion_tokens: outputTokensMax } : { max_tokens: outputTokensMax };
  return { max_completion_tokens: Math.min(outputTokensMax, traits.outputTokensMax ?? Number.POSITIVE_INFINITY) };
}

/** Of a model that is known not to reason nothing is asked. */
const effortOf = ({ reasoning }: ChatRequest, { reasons }: OpenAiTraits): Pick<OpenAI.ChatCompletionCreateParams, "reasoning_effort"> =>
  reasoning === undefined || reasons === false ? {} : { reasoning_effort: reasoning };

function messageOf(message: Message): OpenAI.ChatCompletionMessageParam {
  if (message.role === "tool") return { role: "tool", tool_call_id: message.toolCallId, content: message.content };
  if (message.role !== "assistant") return message;
  const calls = message.toolCalls ?? [];
  if (calls.length === 0) return { role: "assistant", content: message.content };
  return {
    role: "assistant",
    content: message.content === "" ? null : message.content,
    tool_calls: calls.map(({ id, name, arguments: given, malformed }) => ({
      // Other providers' too: of ids any text is taken, and some models read theirs.
      id,
      type: "function",
      function: { name: modelName(name), arguments: malformed ?? JSON.stringify(given) },
    })),
  };
}

const toolOf = ({ name, description, parameters }: NonNullable<ChatRequest["tools"]>[number]): OpenAI.ChatCompletionTool => ({
  type: "function",
  function: { name, description, parameters, ...(fitsStrictMode(parameters) ? { strict: true } : {}) },
});

const choiceOf = (choice: NonNullable<ChatRequest["toolChoice"]>): OpenAI.ChatCompletionToolChoiceOption =>
  typeof choice === "string" ? choice : { type: "function", function: { name: choice.name } };

const formatOf = (schema: JsonSchema): NonNullable<OpenAI.ChatCompletionCreateParams["response_format"]> => ({
  type: "json_schema",
  json_schema: { name: "output", schema, strict: fitsStrictMode(schema) },
});

/**
 * Strict mode refuses (400) every schema that leaves anything open: objects must be closed and all their properties required.
 * Other schemas go as a hint; the answer is checked by us in both cases.
 */
export function fitsStrictMode(schema: Json): boolean {
  if (Array.isArray(schema)) return schema.every(fitsStrictMode);
  if (!isObject(schema)) return true;
  return (
    !Object.keys(schema).some((keyword) => openKeywords.has(keyword)) && isClosed(schema) && childSchemas(schema).every(fitsStrictMode)
  );
}

const openKeywords = new Set([
  "allOf",
  "oneOf",
  "not",
  "if",
  "patternProperties",
  "dependentRequired",
  "dependentSchemas",
  "default",
  "prefixItems",
  "uniqueItems",
  "format",
  "minLength",
  "maxLength",
  "propertyNames",
  "minProperties",
  "maxProperties",
  "contains",
  "unevaluatedProperties",
]);

function isClosed(schema: JsonSchema): boolean {
  if (schema["type"] !== "object" && schema["properties"] === undefined) return true;
  const names = isObject(schema["properties"]) ? Object.keys(schema["properties"]) : [];
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return schema["additionalProperties"] === false && names.every((name) => required.includes(name));
}

function childSchemas(schema: JsonSchema): Json[] {
  const maps = [schema["properties"], schema["$defs"]].filter(isObject).flatMap((map) => Object.values(map));
  return [...maps, ...[schema["items"], schema["anyOf"]].filter((child) => child !== undefined)];
}
