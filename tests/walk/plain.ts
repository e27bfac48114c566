import { isObject, type Json } from "../../contracts/json.ts";

/** Problems as their type: the plain evaluator knows no more of them. */
export function plain(value: Json): Json {
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value;
  const { error } = value;
  if (isObject(error) && Object.keys(value).length === 1) return { error: error["type"] ?? null };
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
