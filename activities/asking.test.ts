import { describe, expect, test } from "@jest/globals";
import { Fault, makeProblem } from "../contracts/faults.ts";
import { testContext } from "../tests/work-context.ts";
import { Asking, type LlmDeps, type Question } from "./asking.ts";
import { Delayed } from "./delayed.ts";
import type { CallNeed, CallOutcome, MadeCall, StartedCall } from "./model-calls.ts";
import { createModels } from "./models.ts";
import { noUsage, type ChatAnswer, type ChatRequest } from "./model-port.ts";
import { QuotaLines } from "./quota-lines.ts";
import { Quotas } from "./quotas.ts";
import type { StepContext } from "./step.ts";

const question: Question = {
  models: ["openai/gpt"],
  repairs: 0,
  need: { inputTokens: 10, task: "text" },
  request: () => ({ messages: [] }) as never,
  judge: () => ({ status: "failed", usage: noUsage }),
  read: (answer) => answer,
};

const context: StepContext = {
  ...testContext(),
  retry: { maxAttempts: 1 } as StepContext["retry"],
  execution: "second",
  isAgain: false,
  since: 1,
  asked: () => "",
  left: undefined,
  leave: () => undefined,
  tell: async () => undefined,
  patiently: (operation) => operation(),
  asksAgain: () => false,
};

const answered: MadeCall = {
  index: 0,
  round: 1,
  execution: "first",
  position: 0,
  status: "answered",
  usage: noUsage,
  answer: "kept",
  provider: "openai",
  model: "gpt",
  costUsd: null,
  route: null,
};

const none = { modelQuota: { findMany: async () => [] } } as never;

/** Of a model whose quota somebody else has just used up. */
async function asked(before: MadeCall[], more: Partial<StepContext> = {}): Promise<unknown> {
  const quotas = new Quotas(none, new QuotaLines(), ["openai/gpt=1/-@1h"]);
  await quotas.turn({ id: "other", tenant: "b", provider: "openai", name: "gpt", inputTokens: 10 });
  const models = { route: async () => ({ provider: "openai", name: "gpt" }) };
  const deps = { quotas, models, calls: { made: async () => before, earlier: async () => undefined } } as unknown as LlmDeps;
  return new Asking(deps, question, { ...context, ...more }).attempt().catch((error: unknown) => error);
}

const unfit: MadeCall = { ...answered, execution: "second", status: "unfit" };

/** An answer of `a/1` is to be mended, which its budgets do not allow: `b/2` is asked instead. */
async function downgraded(chat: (request: ChatRequest) => Promise<ChatAnswer>) {
  const reserved: number[] = [];
  const settled: CallOutcome[] = [];
  const calls = {
    made: async () => [unfit],
    begin: async (_: unknown, { position }: StartedCall, { inputTokens }: CallNeed) => {
      if (position === 0) throw new Fault("budget_exceeded", "too much", { extra: { onExceed: "downgradeModel" } });
      reserved.push(inputTokens());
      return {};
    },
    settle: async (_: unknown, __: unknown, outcome: CallOutcome) => void settled.push(outcome),
  };
  const models = { route: async () => ({ provider: "b", name: "2", model: { chat } }), learn: () => undefined };
  const redact = { value: (value: unknown) => value };
  const deps = { quotas: new Quotas(none, new QuotaLines(), []), models, calls, redact } as unknown as LlmDeps;
  const request: Question["request"] = (repairOf) => ({
    messages: [{ role: "user", content: repairOf ? "Mend what you have said." : "Go." }],
  });
  const judge: Question["judge"] = ({ text }) => ({ status: "answered", usage: noUsage, answer: text });
  const end = await new Asking(deps, { ...question, models: ["a/1", "b/2"], repairs: 1, request, judge }, { ...context, isAgain: true })
    .attempt()
    .catch((error: unknown) => error);
  return { end, reserved, settled };
}

test("the model that budgets allow instead is asked what was set aside for", async () => {
  const asked: ChatRequest[] = [];
  const { end, reserved } = await downgraded(async (request) => {
    asked.push(request);
    return { text: "8", toolCalls: [], usage: noUsage, finish: "stop" };
  });
  expect(end).toMatchObject({ output: "8" });
  const [{ messages, headers }] = asked as [ChatRequest];
  expect(messages).toEqual([{ role: "user", content: "Go." }]);
  expect(headers["idempotency-key"]).toMatch(/:fallback1$/);
  expect(reserved).toEqual([Buffer.byteLength(JSON.stringify({ messages }))]);
});

test("a call that ends by a defect of ours is settled, and not made again", async () => {
  const { end, settled } = await downgraded(async () => {
    throw new TypeError("x is not a function");
  });
  expect(settled).toMatchObject([{ status: "failed", usage: null, error: { code: "defect" } }]);
  expect(end).toMatchObject({ code: "defect" });
});

test("a model whose window is too small leaves the question to the next", async () => {
  const models = createModels({ OPENAI_API_KEY: "key", TENUTO_MODELS: [] });
  const begun: string[] = [];
  const calls = {
    begin: async (_: unknown, { wanted }: StartedCall) => {
      begun.push(wanted);
      throw new Fault("budget_exceeded", "enough");
    },
    made: async () => [],
    earlier: async () => undefined,
  };
  const deps = { quotas: new Quotas(none, new QuotaLines(), []), models, calls } as unknown as LlmDeps;
  const asking = (chain: string[]) =>
    new Asking(deps, { ...question, models: chain, need: { inputTokens: 20_000, task: "text" } }, { ...context, isAgain: true }).attempt();
  await expect(asking(["openai/gpt-4", "openai/gpt-4o"])).rejects.toMatchObject({ code: "budget_exceeded" });
  expect(begun).toEqual(["openai/gpt-4o"]);
  await expect(asking(["openai/gpt-4", "openai/gpt-4"])).rejects.toMatchObject({
    code: "context_too_long",
    message: expect.stringContaining("takes 8192"),
  });
  await expect(asking(["openai/gpt-4", "nobody"])).rejects.toMatchObject({
    code: "model",
    message: expect.stringContaining('No model "nobody"'),
  });
});

test("a model that is known not to answer by a schema leaves the question to the next", async () => {
  const models = createModels({ OPENAI_API_KEY: "key", TENUTO_MODELS: [] });
  const begun: [wanted: string, outputTokens: number | undefined][] = [];
  const calls = {
    begin: async (_: unknown, { wanted }: StartedCall, { outputTokens }: CallNeed) => {
      begun.push([wanted, outputTokens]);
      throw new Fault("budget_exceeded", "enough");
    },
    made: async () => [],
    earlier: async () => undefined,
  };
  const deps = { quotas: new Quotas(none, new QuotaLines(), []), models, calls } as unknown as LlmDeps;
  const structured: Question = { ...question, manner: { maxOutputTokens: 50_000 }, need: { inputTokens: 20, task: "structured" } };
  const asking = (chain: string[]) => new Asking(deps, { ...structured, models: chain }, { ...context, isAgain: true }).attempt();
  await expect(asking(["openai/gpt-4-turbo", "openai/gpt-4o"])).rejects.toMatchObject({ code: "budget_exceeded" });
  // Nothing is set aside that the model cannot say.
  expect(begun).toEqual([["openai/gpt-4o", 16_384]]);
  await expect(asking(["openai/gpt-4-turbo"])).rejects.toMatchObject({ message: expect.stringContaining("cannot do answers by a schema") });
});

test("an answer that was kept before a reset waits for no quota", async () => {
  expect(await asked([answered])).toMatchObject({ output: "kept" });
  expect(await asked([])).toBeInstanceOf(Delayed);
});

describe("a step that goes on when its budget was raised", () => {
  const raised = { attempt: 2, since: 1, isAgain: true };

  test("has the answer that it has paid for, and pays for it once", async () => {
    const paid = { ...answered, execution: "second", usage: { ...noUsage, inputTokens: 10 }, costUsd: 1 };
    const usage = { model: "openai/gpt", calls: 0, inputTokens: 0, costUsd: 0 };
    expect(await asked([paid], raised)).toMatchObject({ output: "kept", usage });
    expect(await asked([paid], { isAgain: true })).toMatchObject({ output: "kept", usage: { calls: 1, inputTokens: 10, costUsd: 1 } });
  });

  test("asks again for what the budget had cut short, and not before it was raised", async () => {
    const error = makeProblem("budget_exceeded", "too much");
    const cut: MadeCall = { ...answered, execution: "second", status: "failed", error };
    expect(await asked([cut], raised)).toBeInstanceOf(Delayed);
    expect(await asked([cut], { isAgain: true })).toMatchObject({ code: "budget_exceeded" });
  });
});
