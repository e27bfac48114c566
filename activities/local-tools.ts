import type { JsonObject } from "../contracts/json.ts";
import { fillSchema } from "./local-fill.ts";
import { contentWords, overlap } from "./local-text.ts";
import type { ChatRequest, Message, ToolCall, ToolSpec } from "./model-port.ts";

/**
 * The tool whose words the request shares most with; none when no word is shared, or when the tool has been called
 * since the user spoke last. Its arguments are filled from the text.
 */
export function chooseTool(
  { tools = [], toolChoice = "auto", messages }: ChatRequest,
  task: { text: string; instruction: string },
): ToolCall | undefined {
  if (toolChoice === "none" || tools.length === 0) return undefined;
  const made = messages.flatMap((message) => (message.role === "assistant" ? (message.toolCalls ?? []) : []));
  const tool = typeof toolChoice === "object" ? tools.find(({ name }) => name === toolChoice.name) : fittest(tools, messages, toolChoice);
  if (!tool) return undefined;
  // Numbered, not random: the same conversation gives the same call.
  return { id: `call_${made.length}`, name: tool.name, arguments: fillSchema(tool.parameters, task) };
}

function fittest(tools: ToolSpec[], messages: Message[], choice: "auto" | "required"): ToolSpec | undefined {
  const since = messages.findLastIndex(({ role }) => role === "user");
  const called = new Set(
    messages.slice(since + 1).flatMap((message) => (message.role === "assistant" ? (message.toolCalls ?? []) : []).map(({ name }) => name)),
  );
  const asked = new Set(contentWords(messages[since]?.content ?? ""));
  const ranked = tools
    .filter(({ name }) => !called.has(name))
    .map((tool) => ({ tool, score: overlap(wordsOf(tool), asked) }))
    // Stable: among equals the one that was named first.
    .toSorted((a, b) => b.score - a.score);
  const [best] = ranked;
  if (best && best.score > 0) return best.tool;
  return choice === "required" ? (best?.tool ?? tools[0]) : undefined;
}

const wordsOf = ({ name, description, parameters }: ToolSpec): string[] =>
  contentWords(`${name.replaceAll(".", " ")} ${description} ${Object.keys((parameters["properties"] ?? {}) as JsonObject).join(" ")}`);
