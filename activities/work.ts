import { Fault } from "../contracts/faults.ts";
import type { MemoryScope } from "../contracts/agent-task.ts";
import type { BudgetLeft, BudgetRef } from "../contracts/budgets.ts";
import { isDeeper, type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { REFERENCE_KEY, usesReservedKey } from "../contracts/reference.ts";
import type { Until } from "./budgets.ts";

/** What a function that does a step's work knows of its run. Nothing of Temporal. */
export interface WorkContext {
  /** Equal for all attempts of the step. */
  idempotencyKey: string;
  tenant: string;
  runId: string;
  /** Step path. */
  path: string;
  /** Of the step, as the walk counts: one more each time a person says retry. */
  attempt: number;
  /** Aborted when the step is cancelled; its reason is rethrown as it is. */
  signal: AbortSignal;
  /** One attempt, from now. */
  timeoutMs: number;
  /** Hosts that the definition lets its calls reach; absent: all that the operator does. */
  hosts?: string[];
  /** What it may spend; with the tenant's and the agent's own. */
  budgets?: readonly BudgetRef[];
  /** Told what they leave as it ends. */
  showBudgets?: (left: BudgetLeft[]) => void;
  /** Agents that must be active, beside the one that calls. */
  agents?: readonly string[];
  /** Of a memory tool that an agent calls. */
  memory?: MemoryScope;
  /** When they end it. */
  until?: Until;
  log?: (message: string, data?: JsonObject) => void;
}

/** The headers every outbound request of a step carries. */
export const runHeaders = (context: Pick<WorkContext, "idempotencyKey" | "runId">, suffix = ""): Record<string, string> => ({
  "idempotency-key": `${context.idempotencyKey}${suffix}`,
  "x-run-id": context.runId,
});

/**
 * Do work that ends with the step's cancellation, or with fault `timeout` after `timeoutMs`, or when its budgets end it.
 * Also work that ignores its signal is left at that moment.
 */
export async function withDeadline<Result>(
  context: Pick<WorkContext, "signal" | "until">,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  context.signal.throwIfAborted();
  const deadline = new AbortController();
  const { ms, fault } = deadlineOf(context, timeoutMs);
  const timer = setTimeout(() => deadline.abort(fault()), Math.min(ms, TIMER_MAX));
  const signal = AbortSignal.any([context.signal, deadline.signal]);
  const { aborted, stop } = rejectOnAbort(signal);
  try {
    return await Promise.race([work(signal), aborted]);
  } catch (error) {
    // SDKs and fetch wrap the reason of an abort in errors of their own.
    if (signal.aborted) throw signal.reason;
    throw error;
  } finally {
    clearTimeout(timer);
    stop();
  }
}

/** A value from outside may not pass itself off as a stored one. */
export function fromOutside(value: Json, who: string): Json {
  if (isDeeper(value, limits.valueDepthMax))
    throw new Fault("limit", `${who} answered with values nested more than ${limits.valueDepthMax} deep.`);
  if (usesReservedKey(value)) throw new Fault("reserved_key", `${who} answered with the reserved key ${REFERENCE_KEY}.`);
  return value;
}

// setTimeout fires at once for anything longer.
const TIMER_MAX = 2 ** 31 - 1;

function deadlineOf({ until }: Pick<WorkContext, "until">, timeoutMs: number): { ms: number; fault: () => Fault } {
  const ms = until ? until.at - Date.now() : Number.POSITIVE_INFINITY;
  if (until && ms < timeoutMs) return { ms, fault: () => Fault.of(until.problem) };
  return { ms: timeoutMs, fault: () => new Fault("timeout", `No answer within ${timeoutMs} ms.`) };
}

function rejectOnAbort(signal: AbortSignal): { aborted: Promise<never>; stop: () => void } {
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    stop = () => signal.removeEventListener("abort", onAbort);
  });
  return { aborted, stop };
}
