import type { HttpFields } from "../contracts/activities.ts";
import { Fault } from "../contracts/faults.ts";
import { isObject, type Json } from "../contracts/json.ts";

/**
 * The URL of literal text and values by turns. Values are percent-encoded and stay inside the path segment or query
 * they stand in; only a leading value may name the server.
 */
export function assembleUrl(parts: HttpFields["url"], query: HttpFields["query"]): URL {
  let text = "";
  for (const [index, part] of parts.entries()) {
    if (typeof part === "string") text += part;
    else if (index === 0) text += plainText(part.value);
    else text += encodeValue(part.value, text);
  }
  const url = parse(text + queryText(text, query));
  refuseDotSegments(text);
  url.hash = "";
  return url;
}

/** A value may stand only behind a finished `scheme://host/`. */
function encodeValue(value: Json, before: string): string {
  if (!/^https?:\/\/[^/?#\\]+[/?#]/i.test(before))
    throw new Fault(
      "policy",
      "A value may not stand in the host of a URL; put the whole https://host into one leading expression, followed by a /.",
    );
  const text = plainText(value);
  if (!/[?#]/.test(before) && text.split(/[/\\]/).some(isDots))
    throw new Fault("policy", `A value in a path may not be or hold the segment "${text.slice(0, 40)}".`);
  return encodeURIComponent(text);
}

function queryText(url: string, query: HttpFields["query"]): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value]
      .flat()
      .flatMap((item) =>
        item === null
          ? []
          : [
              `${encodeURIComponent(name)}=${encodeURIComponent(isObject(item) || Array.isArray(item) ? JSON.stringify(item) : String(item))}`,
            ],
      ),
  );
  if (pairs.length === 0) return "";
  if (url.includes("#")) throw invalid("A URL with a query may hold no #fragment.");
  return `${url.includes("?") ? (/[?&]$/.test(url) ? "" : "&") : "?"}${pairs.join("&")}`;
}

function parse(text: string): URL {
  // The parser would drop these without a word and read another URL than the one that was checked.
  if (/[\u0000-\u001f\u007f]/.test(text)) throw invalid("A URL may hold no control characters.");
  if (!/^https?:\/\//i.test(text)) throw new Fault("policy", `A URL begins with http:// or https://, not "${text.slice(0, 40)}".`);
  try {
    return new URL(text);
  } catch (error) {
    throw invalid(`"${text.slice(0, 200)}" is no URL.`, error);
  }
}

// Text and value together can make one ("." + "."), and the parser would resolve it away.
function refuseDotSegments(text: string): void {
  const path = text.replace(/^https?:\/\/[^/?#\\]*/i, "").split(/[?#]/)[0]!;
  if (path.split(/[/\\]/).some(isDots)) throw new Fault("policy", "A path may not hold the segments . or .. , also not encoded.");
}

function isDots(segment: string): boolean {
  const decoded = segment.replace(/%(?:25)*2e/gi, ".");
  return decoded === "." || decoded === "..";
}

function plainText(value: Json): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw invalid(`A URL takes text, numbers and booleans, not ${value === null ? "null" : Array.isArray(value) ? "a list" : "an object"}.`);
}

const invalid = (detail: string, cause?: unknown): Fault => new Fault("http", detail, { cause, extra: { retryable: false } });
