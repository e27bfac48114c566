import type { Brief, CallResult, ThinkFields } from "../contracts/agent-task.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { usesReservedKey } from "../contracts/reference.ts";
import { storable } from "../prisma/storable.ts";
import { charactersIn, type Message } from "./model-port.ts";
import { callsIn } from "./turn-guard.ts";

/**
 * One for each call that the model asked for last: providers take nothing else. Each is loaded by itself, since those of one turn may
 * together be more than may be loaded at once.
 */
export async function resultMessages(
  { brief, before, fields: { results, contextTokens } }: Turn,
  load: (result: CallResult) => Promise<CallResult>,
): Promise<Message[]> {
  const calls = callsIn(before);
  // Together half of the conversation's room, in quarters of a token.
  const room = Math.floor((contextTokens * 2) / Math.max(1, calls.length));
  const messages: Message[] = [];
  for (const [index, { id, name }] of calls.entries()) {
    const result = results[index];
    const isServers = brief.tools.find((tool) => tool.name === name)?.server !== undefined;
    messages.push({ role: "tool", toolCallId: id, ...contentOf(result && (await load(result)), { room, isServers }) });
  }
  return messages;
}

interface Turn {
  brief: Pick<Brief, "tools">;
  before: Message[];
  fields: Pick<ThinkFields, "results" | "contextTokens">;
}

interface Content {
  content: string;
  isError?: true;
}

function contentOf(result: CallResult | undefined, { room, isServers }: { room: number; isServers: boolean }): Content {
  if (!result) return { content: "The call was not made: there were too many at once.", isError: true };
  if (usesReservedKey(result))
    return { content: `The result is gone or has more than ${limits.blobBytesMax} bytes. Ask for less.`, isError: true };
  if (isObject(result) && "output" in result && isHandedOver(result.output)) return { content: takenOver };
  if ("error" in result) return { content: clipped(errorText(result.error), room), isError: true };
  const { output } = result;
  if (!isServers || !isObject(output)) return { content: clipped(textOf(output), room) };
  return { content: clipped(textOf(once(output)), room), ...(output["isError"] === true ? { isError: true } : {}) };
}

/** MCP servers say the same as a value, as words and in blocks: a model gets the value, or else the words, and what is neither. */
function once({ structured = null, text = "", content }: JsonObject): Json {
  const others = (Array.isArray(content) ? content : []).filter((block) => !isObject(block) || block["type"] !== "text");
  const said = structured ?? text;
  if (others.length === 0) return said;
  return said === "" ? others : { said, content: others };
}

const textOf = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));

const isHandedOver = (output: Json): boolean => isObject(output) && typeof output["handedOver"] === "string" && isObject(output["brief"]);

const takenOver = "This conversation was handed over to you. Go on with it by your own instructions.";

const errorText = (error: Json): string => {
  const { title = "Error", detail = "", errors } = (isObject(error) ? error : {}) as JsonObject;
  return `${title as string}: ${detail as string}${errors === undefined ? "" : ` ${JSON.stringify(errors)}`}`;
};

/** A result must leave room for the rest of the conversation. */
function clipped(text: string, room: number): string {
  const kept = Math.min(limits.agentResultBytesMax, charactersIn(text, room));
  const rest = text.length - kept;
  return rest <= 0 ? text : `${storable(text.slice(0, kept))}\n[${rest} more characters were left out]`;
}
