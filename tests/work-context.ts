import type { WorkContext } from "../activities/work.ts";

/** What tests hand to work functions. */
export const testContext = (more: Partial<WorkContext> = {}): WorkContext => ({
  idempotencyKey: "r_1:step",
  tenant: "default",
  runId: "r_1",
  path: "step",
  attempt: 1,
  signal: new AbortController().signal,
  timeoutMs: 60_000,
  ...more,
});
