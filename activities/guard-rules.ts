import type { Guardrail } from "../contracts/guardrails.ts";
import { isObject, type Json, type JsonSchema } from "../contracts/json.ts";
import type { Asker, IsolatedSchemas } from "./isolated-schema.ts";

export type Verdict =
  | { passes: true }
  /** `fixed`: what may stand there instead. */
  | { passes: false; why: string; fixed?: Json };

/** What judges, and for whom. */
interface Checks extends Asker {
  schemas: IsolatedSchemas;
}

/** Every text of a value: those of lists and objects too, and the names of members. Numbers count as they are written. */
export function textsOf(value: Json): string[] {
  if (typeof value === "string") return [value];
  if (typeof value === "number") return [String(value)];
  if (Array.isArray(value)) return value.flatMap(textsOf);
  return isObject(value) ? Object.entries(value).flatMap(([key, member]) => [key, ...textsOf(member)]) : [];
}

/** What was found is not named in the reason: it may be what nobody should see. */
export async function judgeByPattern(
  { schemas, ...asker }: Checks,
  { pattern, expect = "absent", replaceBy = "[redacted]" }: Extract<Guardrail, { type: "pattern" }>,
  value: Json,
): Promise<Verdict> {
  const found = new Map<string, string>();
  for (const text of new Set(textsOf(value))) {
    const spans = await schemas.findSpans(asker, pattern, text);
    if (spans.length > 0) found.set(text, without(text, spans, replaceBy));
  }
  if (expect === "present") return found.size > 0 ? { passes: true } : { passes: false, why: "its pattern is not there." };
  if (found.size === 0) return { passes: true };
  return { passes: false, why: "its pattern was found.", ...(mergesNames(value, found) ? {} : { fixed: replaced(value, found) }) };
}

const without = (text: string, spans: { from: number; to: number }[], instead: string): string =>
  [{ from: 0, to: 0 }, ...spans].map(({ to }, index) => text.slice(to, spans[index]?.from)).join(instead);

function replaced(value: Json, by: ReadonlyMap<string, string>): Json {
  if (typeof value === "string") return by.get(value) ?? value;
  if (typeof value === "number") return by.get(String(value)) ?? value;
  if (Array.isArray(value)) return value.map((item) => replaced(item, by));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [by.get(key) ?? key, replaced(member, by)]));
}

/** Of two members that come to the same name one would be lost. */
function mergesNames(value: Json, by: ReadonlyMap<string, string>): boolean {
  if (Array.isArray(value)) return value.some((item) => mergesNames(item, by));
  if (!isObject(value)) return false;
  const names = Object.keys(value);
  return (
    new Set(names.map((name) => by.get(name) ?? name)).size < names.length || Object.values(value).some((member) => mergesNames(member, by))
  );
}

/** A text passes as what it is, or as the JSON that it holds. */
export async function judgeBySchema({ schemas, ...asker }: Checks, schema: JsonSchema, value: Json): Promise<Verdict> {
  const read = typeof value === "string" ? jsonIn(value) : undefined;
  const [asItIs, asRead] = [
    await schemas.checkPublished(asker, schema, value),
    read && (await schemas.checkPublished(asker, schema, read.value)),
  ];
  const problems = asRead ?? asItIs;
  if (asItIs.length === 0 || problems.length === 0) return { passes: true };
  const why = problems.slice(0, 5).map(({ pointer, message }) => `${pointer || "/"} ${message}`);
  return { passes: false, why: `${why.join("; ")}.` };
}

function jsonIn(text: string): { value: Json } | undefined {
  try {
    return { value: JSON.parse(text) as Json };
  } catch {
    return undefined;
  }
}
