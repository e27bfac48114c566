import type { JsonObject } from "../contracts/json.ts";

export type HeaderReader = (name: string) => string | null | undefined;

/**
 * What an answer outside 2xx says about another attempt: extensions `retryable` and `retryAfterMs` of a fault.
 * `retry-after-ms` wins over `retry-after` (seconds or a date).
 */
export function retryAdvice(retryable: boolean, header: HeaderReader, now = Date.now()): JsonObject {
  const retryAfterMs = retryable ? readRetryAfter(header, now) : undefined;
  return { retryable, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

function readRetryAfter(header: HeaderReader, now = Date.now()): number | undefined {
  const exact = readNumber(header("retry-after-ms"));
  if (exact !== undefined) return Math.min(exact, RETRY_AFTER_MS_MAX);
  const text = header("retry-after");
  const seconds = readNumber(text);
  const waitMs = seconds === undefined ? Date.parse(text ?? "") - now : seconds * 1_000;
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(0, Math.round(waitMs)), RETRY_AFTER_MS_MAX);
}

// A server that asks for a year must not park a step for a year; `totalTimeout` ends it long before.
const RETRY_AFTER_MS_MAX = 24 * 60 * 60 * 1_000;

function readNumber(text: string | null | undefined): number | undefined {
  return text !== null && text !== undefined && /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) : undefined;
}
