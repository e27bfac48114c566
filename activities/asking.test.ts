import { expect, test } from "@jest/globals";
import { testContext } from "../tests/work-context.ts";
import { Asking, type LlmDeps, type Question } from "./asking.ts";
import { Delayed } from "./delayed.ts";
import type { MadeCall } from "./model-calls.ts";
import { noUsage } from "./model-port.ts";
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
  round: 1,
  left: undefined,
  leave: () => undefined,
  tell: async () => undefined,
  patiently: (operation) => operation(),
  asksAgain: () => false,
};

const answered: MadeCall = {
  index: 0,
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

/** Of a model whose quota somebody else has just used up. */
async function asked(before: MadeCall[]): Promise<unknown> {
  const none = { modelQuota: { findMany: async () => [] } } as never;
  const quotas = new Quotas(none, new QuotaLines(), ["openai/gpt=1/-@1h"]);
  await quotas.turn({ id: "other", tenant: "b", provider: "openai", name: "gpt", inputTokens: 10 });
  const models = { route: async () => ({ provider: "openai", name: "gpt" }) };
  const deps = { quotas, models, calls: { made: async () => before } } as unknown as LlmDeps;
  return new Asking(deps, question, context).attempt().catch((error: unknown) => error);
}

test("an answer that was kept before a reset waits for no quota", async () => {
  expect(await asked([answered])).toMatchObject({ output: "kept" });
  expect(await asked([])).toBeInstanceOf(Delayed);
});
