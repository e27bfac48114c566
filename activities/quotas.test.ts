import { expect, test } from "@jest/globals";
import { makeProblem } from "../contracts/faults.ts";
import { QuotaLines } from "./quota-lines.ts";
import { isTurn, Quotas, type Asker, type Turn } from "./quotas.ts";

const none = { modelQuota: { findMany: async () => [] } } as never;
const quotasOf = (...own: string[]): Quotas => new Quotas(none, new QuotaLines(), own);
const asker = (id: string, more: Partial<Asker> = {}): Asker => ({
  id,
  tenant: "a",
  provider: "openai",
  name: "gpt",
  inputTokens: 100,
  ...more,
});

test.each([
  "gpt",
  "openai/gpt",
  "openai/gpt=",
  "openai/gpt=0",
  "openai/gpt=-/-",
  "openai/gpt=-",
  "openai/gpt=1/2@3",
  "openai/gpt=1@1ms",
  "openai/gpt=1/2/3",
  "Acme Inc:openai/gpt=1/2",
  ":openai/gpt=1/2",
  "acme:=1/2",
])("a quota that cannot be read ends the process: %s", (entry) => {
  expect(() => quotasOf(entry)).toThrow("TENUTO_MODEL_QUOTAS");
});

test("a quota of a provider is that of all its models together", async () => {
  const quotas = quotasOf("openai=1/-");
  expect(isTurn(await quotas.turn(asker("1")))).toBe(true);
  expect(await quotas.turn(asker("2", { name: "other" }))).toMatchObject({ model: "openai/other", waitMs: expect.any(Number) });
  expect(isTurn(await quotas.turn(asker("3", { provider: "anthropic" })))).toBe(true);
});

test("a quota of one tenant is beside that of all, and holds up nobody else", async () => {
  const quotas = quotasOf("openai/llama:8b=-/100000000", "b:openai/llama:8b=1/-", "b:openai=2/-");
  const ask = (id: string, tenant: string, name = "llama:8b") => quotas.turn(asker(id, { tenant, name }));
  expect(await ask("1", "b")).toMatchObject({ under: ["b:openai", "openai/llama:8b", "b:openai/llama:8b"] });
  expect(isTurn(await ask("2", "b"))).toBe(false);
  expect(await ask("3", "c")).toMatchObject({ under: ["openai/llama:8b"] });
  expect(await ask("4", "b", "other")).not.toMatchObject({ under: [] });
});

test("tokens are counted by an estimate, and by what they were when that is known", async () => {
  const quotas = quotasOf("openai/gpt=-/10000@10s");
  const settle = (turn: Turn, outputTokens: number) =>
    quotas.settle(turn, { status: "answered", usage: { ...usage, inputTokens: 100, outputTokens } }, undefined);
  const first = (await quotas.turn(asker("1"))) as Turn;
  settle(first, 5_000);
  const wait = await quotas.turn(asker("2"));
  // 5,100 of 10,000 tokens take half of the 10 s.
  expect(wait).toMatchObject({ waitMs: expect.any(Number) });
  expect((wait as { waitMs: number }).waitMs).toBeGreaterThan(4_000);
});

test("a call that was not made after all leaves its place to others", async () => {
  const quotas = quotasOf("openai/gpt=1/-");
  const turn = (await quotas.turn(asker("1"))) as Turn;
  quotas.giveBack(turn);
  expect(isTurn(await quotas.turn(asker("2")))).toBe(true);
});

test("a call whose answer its budget has cut short was made", async () => {
  const quotas = quotasOf("openai/gpt=1/-");
  const turn = (await quotas.turn(asker("1"))) as Turn;
  quotas.settle(turn, { status: "failed", usage, error: makeProblem("budget_exceeded", "The budget leaves no more.") }, undefined);
  expect(isTurn(await quotas.turn(asker("2")))).toBe(false);
});

const usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0, isEstimated: false };
