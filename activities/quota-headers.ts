import type { JsonObject } from "../contracts/json.ts";
import type { Quota } from "../contracts/quotas.ts";
import type { HeaderReader } from "./retry-after.ts";

/**
 * What a provider says of its limits when it refuses a call, as extensions of a fault: `told`, a quota, and `retryAfterMs`, when what is used
 * up is there again. Both OpenAI's `x-ratelimit-*` and Anthropic's `anthropic-ratelimit-*` speak of a minute.
 */
export function refusalOf(header: HeaderReader, now = Date.now()): JsonObject {
  const requests = unitOf(header, now, "requests");
  const tokens = unitOf(header, now, "tokens");
  const quota: Quota = {
    ...(requests.limit ? { requests: requests.limit } : {}),
    ...(tokens.limit ? { tokens: tokens.limit } : {}),
    windowMs: 60_000,
  };
  const waits = [requests, tokens].flatMap(({ remaining, resetMs }) => (remaining === 0 && resetMs !== undefined ? [resetMs] : []));
  return {
    ...(requests.limit || tokens.limit ? { told: { ...quota } } : {}),
    ...(waits.length > 0 ? { retryAfterMs: Math.max(...waits) } : {}),
  };
}

interface Told {
  limit: number | undefined;
  remaining: number | undefined;
  resetMs: number | undefined;
}

function unitOf(header: HeaderReader, now: number, unit: "requests" | "tokens"): Told {
  const theirs = (what: string): string | null | undefined =>
    header(`x-ratelimit-${what}-${unit}`) ?? header(`anthropic-ratelimit-${unit}-${what}`);
  return { limit: countOf(theirs("limit")), remaining: countOf(theirs("remaining")), resetMs: resetOf(theirs("reset"), now) };
}

const countOf = (text: string | null | undefined): number | undefined => (text && /^\d{1,15}$/.test(text) ? Number(text) : undefined);

/** `6m0s`, `1.5s`, `20ms`, or a moment. */
function resetOf(text: string | null | undefined, now: number): number | undefined {
  if (!text) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length > 0 && parts.map(([part]) => part).join("") === text)
    return Math.min(RESET_MS_MAX, Math.ceil(parts.reduce((sum, [, number, unit]) => sum + Number(number) * unitMs[unit as "s"], 0)));
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.min(RESET_MS_MAX, Math.max(0, at - now));
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const RESET_MS_MAX = 60 * 60_000;
