import { isObject, type Json, type JsonSchema } from "../../contracts/json.ts";

/** A value that mostly fits a schema. */
export function sampleOf(schema: Json | JsonSchema | undefined): Json {
  if (!isObject(schema)) return { n: 1, url: "https://example.com" };
  const { type, properties, items, enum: choices, default: given } = schema;
  if (given !== undefined) return given;
  if (Array.isArray(choices)) return choices[0] ?? null;
  if (type === "array") return [sampleOf(items), sampleOf(items)];
  if (type === "string") return "https://example.com/1";
  if (type === "number" || type === "integer") return 2;
  if (type === "boolean") return true;
  return isObject(properties) ? Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, sampleOf(each)])) : { n: 1 };
}
