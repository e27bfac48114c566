import { backOffMs } from "../contracts/back-off.ts";
import { makeProblem, type Problem } from "../contracts/faults.ts";
import { limits, type Retry } from "../contracts/limits.ts";
import type { ModelCallStatus } from "../contracts/model-calls.ts";

/** What is known of one call of a step. */
export interface CallRecord {
  index: number;
  /** Place in the step's chain of models, 0 for the wanted one. */
  position: number;
  status: ModelCallStatus;
  /** How many models could have been asked for it; absent: it was no alias. */
  candidates?: number;
  /** Of an answer: what the model said. */
  answer?: string;
  /** Of a call that gave no answer that counts: why. */
  error?: Problem;
}

export interface CallRules {
  /** Length of the chain. */
  models: number;
  repairs: number;
  /** For each model of the chain. */
  retry: Retry;
}

export type Next<Record extends CallRecord = CallRecord> =
  | { kind: "call"; position: number; afterMs: number; repairOf?: Record; suffix: string }
  | { kind: "answer"; record: Record }
  | { kind: "fail"; error: Problem };

/**
 * What an `llm` step does next, from its calls so far. By the error's class:
 * a passing one → the same model again, then the next; no answer in time → the next; an answer that does not fit → repaired by the
 * same model, then the next; a refusal, an empty or cut answer → the next; longer than what the model takes in → another of its alias, then
 * the next; a wrong request or setting → stop, since the next model would hide it.
 */
export function nextCall<Record extends CallRecord>(log: readonly Record[], rules: CallRules, chance: number): Next<Record> {
  const last = log.at(-1);
  if (!last) return callAt(log, 0, 0);
  const { position } = last;
  switch (reactionTo(last, log, rules)) {
    case "answer":
      return { kind: "answer", record: last };
    case "again":
      return callAt(log, position, waitAfter(last, triesOf(log, position), rules.retry, chance));
    case "repair":
    case "other":
      return callAt(log, position, 0);
    case "next":
      return callAt(log, position + 1, 0);
    case "stop":
      return { kind: "fail", error: finalError(log) };
  }
}

/** `other`: the same name, for another of its candidates. */
type Reaction = "answer" | "again" | "repair" | "other" | "next" | "stop";

function reactionTo(last: CallRecord, log: readonly CallRecord[], rules: CallRules): Reaction {
  if (last.status === "answered" || last.status === "cached") return "answer";
  if (log.length >= limits.modelCallsMax) return "stop";
  const hasNext = last.position + 1 < rules.models;
  const onwards = hasNext ? "next" : "stop";
  const again = triesOf(log, last.position) < rules.retry.maxAttempts ? "again" : onwards;
  switch (last.status) {
    case "unfit":
      return at(log, last.position).filter(({ status }) => status === "unfit").length <= rules.repairs ? "repair" : onwards;
    case "skipped":
      return hasNext ? "next" : "again";
    case "failed":
      if (isTooLong(last)) return again === "again" && hasOthers(last, log) ? "other" : onwards;
      return reactionToError(last.error, { again, onwards, hasNext, retry: rules.retry });
    default:
      return again;
  }
}

function reactionToError(
  error: Problem | undefined,
  { again, onwards, hasNext, retry }: { again: Reaction; onwards: Reaction; hasNext: boolean; retry: Retry },
): Reaction {
  const code = error?.code;
  if (code === "model" && error?.["retryable"] === false) return "stop";
  if (code !== "model" && code !== "timeout") return onwards;
  const isAway = hasNext && (code === "timeout" || Number(error?.["retryAfterMs"] ?? 0) > limits.fallbackWaitMsMax);
  return isAway || retry.nonRetryable.includes(error?.type ?? code) ? onwards : again;
}

/** It refused the request for its length: it will again, and another may take it. */
export const isTooLong = ({ error }: Pick<CallRecord, "error">): boolean => error?.code === "context_too_long";

/** Another model of the same alias has not refused it yet. */
const hasOthers = ({ position, candidates = 1 }: CallRecord, log: readonly CallRecord[]): boolean =>
  at(log, position).filter(isTooLong).length < candidates;

/** Calls of the model at this place that were made, and were no answers to be repaired. */
const triesOf = (log: readonly CallRecord[], position: number): number =>
  at(log, position).filter(({ status }) => status !== "unfit" && status !== "skipped").length;

const at = <Record extends CallRecord>(log: readonly Record[], position: number): Record[] =>
  log.filter((record) => record.position === position);

function waitAfter({ status, error }: CallRecord, tries: number, retry: Retry, chance: number): number {
  if (status === "lost" || status === "canceled") return 0;
  const asked = error?.["retryAfterMs"];
  return typeof asked === "number" ? asked : backOffMs(retry, tries, chance);
}

function callAt<Record extends CallRecord>(log: readonly Record[], position: number, afterMs: number): Next<Record> & { kind: "call" } {
  const here = at(log, position);
  const rejected = here.filter(({ status }) => status === "rejected").length;
  // What was rejected as a whole is asked anew.
  const since = here.slice(here.findLastIndex(({ status }) => status === "rejected") + 1);
  const unfit = since.filter(({ status }) => status === "unfit");
  const suffix = [
    position > 0 ? `:fallback${position}` : "",
    rejected > 0 ? `:again${rejected}` : "",
    unfit.length > 0 ? `:repair${unfit.length}` : "",
  ].join("");
  const repairOf = unfit.at(-1);
  return { kind: "call", position, afterMs, suffix, ...(repairOf ? { repairOf } : {}) };
}

/** One error for all models: the last one's, which ended it, with what each model's last call came to. */
function finalError(log: readonly CallRecord[]): Problem {
  const last = log.at(-1)?.error ?? makeProblem("model", "No model was asked.");
  const { retryAfterMs: _, ...kept } = last;
  const ends = log.filter(({ position }, index) => log[index + 1]?.position !== position);
  const detail = ends.length < 2 ? last.detail : ends.map(({ error }) => error?.detail ?? "no answer").join(" | ");
  return { ...kept, detail, retryable: false };
}
