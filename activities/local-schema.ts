import { isObject, type Json, type JsonSchema } from "../contracts/json.ts";
import { validateValue } from "../language/validate.ts";

/** The schema without `$ref` and `allOf`: what they say, put together. */
export function flatten(schema: Json, root: JsonSchema, depth = 0): JsonSchema {
  if (!isObject(schema) || depth > FLATTEN_DEPTH_MAX) return {};
  const { $ref, allOf, ...own } = schema;
  const parts = [...(typeof $ref === "string" ? [resolve($ref, root)] : []), ...(Array.isArray(allOf) ? allOf : [])];
  return parts.map((part) => flatten(part, root, depth + 1)).reduce(merge, own);
}

export const fitsSchema = (schema: JsonSchema, value: Json): boolean => validateValue(schema, value).length === 0;

export const numberOf = (schema: JsonSchema, keyword: string): number | undefined =>
  typeof schema[keyword] === "number" ? schema[keyword] : undefined;

// A definition that refers to itself without end gives way to "anything".
const FLATTEN_DEPTH_MAX = 8;

/** Only places in the same document: nothing is fetched. */
function resolve(reference: string, root: JsonSchema): Json {
  if (!reference.startsWith("#")) return {};
  const keys = reference.slice(1).split("/").slice(1);
  const names = keys.map((key) => decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~"));
  return names.reduce<Json>(
    (at, name) => (isObject(at) && Object.hasOwn(at, name) ? at[name]! : Array.isArray(at) ? (at[Number(name)] ?? {}) : {}),
    root,
  );
}

function merge(left: JsonSchema, right: JsonSchema): JsonSchema {
  const merged: JsonSchema = { ...left, ...right };
  for (const keyword of Object.keys(left)) {
    const [a, b] = [left[keyword]!, right[keyword]];
    if (b !== undefined) merged[keyword] = mergeKeyword(keyword, a, b);
  }
  return merged;
}

function mergeKeyword(keyword: string, a: Json, b: Json): Json {
  if (keyword === "properties" && isObject(a) && isObject(b)) return mergeProperties(a, b);
  if (keyword === "required" && Array.isArray(a) && Array.isArray(b)) return [...new Set([...a, ...b])];
  if ((keyword === "enum" || keyword === "type") && (Array.isArray(a) || Array.isArray(b))) {
    const [first, second] = [[a].flat(), [b].flat()];
    return first.filter((item) => second.some((other) => JSON.stringify(other) === JSON.stringify(item)));
  }
  if (typeof a === "number" && typeof b === "number") return /^(min|exclusiveMin)/.test(keyword) ? Math.max(a, b) : Math.min(a, b);
  return b;
}

const mergeProperties = (a: JsonSchema, b: JsonSchema): JsonSchema =>
  Object.fromEntries(
    [...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [
      name,
      name in a && name in b ? { allOf: [a[name]!, b[name]!] } : (a[name] ?? b[name]!),
    ]),
  );
