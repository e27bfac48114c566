import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { makeProblem, type FaultCode } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { callDefaults, limits, type Retry } from "../contracts/limits.ts";
import { modelAttemptsMax, type ModelCallStatus } from "../contracts/model-calls.ts";
import { casesOf } from "../tests/cases.ts";
import { nextCall, type CallRecord, type CallRules, type Next } from "./next-call.ts";

const retry: Retry = { ...callDefaults.llm.retry, maxAttempts: 3, jitter: 0 };
const rules = (more: Partial<CallRules> = {}): CallRules => ({ models: 1, repairs: 2, retry, ...more });

interface Told {
  status: ModelCallStatus;
  candidates?: number;
  code?: FaultCode;
  extra?: JsonObject;
}

const passing: Told = { status: "failed", code: "model", extra: { retryable: true } };
const asksFor = (retryAfterMs: number): Told => ({ ...passing, extra: { retryable: true, retryAfterMs } });
const wrong: Told = { status: "failed", code: "model", extra: { retryable: false } };
const late: Told = { status: "failed", code: "timeout" };
const refused: Told = { status: "failed", code: "model_output" };
const tooLong: Told = { status: "failed", code: "context_too_long" };
const unfit: Told = { status: "unfit", code: "model_output" };
const lost: Told = { status: "lost", code: "model" };
const answered: Told = { status: "answered" };

/** Plays outcomes one after the other, each at the place where the step is by then. */
function play(outcomes: Told[], given: CallRules): { next: Next; log: CallRecord[] } {
  const log: CallRecord[] = [];
  let next = nextCall(log, given, 0.5);
  for (const { status, code, extra, candidates } of outcomes) {
    if (next.kind !== "call") break;
    const error = code && { error: makeProblem(code, `call ${log.length}`, extra ?? {}) };
    log.push({ index: log.length, position: next.position, status, answer: "said", ...error, ...(candidates ? { candidates } : {}) });
    next = nextCall(log, given, 0.5);
  }
  return { next, log };
}

const after = (outcomes: Told[], more: Partial<CallRules> = {}): Next => play(outcomes, rules(more)).next;

describe("what an llm step does next", () => {
  test("at first it asks the wanted model", () => {
    expect(after([])).toEqual({ kind: "call", position: 0, afterMs: 0, suffix: "" });
  });

  test("with an answer it is done", () => {
    expect(after([passing, answered])).toMatchObject({ kind: "answer", record: { index: 1 } });
  });

  test("after a passing error the same request again, later each time", () => {
    expect(after([passing])).toEqual({ kind: "call", position: 0, afterMs: 1_000, suffix: "" });
    expect(after([passing, passing])).toMatchObject({ kind: "call", position: 0, afterMs: 2_000 });
    expect(after([asksFor(7_000)])).toMatchObject({ afterMs: 7_000 });
  });

  test("after all its attempts the next model, at once, and with its own attempts", () => {
    expect(after([passing, passing, passing], { models: 2 })).toEqual({ kind: "call", position: 1, afterMs: 0, suffix: ":fallback1" });
    expect(after([passing, passing, passing, passing], { models: 2 })).toMatchObject({ position: 1, afterMs: 1_000 });
  });

  test("a model that asks for much patience is left for the next, and waited for when there is none", () => {
    const long = asksFor(limits.fallbackWaitMsMax + 1);
    expect(after([long], { models: 2 })).toMatchObject({ position: 1 });
    expect(after([long])).toMatchObject({ position: 0, afterMs: limits.fallbackWaitMsMax + 1 });
  });

  test("after a timeout the next model; the same when there is none", () => {
    expect(after([late], { models: 2 })).toMatchObject({ position: 1, afterMs: 0 });
    expect(after([late])).toMatchObject({ kind: "call", position: 0 });
  });

  test("a wrong request stops, whatever else there is", () => {
    expect(after([wrong], { models: 3 })).toMatchObject({ kind: "fail", error: { code: "model", retryable: false } });
  });

  test("a refusal leads to the next model, and to the end when there is none", () => {
    expect(after([refused], { models: 2 })).toMatchObject({ position: 1 });
    expect(after([refused])).toMatchObject({ kind: "fail", error: { code: "model_output" } });
  });

  test("an unfit answer is repaired at once by the model that gave it, then it is the next one's turn", () => {
    expect(after([unfit], { models: 2 })).toMatchObject({ position: 0, afterMs: 0, suffix: ":repair1", repairOf: { index: 0 } });
    expect(after([unfit, unfit], { models: 2 })).toMatchObject({ position: 0, suffix: ":repair2", repairOf: { index: 1 } });
    expect(after([unfit, unfit, unfit], { models: 2 })).toMatchObject({ position: 1, suffix: ":fallback1" });
    expect(after([unfit, unfit, unfit])).toMatchObject({ kind: "fail", error: { code: "model_output" } });
  });

  test("a repair that fails in passing is asked again as that repair", () => {
    expect(after([unfit, passing])).toMatchObject({ position: 0, suffix: ":repair1", repairOf: { index: 0 } });
  });

  test("a call whose worker died is made again at once, and counts as an attempt", () => {
    expect(after([lost])).toEqual({ kind: "call", position: 0, afterMs: 0, suffix: "" });
    expect(after([lost, lost, lost], { models: 2 })).toMatchObject({ position: 1 });
  });

  test("an answer that `retry.while` rejects is asked for anew under another key", () => {
    const rejected: Told = { status: "rejected", code: "model_output" };
    expect(after([rejected])).toMatchObject({ position: 0, suffix: ":again1" });
    expect(after([rejected, unfit])).toMatchObject({ suffix: ":again1:repair1" });
    expect(after([rejected, rejected, rejected])).toMatchObject({ kind: "fail" });
  });

  test("a model that is left alone is not waited for when there is another", () => {
    const skipped: Told = { status: "skipped", code: "model", extra: { retryable: true, retryAfterMs: 20_000 } };
    expect(after([skipped], { models: 2 })).toMatchObject({ position: 1 });
    expect(after([skipped])).toMatchObject({ position: 0, afterMs: 20_000 });
  });

  test("to have left a model alone is no try of it", async () => {
    const skipped: Told = { status: "skipped", code: "model", extra: { retryable: true, retryAfterMs: 5 } };
    expect(after([skipped, skipped, skipped, skipped, passing, passing])).toMatchObject({ kind: "call", position: 0 });
  });

  test("what is too long for a model goes to the next at once, and fails as such where there is none", () => {
    expect(after([tooLong], { models: 2 })).toEqual({ kind: "call", position: 1, afterMs: 0, suffix: ":fallback1" });
    expect(after([tooLong])).toMatchObject({ kind: "fail", error: { code: "context_too_long" } });
    expect(after([tooLong, tooLong], { models: 2 })).toMatchObject({ kind: "fail", error: { code: "context_too_long" } });
  });

  test("what is too long for one of an alias goes to the others of it first", () => {
    const ofTwo = { ...tooLong, candidates: 2 };
    expect(after([ofTwo], { models: 2 })).toEqual({ kind: "call", position: 0, afterMs: 0, suffix: "" });
    expect(after([ofTwo, ofTwo], { models: 2 })).toMatchObject({ position: 1 });
  });

  test("what `nonRetryable` names is not tried again with the same model", () => {
    const more = { models: 2, retry: { ...retry, nonRetryable: ["model"] } };
    expect(after([passing], more)).toMatchObject({ position: 1 });
  });

  test("the error of a chain says how each of its models ended", () => {
    expect(after([late, refused], { models: 2 })).toMatchObject({ kind: "fail", error: { detail: "call 0 | call 1" } });
  });
});

const outcome = fc.constantFrom(
  passing,
  asksFor(5),
  asksFor(60_000),
  wrong,
  late,
  refused,
  unfit,
  lost,
  tooLong,
  { ...tooLong, candidates: 8 },
  { status: "rejected" as const },
  answered,
);
const anyRules = fc.record({
  models: fc.integer({ min: 1, max: 4 }),
  repairs: fc.integer({ min: 0, max: 3 }),
  maxAttempts: fc.integer({ min: 1, max: 5 }),
});

test("whatever happens, it ends within the attempts that Temporal was asked for, and never goes back in the chain", () => {
  fc.assert(
    fc.property(anyRules, fc.array(outcome, { minLength: 60, maxLength: 60 }), ({ models, repairs, maxAttempts }, outcomes) => {
      const { next, log } = play(outcomes, rules({ models, repairs, retry: { ...retry, maxAttempts } }));
      expect(next.kind).not.toBe("call");
      expect(log.length).toBeLessThanOrEqual(modelAttemptsMax({ models, maxAttempts, repairs }));
      const positions = log.map(({ position }) => position);
      expect(positions).toEqual(positions.toSorted((a, b) => a - b));
      expect(Math.max(...positions)).toBeLessThan(models);
    }),
    { numRuns: casesOf(2_000, "CALLS") },
  );
});

test("the same calls lead to the same next one, however often it is asked", () => {
  fc.assert(
    fc.property(anyRules, fc.array(outcome, { maxLength: 12 }), (given, outcomes) => {
      const all = rules({ ...given, retry: { ...retry, maxAttempts: given.maxAttempts } });
      const { next, log } = play(outcomes, all);
      expect(nextCall(structuredClone(log), all, 0.5)).toEqual(next);
    }),
    { numRuns: casesOf(2_000, "CALLS") },
  );
});
