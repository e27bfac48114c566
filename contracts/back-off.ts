import type { Retry } from "./limits.ts";

/** Milliseconds to wait after this attempt (1 = the first); `chance` from 0 to 1 spreads what failed together. Never above `maxInterval`. */
export function backOffMs({ initialIntervalMs, backoff, maxIntervalMs, jitter }: Retry, attempt: number, chance: number): number {
  const plain = initialIntervalMs * backoff ** (attempt - 1);
  return Math.round(Math.min(maxIntervalMs, plain * (1 + jitter * (chance * 2 - 1))));
}
