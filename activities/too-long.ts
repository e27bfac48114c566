import type { Json } from "../contracts/json.ts";

interface Said {
  /** None of what comes in the middle of a stream. */
  status?: number | undefined;
  code?: Json | undefined;
  message: string;
}

/**
 * Whether a provider says that a request was longer than its model takes in. There is no status for it: OpenAI and those who speak its API have
 * a code or only words, Anthropic has only words. What is asked too fast is refused in similar words, with 429 or a code of its own.
 */
export const saysTooLong = ({ status, code, message }: Said): boolean =>
  (status === undefined || statuses.has(status)) &&
  code !== "rate_limit_exceeded" &&
  ((typeof code === "string" && codes.has(code)) ||
    [...codes].some((each) => message.includes(each)) ||
    words.some((each) => each.test(message)));

// llama.cpp said 500 for a while.
const statuses: ReadonlySet<number> = new Set([400, 413, 422, 500]);

const codes: ReadonlySet<string> = new Set([
  "context_length_exceeded",
  "exceed_context_size_error",
  "model_context_window_exceeded",
  "request_too_large",
]);

const words: readonly RegExp[] = [
  // OpenAI, vLLM, DeepSeek, Mistral, OpenRouter, xAI: "This model's maximum context length is 32768 tokens."
  /maximum (context|model|prompt) length/i,
  // Anthropic: "prompt is too long: 210000 tokens > 200000 maximum"; Bedrock: "Input is too long for requested model."
  /\b(prompt|input) is too long/i,
  // Anthropic, OpenAI, llama.cpp, Ollama: "input length and `max_tokens` exceed context limit", "exceeds the available context size"
  /exceed(s|ed)? .{0,40}\bcontext (length|limit|size|window)/i,
  // SGLang, LM Studio: "The input (40000 tokens) is longer than the model's context length"
  /(longer|greater|larger) than the (model's )?(maximum )?context/i,
  // Gemini: "The input token count (1200000) exceeds the maximum number of tokens allowed"
  /input token count .{0,40}exceeds/i,
  // Groq: "Please reduce the length of the messages or completion."
  /reduce the length of (the|your) (messages|prompt|input)/i,
  // TGI: "`inputs` tokens + `max_new_tokens` must be <= 4096"
  /`inputs`.{0,30} must (be <=|have less than) \d+/i,
];
