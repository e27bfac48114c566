import { expect, test } from "@jest/globals";
import { refusalOf } from "./quota-headers.ts";

const now = Date.parse("2026-01-31T12:00:00Z");
const reading = (headers: Record<string, string>) => refusalOf((name) => headers[name] ?? null, now);

test("OpenAI's headers name limits for a minute, and when what is used up is there again", () => {
  const headers = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "12",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "1m6.5s",
  };
  expect(reading(headers)).toEqual({ told: { requests: 500, tokens: 30_000, windowMs: 60_000 }, retryAfterMs: 66_500 });
});

test("so do Anthropic's, with moments", () => {
  const headers = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "0",
    "anthropic-ratelimit-requests-reset": "2026-01-31T12:00:03Z",
  };
  expect(reading(headers)).toEqual({ told: { requests: 50, windowMs: 60_000 }, retryAfterMs: 3_000 });
});

test.each<Record<string, string>>([
  {},
  { "x-ratelimit-limit-requests": "many" },
  { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon" },
])("%j says nothing", (headers) => {
  expect(reading(headers)).toEqual({});
});
