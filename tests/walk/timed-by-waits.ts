import type { Json, JsonObject } from "../../contracts/json.ts";
import { isInRow } from "./rich-definition.ts";

/**
 * Every call comes after a wait of its own length: the time passes in waits, which outlast an execution. No two items
 * wait equally long, or which of them is first would be a matter of chance.
 */
export function timedByWaits(value: JsonObject, indices: readonly string[] = []): JsonObject {
  const { id, type, if: condition, needs, background, ...rest } = value;
  if (type === "foreach" || type === "loop") return withOwnIndex(value, indices);
  if (type === "wait") return { ...value, duration: ownLength(id as string, indices) };
  // Steps in a row stay one.
  if (type !== "tool" || isInRow(id as string)) return timedInside(value, indices);
  const own = {
    ...(condition === undefined ? {} : { if: condition }),
    ...(needs === undefined ? {} : { needs }),
    ...(background === undefined ? {} : { background }),
  };
  const wait = { id: `${id as string}w`, type: "wait", duration: ownLength(id as string, indices) };
  return { id: id!, type: "sequence", ...own, steps: [wait, { id: `${id as string}t`, type, ...timedInside(rest, indices) }] };
}

function ownLength(id: string, indices: readonly string[]): string {
  const spread = indices.map((name, depth) => ` + ${name} * ${[401, 90_001, 17, 1_009, 30_011][depth]!}`).join("");
  return `\${1000 + ${Number(id.slice(1)) * 7_919} % 10007${spread}}`;
}

function withOwnIndex(scope: JsonObject, indices: readonly string[]): JsonObject {
  const index = `${scope["id"] as string}_index`;
  const { items, if: condition, ...inner } = timedInside(scope, [...indices, index]) as { [key: string]: Json };
  const outside = { ...(items === undefined ? {} : { items }), ...(condition === undefined ? {} : { if: condition }) };
  return { ...(renamed(inner, index) as JsonObject), ...outside, index };
}

/** What is still called `index` inside means this one: inner ones have got their own names before. */
function renamed(value: Json, index: string): Json {
  if (typeof value === "string") return value.startsWith("${") ? value.replaceAll(/\bindex\b/g, index) : value;
  if (Array.isArray(value)) return value.map((item) => renamed(item, index));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, renamed(item, index)]));
}

const timedInside = (value: JsonObject, indices: readonly string[]): JsonObject =>
  Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, timed(inner, indices)]));

function timed(value: Json, indices: readonly string[]): Json {
  if (Array.isArray(value)) return value.map((item) => timed(item, indices));
  return typeof value === "object" && value !== null ? timedByWaits(value, indices) : value;
}
