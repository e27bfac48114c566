import { isObject, type Json } from "../contracts/json.ts";

/** What a call of an MCP server's tool gives. */
export interface McpResult {
  content: Json[];
  structured: Json;
  isError: boolean;
  /** All of `content` that is text. */
  text: string;
}

export const textOf = (content: Json[]): string => content.flatMap((block) => (isText(block) ? [block.text] : [])).join("\n");

/** What a model reads of such a result: its words, once. Undefined for what is none, and for one that words alone do not tell. */
export function wordsIn(output: Json): { content: string; isError?: true } | undefined {
  if (!isObject(output) || !("structured" in output) || !Array.isArray(output["content"])) return undefined;
  const { content, text, isError } = output as unknown as McpResult;
  if (content.length === 0 || !content.every(isText)) return undefined;
  return { content: text, ...(isError ? { isError } : {}) };
}

const isText = (block: Json): block is { type: "text"; text: string } =>
  isObject(block) && block["type"] === "text" && typeof block["text"] === "string";
