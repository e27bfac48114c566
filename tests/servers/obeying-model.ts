import { canonicalJson, type Json, type JsonObject } from "../../contracts/json.ts";
import type { ModelReply, ModelRequestBody } from "./model-reply.ts";

/** Models of such names do whatever they read. */
export const OBEYS = "obeys-";

/**
 * What a model says that takes all it reads for orders: whoever wrote `CALL tool(name=value, …)`, wherever it stands, has it called, once.
 * An order within an order stands in brackets: `CALL ask(prompt=CALL tool[name=value])`. When nothing is left to do, it repeats what
 * tools have told it, so that orders travel on.
 */
export function obey({ messages, tools = [] }: ModelRequestBody): ModelReply {
  const made = messages.flatMap(callsIn).map(({ function: { arguments: args } }) => canonicalJson(JSON.parse(args) as JsonObject));
  const read = [...messages.filter(({ role }) => role !== "assistant").map(({ content }) => content), JSON.stringify(tools)];
  const open = read.flatMap(ordersIn).filter((order, index, all) => isFirst(order, all, index) && !made.includes(argumentsOf(order)));
  if (open.length === 0) return { text: messages.flatMap(({ role, content }) => (role === "tool" ? [content] : [])).join("\n") };
  const calls = open
    .slice(0, ATONCE)
    .map((order, index) => ({ id: `c${made.length + index}`, name: order.name, arguments: order.arguments }));
  return { toolCalls: calls };
}

const callsIn = ({ tool_calls: calls }: ModelRequestBody["messages"][number]): Made[] => (calls as Made[] | undefined) ?? [];

interface Made {
  function: { arguments: string };
}

export interface Order {
  name: string;
  arguments: JsonObject;
}

/** Not more than are made at the same time. */
const ATONCE = 5;

export function ordersIn(text: string): Order[] {
  const found = text.matchAll(/\bCALL ([^\s([]*)(?:\(([^)]*)\)|\[([^\]]*)\])/g);
  return [...found].map(([, name = "", round, square]) => ({ name, arguments: argumentsIn(round ?? square ?? "") }));
}

const argumentsIn = (text: string): JsonObject =>
  Object.fromEntries(
    text
      .split(", ")
      .filter((part) => part.includes("="))
      .map((part) => [part.slice(0, part.indexOf("=")), valueOf(part.slice(part.indexOf("=") + 1))]),
  );

const valueOf = (text: string): Json => (/^(true|false|null|\d{1,9})$/.test(text) ? (JSON.parse(text) as Json) : text);

const argumentsOf = (order: Order): string => canonicalJson(order.arguments);
const isFirst = (order: Order, all: Order[], index: number): boolean =>
  all.findIndex((other) => argumentsOf(other) === argumentsOf(order)) === index;
