import type { Reply } from "./scripted-server.ts";

/** What a model says: plain words, a JSON value, calls of tools, or anything a broken server may send. */
export interface ModelReply extends Reply {
  text?: string;
  /** The value of a structured answer: as text, or as the input of Anthropic's output tool where no format was asked for. */
  json?: unknown;
  refusal?: string;
  isCutShort?: boolean;
  /** Arguments as text are sent as they are, also when they are no JSON. */
  toolCalls?: { id: string; name: string; arguments: unknown }[];
  /** Anthropic: a block of it, signed. */
  thinking?: string;
  /** null: the server does not tell. `inputTokens` holds those of the cache. */
  usage?: ModelUsage | null;
  /** A stream that ends in good order but without its last event. */
  lacksEnd?: boolean;
  /** A stream in which an error of this type takes the place of its end. */
  errorEvent?: string;
}

export interface ModelUsage {
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens?: number;
  cacheWriteTokens?: number;
  reasoningTokens?: number;
}

/** The parts of both providers' requests that tests look at. */
export interface ModelRequestBody {
  model: string;
  messages: { role: string; content: string; [field: string]: unknown }[];
  system?: unknown;
  stream?: boolean;
  response_format?: { json_schema: { schema: unknown; strict: boolean } };
  tools?: { name?: string; input_schema?: unknown; function?: { name: string; parameters: unknown } }[];
  tool_choice?: unknown;
  thinking?: unknown;
  output_config?: { effort?: string; format?: { type: string; schema: unknown } };
  max_tokens?: number;
  max_completion_tokens?: number;
  reasoning_effort?: string;
  input?: string[];
}

export const usageOf = ({ usage }: ModelReply): Required<ModelUsage> => ({
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  ...(usage ?? { inputTokens: 10, outputTokens: 5 }),
});

/** The words of a text one by one, as a stream brings them. */
export const wordsOf = (text: string): string[] => text.match(/\S+\s*|\s+/g)?.flatMap((word) => word.match(/.{1,64}/gs) ?? []) ?? [];
