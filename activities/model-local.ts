import type { JsonSchema } from "../contracts/json.ts";
import { fillSchema } from "./local-fill.ts";
import { splitSentences, summarise } from "./local-text.ts";
import { embedText } from "./local-embedding.ts";
import { chooseTool } from "./local-tools.ts";
import { estimatedUsage, writtenText, type ChatAnswer, type ChatRequest, type Message, type Model } from "./model-port.ts";

/**
 * A model for machines without a key or a network: extractive, deterministic, without reasoning.
 * What it says depends on the input alone, and a free text says what it is.
 */
export function createLocalModel(): Model {
  return {
    chat: async (request) => chat(request),
    async stream(request, onDelta) {
      const answer = chat(request);
      for (const text of answer.text.match(/\S+\s*/g) ?? []) {
        request.signal.throwIfAborted();
        onDelta({ kind: "text", text });
      }
      return answer;
    },
    async embed({ texts }) {
      const messages = texts.map((content) => ({ role: "user" as const, content }));
      return { vectors: texts.map(embedText), usage: estimatedUsage({ messages }, "") };
    },
  };
}

function chat(request: ChatRequest): ChatAnswer {
  const { messages, outputSchema } = request;
  const { instruction, material } = readTask(messages);
  const call = chooseTool(request, { text: material, instruction });
  const text = call ? "" : outputSchema ? JSON.stringify(fill(messages, outputSchema)) : answer(messages);
  const written = { text, toolCalls: call ? [call] : [] };
  return { ...written, usage: estimatedUsage(request, writtenText(written)), finish: call ? "tools" : "stop" };
}

function answer(messages: Message[]): string {
  const { instruction, material } = readTask(messages);
  const sentences = splitSentences(material);
  const chosen = summarise(sentences, sentenceCount(instruction, sentences.length)).map(({ text }) => text);
  return `Local model (extractive, no reasoning): ${chosen.join(" ") || "the input holds no text to work on."}`;
}

function fill(messages: Message[], schema: JsonSchema): unknown {
  const { instruction, material } = readTask(messages);
  return fillSchema(schema, { text: material, instruction });
}

interface Task {
  instruction: string;
  material: string;
}

/** What to do, and the text to do it with: prompts most often say "Do so: text" or put the text into a paragraph of its own. */
function readTask(messages: Message[]): Task {
  // In a repair round the user's words are still the first ones after the system's.
  const firstAnswer = messages.findIndex((message) => message.role === "assistant");
  const lastUser = messages.findLast((message) => message.role === "user" && !message.content.startsWith(REPAIR_START));
  const prompt = (lastUser ?? messages[firstAnswer === -1 ? 0 : firstAnswer])?.content ?? "";
  const system = messages
    .filter((message) => message.role === "system")
    .map((message) => message.content)
    .join("\n");
  const colon = isForm(prompt) ? null : /^([^\n]{3,300}?):\s+(?=\S)/.exec(prompt);
  const split = colon ?? /^(.{3,500}?)\n\s*\n/s.exec(prompt);
  const given = split ? prompt.slice(split[0].length) : prompt;
  const said = split?.[1] ?? prompt;
  const material = /\p{L}|\p{N}/u.test(given) ? given : prompt;
  return { instruction: `${system}\n${said}`, material: [material, ...results(messages)].join("\n") };
}

/** What tools have given since the user spoke last. */
const results = (messages: Message[]): string[] =>
  messages
    .slice(messages.findLastIndex(({ role }) => role === "user") + 1)
    .flatMap((message) => (message.role === "tool" ? [message.content] : []));

/** "Customer: ACME", "Amount: 12": the first label is a fact and not what to do. */
const isForm = (prompt: string): boolean =>
  /^\s*\p{L}+(?:[ _-]\p{L}+)?:\s/u.test(prompt) && (prompt.match(/^[\p{L} _-]{1,40}:\s/gmu) ?? []).length >= 2;

const REPAIR_START = "Your answer does not fit the schema:";

/** "in two sentences", "3 bullet points"; otherwise about a fifth of the text. */
function sentenceCount(instruction: string, available: number): number {
  const said = /\b(one|two|three|four|five|\d{1,2})\s+(?:short\s+)?(?:sentence|bullet|point|line|item)/i
    .exec(instruction)?.[1]
    ?.toLowerCase();
  const asked = said === undefined ? undefined : (numberWords[said] ?? Number(said));
  return asked ?? Math.min(5, Math.max(1, Math.round(available / 5)));
}

const numberWords: Record<string, number> = { one: 1, two: 2, three: 3, four: 4, five: 5 };
