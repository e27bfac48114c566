import type Anthropic from "@anthropic-ai/sdk";
import { isObject, type JsonSchema } from "../contracts/json.ts";
import { defaults } from "../contracts/limits.ts";
import { markCached } from "./anthropic-cache.ts";
import { formatOf } from "./anthropic-format.ts";
import { withoutStale } from "./anthropic-thoughts.ts";
import { modelName, wordOf, type ChatRequest, type Message } from "./model-port.ts";
import { claudeTraits, type ClaudeTraits } from "./model-traits.ts";

/** The tool whose input is a structured answer, where there is no other way to ask for one. */
export const OUTPUT_TOOL = "output";

type Body = Anthropic.MessageCreateParamsNonStreaming;

/** A chat in Anthropic's words. */
export function messageBody(request: ChatRequest): Body {
  const traits = claudeTraits(request.model);
  // The API demands a bound, and what is thought counts. An answer that reaches it is a fault, never a silently cut text.
  const maxTokens = Math.min(request.outputTokensMax ?? outputDefault(traits), traits.outputTokensMax ?? Number.POSITIVE_INFINITY);
  const thinking = thinkingOf(request, traits, maxTokens);
  const asked = askedOf(request, traits, thinking !== undefined);
  const { format, isTold } = asked;
  const effort = thinking?.type === "adaptive" ? { effort: request.reasoning! } : {};
  const system = request.messages.flatMap((message) => (message.role === "system" ? [message.content] : []));
  const words = isTold ? [...system, useOutputTool] : system;
  const body: Body = {
    model: request.model,
    max_tokens: maxTokens,
    messages: turnsOf(traits.isStrict ? withoutStale(request) : request.messages),
    ...(words.length === 0 ? {} : { system: words.join("\n\n") }),
    ...asked.tools,
    ...(thinking ? { thinking } : {}),
    ...(format || thinking?.type === "adaptive" ? { output_config: { ...effort, ...(format ? { format } : {}) } } : {}),
  };
  return markCached(body, { goesOn: (request.tools ?? []).length > 0 });
}

const outputDefault = ({ outputTokensMax }: ClaudeTraits): number =>
  outputTokensMax === undefined ? defaults.budgetOutputTokens : defaults.modelOutputTokens;

const useOutputTool = `Give your answer by one call of the tool \`${OUTPUT_TOOL}\`, and nothing else.`;

function thinkingOf({ reasoning, messages }: ChatRequest, { thinking }: ClaudeTraits, maxTokens: number): Body["thinking"] {
  if (reasoning === undefined || thinking === "none") return undefined;
  if (thinking === "adaptive") return { type: "adaptive" };
  const budget = Math.min(thinkingTokens[reasoning], Math.floor((maxTokens * 3) / 4));
  return budget < THINKING_TOKENS_MIN || lacksThoughts(messages) ? undefined : { type: "enabled", budget_tokens: budget };
}

/** For models that are told a number. */
const thinkingTokens = { low: 2_048, medium: 8_192, high: 24_576 };
const THINKING_TOKENS_MIN = 1_024;

/** Such models refuse (400) to go on with calls of tools that they began without a thought, as another provider's were. */
function lacksThoughts(messages: Message[]): boolean {
  const first = messages.slice(messages.findLastIndex(({ role }) => role === "user") + 1).find(({ role }) => role === "assistant");
  return first?.role === "assistant" && first.thinking?.provider !== "anthropic";
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

interface Asked {
  tools: { tools?: Anthropic.Tool[]; tool_choice?: Anthropic.ToolChoice };
  /** Of a structured answer. */
  format?: Anthropic.JSONOutputFormat;
  /** Nothing but words holds it to the output tool. */
  isTold?: true;
}

/** A model that thinks may not be forced to a tool either. */
function askedOf({ tools = [], toolChoice, outputSchema }: ChatRequest, traits: ClaudeTraits, isThinking: boolean): Asked {
  const mayForce = !isThinking && !traits.isStrict;
  const own = tools.map(({ name, description, parameters }) => ({ name, description, input_schema: objectOf(parameters) }));
  const choice = toolChoice === undefined ? {} : { tool_choice: choiceOf(toolChoice, mayForce) };
  const format = outputSchema && traits.takesFormat ? formatOf(outputSchema) : undefined;
  if (!outputSchema || format) return { tools: own.length === 0 ? {} : { tools: own, ...choice }, ...(format ? { format } : {}) };
  const output = { name: OUTPUT_TOOL, description: "Give the output.", input_schema: objectOf(outputSchema) };
  if (!mayForce) return { tools: { tools: [...own, output], tool_choice: { type: "auto" } }, isTold: true };
  return { tools: { tools: [...own, output], tool_choice: own.length > 0 ? { type: "any" } : onlyOutput } };
}

const onlyOutput: Anthropic.ToolChoice = { type: "tool", name: OUTPUT_TOOL, disable_parallel_tool_use: true };

function choiceOf(choice: NonNullable<ChatRequest["toolChoice"]>, mayForce: boolean): Anthropic.ToolChoice {
  if (choice === "auto" || choice === "none") return { type: choice };
  if (!mayForce) return { type: "auto" };
  return choice === "required" ? { type: "any" } : { type: "tool", name: choice.name };
}

const objectOf = (schema: JsonSchema): Anthropic.Tool.InputSchema => ({ ...schema, type: "object" });
