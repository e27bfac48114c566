import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { Fault } from "../contracts/faults.ts";
import { callDefaults } from "../contracts/limits.ts";
import { testContext } from "../tests/work-context.ts";
import { Asking, type LlmDeps, type Question } from "./asking.ts";
import { Delayed } from "./delayed.ts";
import { AnotherAttempt } from "./failures.ts";
import { judge } from "./llm-outcome.ts";
import type { CallOutcome, CallOwner, MadeCall, StartedCall } from "./model-calls.ts";
import { ModelHealth } from "./model-health.ts";
import { createModels, type Models } from "./models.ts";
import { noUsage } from "./model-port.ts";
import { QuotaLines } from "./quota-lines.ts";
import { Quotas } from "./quotas.ts";
import type { StepContext } from "./step.ts";

beforeEach(() => void jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] }));
afterEach(() => void jest.useRealTimers());

const wait = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

const question: Question = {
  models: ["openai/only"],
  repairs: 0,
  need: { inputTokens: 10, task: "text" },
  request: () => ({ messages: [{ role: "user", content: "Hi" }] }),
  judge: (answer, label) => judge(answer, { label, schema: undefined, hasTools: false }),
  read: (answer) => answer,
};

/** The rows of all steps. */
class Rows {
  readonly of = new Map<string, MadeCall[]>();

  made = async ({ idempotencyKey }: CallOwner): Promise<MadeCall[]> => this.of.get(idempotencyKey) ?? [];
  earlier = async () => undefined;
  begin = async () => ({});

  settle = async (owner: CallOwner, { index }: Pick<StartedCall, "index" | "model">, outcome: CallOutcome): Promise<number> => {
    const { idempotencyKey, round } = owner;
    const row = { index, round, execution: "e", position: 0, provider: "openai", model: "only", costUsd: 0, route: null, ...outcome };
    this.of.set(idempotencyKey, [...(await this.made(owner)), row]);
    return 0;
  };
}

/** A server that is away for 3 s, and takes 20 s for each answer. */
function openOutage(): { deps: LlmDeps; rows: Rows } {
  const awayUntil = Date.now() + 3_000;
  const chat = async () => {
    await wait(Date.now() < awayUntil ? 10 : 20_000);
    if (Date.now() < awayUntil) throw new Fault("model", "503", { extra: { retryable: true, upstreamStatus: 503 } });
    return { text: "well", toolCalls: [], usage: noUsage, finish: "stop" as const };
  };
  const known = createModels({ OPENAI_API_KEY: "k", TENUTO_MODELS: [] }, { health: new ModelHealth() });
  const models: Models = { ...known, route: async (...asked) => ({ ...(await known.route(...asked)), model: { chat } as never }) };
  const rows = new Rows();
  const quotas = new Quotas({ modelQuota: { findMany: async () => [] } } as never, new QuotaLines());
  return { deps: { models, calls: rows, quotas, redact: { value: (value: unknown) => value } } as unknown as LlmDeps, rows };
}

/** As the walk and Temporal do it: waits are waited for, attempts made anew. */
async function step(deps: LlmDeps, number: number): Promise<unknown> {
  const context = {
    ...testContext({ idempotencyKey: `r:${number}`, timeoutMs: callDefaults.llm.timeoutMs }),
    retry: callDefaults.llm.retry,
    execution: "e",
    since: 1,
    asked: () => "",
    leave: () => undefined,
    patiently: <T>(operation: () => Promise<T>) => operation(),
  } as unknown as StepContext;
  for (let isAgain = false; ; isAgain = true) {
    try {
      return (await new Asking(deps, question, { ...context, isAgain }).attempt()).output;
    } catch (error) {
      if (error instanceof Delayed) await wait(error.delay.ms);
      else if (error instanceof AnotherAttempt) await wait(Number(error.failure().nextRetryDelay));
      else return error;
    }
  }
}

test("a short outage fails none of many steps that ask its model, though each has five tries only", async () => {
  const { deps, rows } = openOutage();
  const ends = Promise.all(Array.from({ length: 50 }, (_, number) => step(deps, number)));
  let isOver = false;
  void ends.then(() => (isOver = true));
  for (let seconds = 0; seconds < 300 && !isOver; seconds++) await jest.advanceTimersByTimeAsync(1_000);
  expect(await ends).toEqual(Array.from({ length: 50 }, () => "well"));
  // What was not asked is no call.
  expect([...rows.of.values()].flat().filter(({ status }) => status === "skipped")).toEqual([]);
});
