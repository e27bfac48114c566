import { isObject, jsonBytes, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Port } from "./port.ts";

/** A value by reference. One that no activity would take as an argument goes page by page, one after the other, and is put together outside. */
export async function storeInPages(port: Port, value: Json, path: string): Promise<Json> {
  if (jsonBytes(value) <= limits.argumentBytesMax || typeof value !== "object" || value === null) return port.store(value, path);
  const stored: Json[] = [];
  for (const page of await pagesOf(port, value, path)) stored.push(await port.store(page, path));
  return port.concat(stored, path);
}

/** Lists or objects that make up the value. A member that alone is too large stands in them as a reference. */
async function pagesOf(port: Port, value: Json, path: string): Promise<Json[]> {
  const pages: [string, Json][][] = [[]];
  let bytes = 0;
  for (const [key, given] of Object.entries(value as object) as [string, Json][]) {
    const member = jsonBytes(given) > limits.listBytesMax ? await storeInPages(port, given, path) : given;
    const more = jsonBytes(key) + jsonBytes(member);
    if (bytes + more > limits.listBytesMax) {
      pages.push([]);
      bytes = 0;
    }
    pages.at(-1)!.push([key, member]);
    bytes += more;
  }
  return pages.map((entries) => (isObject(value) ? Object.fromEntries(entries) : entries.map(([, member]) => member)));
}
