import { limits } from "./limits.ts";

/**
 * How many attempts the activity of an `llm` step may take, each with one call at most: every model of the chain may be tried
 * again and repaired as often as the step allows. `judges`: guardrails that make calls of their own.
 */
export const modelAttemptsMax = (step: { models: number; maxAttempts: number; repairs: number; judges?: number }): number =>
  Math.min(limits.modelCallsMax, step.models * (step.maxAttempts + step.repairs) * (1 + (step.judges ?? 0)));

export const reasonings = ["low", "medium", "high"] as const;

/** How a model is to answer, as far as its step or agent says so. */
export interface Manner {
  /** How hard it is to reason before it answers; of a model that cannot, nothing is asked. */
  reasoning?: (typeof reasonings)[number];
  /** Of one answer, reasoning included. */
  maxOutputTokens?: number;
}

/**
 * How a call ended. `answered`: its answer is the step's. `unfit`: it did not fit `outputSchema`, or a guardrail. `rejected`: `retry.while` asked again.
 * `failed`: by its provider, its time, or what was said. `skipped`: not made, since the provider was failing. `canceled`: cut with its
 * step. `lost`: its worker went away. `cached`: not made, an earlier answer stands for it.
 */
export const modelCallStatuses = ["open", "answered", "unfit", "rejected", "failed", "skipped", "canceled", "lost", "cached"] as const;
export type ModelCallStatus = (typeof modelCallStatuses)[number];

/** Counted by the provider, or estimated when it does not. */
export interface TokenUsage {
  /** All of the input, what was read from or written to a cache included. */
  inputTokens: number;
  /** All of the output, reasoning included. */
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  reasoningTokens: number;
  isEstimated: boolean;
}
