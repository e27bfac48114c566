import { randomUUID } from "node:crypto";
import { beforeEach, expect, test } from "@jest/globals";
import { Budgets } from "../../activities/budgets.ts";
import { createHttp } from "../../activities/http.ts";
import { createHttpStep } from "../../activities/http-step.ts";
import { EffectLedger } from "../../activities/effects.ts";
import { ModelCalls, type CallOutcome, type CallOwner, type StartedCall } from "../../activities/model-calls.ts";
import { noUsage } from "../../activities/model-port.ts";
import { Prices } from "../../activities/prices.ts";
import { noSecrets } from "../../activities/redact.ts";
import type { StepContext } from "../../activities/step.ts";
import { NANO, nothing, type BudgetRef, type Caps } from "../../contracts/budgets.ts";
import { Fault } from "../../contracts/faults.ts";
import { limits } from "../../contracts/limits.ts";
import { findBudgets, raiseCaps, stepsToTryAgain, type BudgetRow } from "../../prisma/budgets.ts";
import { openDatabase, type Database } from "../../prisma/client.ts";
import { startLedgerServer } from "../servers/ledger-server.ts";
import { testContext } from "../work-context.ts";
import { ownPostgres } from "./own-postgres.ts";

let database: Database;
let calls: ModelCalls;
let root = 0;

const tenant = "acme";
// A dollar for a million tokens, in as out.
const model = { provider: "openai", name: "plain" };

ownPostgres((opened) => {
  database = opened;
  calls = new ModelCalls(database, {
    prices: new Prices(database, ["openai/plain=1/1", "anthropic/plain=1/1"]),
    budgets: new Budgets(database),
  });
}, 20);

beforeEach(() => void (root += 1));

const dollar = (more: Partial<BudgetRef> = {}): BudgetRef => ({
  scope: `run:${root}`,
  caps: { nanoUsd: NANO },
  onExceed: "pause",
  ...more,
});
const owner = (step: string, budgets: BudgetRef[] = [dollar()], more: Partial<CallOwner> = {}): CallOwner => ({
  tenant,
  runId: `${root}`,
  path: step,
  idempotencyKey: `${root}:${step}`,
  round: 1,
  since: 1,
  asked: "",
  budgets,
  ...more,
});
const started = (index = 0): StartedCall => ({ index, execution: "x", position: 0, model, wanted: "plain", startedAt: new Date() });
const need = (inputTokens: number) => ({ inputTokens: () => inputTokens, endsAt: Date.now() + 60_000 });
const answered = (inputTokens: number, outputTokens: number): CallOutcome => ({
  status: "answered",
  usage: { ...noUsage, inputTokens, outputTokens },
  answer: "yes",
});
const row = async (scope = `run:${root}`): Promise<BudgetRow> => (await findBudgets(database, tenant, [scope]))[0]!;
const exceeded = expect.objectContaining({ code: "budget_exceeded" });

test("50 calls at once of two children with $1 book no more than $1", async () => {
  const children = ["one", "two"].map((child) => dollar({ scope: `step:${root}:${child}`, caps: { modelCalls: 30 } }));
  const begun = await Promise.allSettled(
    // 50,000 tokens each, answer included: 20 fit into the dollar.
    Array.from({ length: 50 }, async (_, n) => {
      const own = children[n % 2]!;
      // In another order each time: locks are taken in one.
      const budgets = n % 4 < 2 ? [dollar(), own] : [own, dollar()];
      const call = started();
      await persistently(() => calls.begin(owner(`call${n}`, budgets), call, need(50_000 - 16_384)));
      return n;
    }),
  );
  const made = begun.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  for (const result of begun) if (result.status === "rejected") expect(result.reason).toEqual(exceeded);
  expect(made).toHaveLength(20);
  expect((await row()).reserved).toMatchObject({ nanoUsd: NANO, modelCalls: 20 });
  await Promise.all(made.map((n) => persistently(() => calls.settle(owner(`call${n}`), { index: 0, model }, answered(10_000, 5_000)))));
  expect(await row()).toMatchObject({ reserved: nothing, spent: { tokens: 20 * 15_000, nanoUsd: 0.3 * NANO, modelCalls: 20 } });
  const [one, two] = await Promise.all(children.map(({ scope }) => row(scope)));
  expect(one!.spent.modelCalls + two!.spent.modelCalls).toBe(20);
});

/** As workers do: a record that is too busy to answer is asked again. */
async function persistently<T>(operation: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await operation();
    } catch (error) {
      if (error instanceof Fault || tries === 20) throw error;
    }
  }
}

test("a budget of 1,000 tokens gives calls what is left of it, and then nothing", async () => {
  const budgets = [dollar({ caps: { tokens: 1_000 } })];
  const first = await calls.begin(owner("a", budgets), started(), need(100));
  expect(first).toMatchObject({ outputTokensMax: 900, cut: { code: "budget_exceeded" } });
  await expect(calls.begin(owner("b", budgets), started(), need(100))).rejects.toEqual(exceeded);
  await calls.settle(owner("a", budgets), { index: 0, model }, answered(100, 600));
  await expect(calls.begin(owner("b", budgets), started(), need(100))).rejects.toMatchObject({
    problem: {
      onExceed: "pause",
      budgets: [{ scope: `run:${root}`, unit: "tokens", max: 1_000, used: 700, needed: 100 + limits.budgetOutputTokensMin }],
    },
  });
  expect((await row()).spent.tokens).toBe(700);
});

test("to begin and to settle twice is to do it once", async () => {
  const call = started();
  expect(await calls.begin(owner("a"), call, need(1_000))).toEqual(await calls.begin(owner("a"), call, need(1_000)));
  expect((await row()).reserved.modelCalls).toBe(1);
  await expect(calls.begin(owner("a"), { ...call, startedAt: new Date(5) }, need(1_000))).rejects.toMatchObject({ code: "unavailable" });
  for (let n = 0; n < 2; n++) await calls.settle(owner("a"), { index: 0, model }, answered(100, 10));
  expect(await row()).toMatchObject({ reserved: nothing, spent: { tokens: 110, modelCalls: 1 } });
});

test.each<Omit<CallOutcome, "answer">>([
  { status: "canceled", usage: null },
  { status: "failed", usage: { ...noUsage, inputTokens: 90, outputTokens: 60, isEstimated: true }, isCut: true },
])("an answer that was cut off costs all that was set aside ($status); one that the provider refused, nothing", async (cut) => {
  await calls.begin(owner("a"), started(), need(1_000));
  await calls.settle(owner("a"), { index: 0, model }, cut);
  expect((await row()).spent.tokens).toBe(1_000 + 16_384);
  await calls.begin(owner("b"), started(), need(1_000));
  await calls.settle(owner("b"), { index: 0, model }, { status: "failed", usage: noUsage });
  expect(await row()).toMatchObject({ reserved: nothing, spent: { tokens: 1_000 + 16_384, modelCalls: 2 } });
});

test("a call whose worker died costs all that was set aside; when it comes back after all, what it used", async () => {
  const all = 1_000 + 16_384;
  await calls.begin(owner("a"), started(), need(1_000));
  for (let n = 0; n < 2; n++) {
    expect(await calls.made(owner("a"))).toMatchObject([{ status: "lost" }]);
    expect(await row()).toMatchObject({ reserved: nothing, spent: { tokens: all, nanoUsd: all * 1_000, modelCalls: 1 } });
  }
  for (let n = 0; n < 2; n++) await calls.settle(owner("a"), { index: 0, model }, answered(500, 50));
  expect(await row()).toMatchObject({ reserved: nothing, spent: { tokens: 550, nanoUsd: 550_000, modelCalls: 1 } });
});

test("an answer that ends every worker comes to an end with its budget", async () => {
  const budgets = [dollar({ caps: { tokens: 40_000 } })];
  let paid = 0;
  const attempts = async (): Promise<void> => {
    for (; ; paid += 1) {
      await calls.made(owner("a", budgets));
      await calls.begin(owner("a", budgets), started(paid), need(1_000));
    }
  };
  await expect(attempts()).rejects.toEqual(exceeded);
  // Two whole ones, and one whose answer was told to be no longer than what was left.
  expect(paid).toBe(3);
});

test("calls of a run that has ended, and those whose time is long over, are settled as lost", async () => {
  await calls.begin(owner("ended"), started(), need(1_000));
  await calls.begin(owner("late", [dollar()], { runId: `${root}-open` }), started(), {
    ...need(1_000),
    endsAt: Date.now() - 2 * limits.budgetLostAfterMs,
  });
  await calls.begin(owner("open", [dollar()], { runId: `${root}-open` }), started(), need(1_000));
  await database.run.create({
    data: {
      id: `${root}`,
      tenant,
      workflow: "w",
      version: "1.0.0",
      planHash: "",
      status: "terminated",
      temporalRunId: "x",
      startedBy: "ada",
      startedAt: new Date(),
    },
  });
  expect(await calls.healLost(() => undefined)).toBe(2);
  expect(await row()).toMatchObject({ reserved: { modelCalls: 1 }, spent: { tokens: 2 * (1_000 + 16_384), modelCalls: 2 } });
  expect(await calls.healLost(() => undefined)).toBe(0);
});

test("a model without a price is refused under a cap in dollars, and asked under one in tokens", async () => {
  const unknown = { ...started(), model: { provider: "openai", name: "who-knows" } };
  await expect(calls.begin(owner("a"), unknown, need(10))).rejects.toMatchObject({
    code: "budget_exceeded",
    message: expect.stringContaining("price"),
  });
  const budgets = [dollar({ scope: `step:${root}:b`, caps: { tokens: 100_000 } })];
  expect(await calls.begin(owner("b", budgets), unknown, need(10))).toEqual({ outputTokensMax: 16_384 });
});

test("what a provider writes to its cache is set aside, and what it has read from it is given back", async () => {
  const call = { ...started(), model: { provider: "anthropic", name: "plain" } };
  await calls.begin(owner("a"), call, need(400_000));
  expect((await row()).reserved.nanoUsd).toBe((500_000 + 16_384) * 1_000);
  const usage = { ...noUsage, inputTokens: 400_000, cacheWriteTokens: 100_000, outputTokens: 0 };
  await calls.settle(owner("a"), call, { status: "answered", usage, answer: "yes" });
  expect(await row()).toMatchObject({ reserved: { nanoUsd: 0 }, spent: { nanoUsd: 425_000_000, tokens: 400_000 } });
});

test("as long an answer is set aside as the call may have", async () => {
  const budgets = [dollar({ caps: { tokens: 50_000 } })];
  expect(await calls.begin(owner("a", budgets), started(), { ...need(10_000), outputTokens: 20_000 })).toEqual({ outputTokensMax: 20_000 });
  expect((await row()).reserved.tokens).toBe(30_000);
});

test("a tenant's and an agent's budget are of a day", async () => {
  const yesterday = "2020-01-01";
  const full = { spent: { modelCalls: 2 }, reserved: { modelCalls: 1 } };
  for (const scope of ["tenant", "agent:researcher"])
    await database.budget.create({ data: { tenant: "daily", scope, caps: { modelCalls: 2 }, onExceed: "pause", day: yesterday, ...full } });
  const mine = (step: string, agent?: string): CallOwner => ({ ...owner(step, []), tenant: "daily", ...(agent ? { agent } : {}) });
  await calls.begin(mine("a", "researcher"), started(), need(10));
  await calls.begin(mine("b"), started(), need(10));
  await expect(calls.begin(mine("c"), started(), need(10))).rejects.toEqual(exceeded);
  const [agent, all] = await findBudgets(database, "daily", ["agent:researcher", "tenant"]);
  expect([agent!.reserved.modelCalls, all!.reserved.modelCalls]).toEqual([1, 2]);
  expect(agent!.day).toBe(new Date().toISOString().slice(0, 10));
});

test("wall time begins with the first call; after it none begins, and those under way are cut", async () => {
  const budgets = [dollar({ caps: { wallTimeMs: 60_000 } })];
  const before = Date.now();
  const { until } = await calls.begin(owner("a", budgets), started(), need(10));
  expect(until!.at).toBeGreaterThanOrEqual(before + 60_000);
  expect(until!.at).toBeLessThanOrEqual(Date.now() + 60_000);
  const over = { scope: `run:${root}`, unit: "wallTime", max: 60_000, used: 60_000 };
  expect(until!.problem).toMatchObject({ code: "budget_exceeded", onExceed: "pause", budgets: [over] });
  await database.$executeRaw`UPDATE budgets SET began_at = began_at - interval '59.5 s' WHERE scope = ${`run:${root}`}`;
  await expect(calls.begin(owner("b", budgets), started(), need(10))).rejects.toEqual(exceeded);
  await expect(new Budgets(database).spendToolCall({ tenant, budgets }, "mail.send")).rejects.toEqual(exceeded);
  expect((await row()).spent.wallTimeMs).toBeGreaterThan(59_000);
});

test("what is approved raises caps, lowers none, and gives none where there was none", async () => {
  const { scope } = dollar();
  await calls.begin(owner("a", [dollar({ caps: { nanoUsd: NANO, tokens: 50_000 } })]), started(), need(10));
  const raise = (caps: Caps) => database.$transaction((each) => raiseCaps(each, tenant, { caps: new Map([[scope, caps]]), by: "eve" }));
  const to = { nanoUsd: 2 * NANO, tokens: 50_000 };
  expect(await raise({ nanoUsd: 2 * NANO, tokens: 40_000, modelCalls: 1 })).toEqual([{ scope, from: { ...to, nanoUsd: NANO }, to }]);
  expect(await raise({ nanoUsd: 2 * NANO })).toEqual([]);
  expect(await row()).toMatchObject({ caps: to, setBy: "eve", reserved: { modelCalls: 1 } });
});

test("without the record nothing is let through", async () => {
  const away = openDatabase("postgres://nobody@127.0.0.1:1/nothing", 1);
  const budgets = new Budgets(away);
  const unheard = new ModelCalls(away, { prices: new Prices(away), budgets });
  await expect(unheard.begin(owner("a"), started(), need(10))).rejects.toThrow();
  await expect(budgets.spendToolCall({ tenant }, "mail.send")).rejects.toThrow();
  await away.$disconnect();
});

test("steps are found that wait for nothing but a day that is over, or for a budget that was changed lately", async () => {
  const data = { tenant, workflow: "w", version: "1.0.0", planHash: "", status: "needs_attention", temporalRunId: "x", startedBy: "ada" };
  await database.run.create({ data: { ...data, id: `${root}`, startedAt: new Date() } });
  const [past, now] = ["2020-01-01", new Date().toISOString().slice(0, 10)];
  const waits = { past: [past], now: [now], both: [past, now], run: [past, null], none: [] };
  for (const [name, days] of Object.entries(waits)) {
    const error = { code: "budget_exceeded", budgets: days.map((day) => ({ scope: "tenant", day })) };
    const step = { runId: `${root}`, path: name, tenant, type: "llm", status: "needs_attention", error, firstSeq: 1 };
    await database.step.create({ data: { ...step, startedAt: new Date() } });
  }
  const found = async (): Promise<string[]> => (await stepsToTryAgain(database, [`${root}`])).map(({ path }) => path);
  expect(await found()).toEqual(["past"]);

  const parked = { runId: `${root}`, seq: 1, tenant, identity: "parked", type: "step.parked", step: "now", data: {} };
  await database.event.create({ data: { ...parked, time: new Date(Date.now() - 60_000) } });
  const budget = { tenant, scope: "tenant", caps: {}, onExceed: "pause" };
  const set = async (secondsAgo: number): Promise<string[]> => {
    const setAt = new Date(Date.now() - secondsAgo * 1_000);
    await database.budget.upsert({ where: { tenant_scope: { tenant, scope: "tenant" } }, create: { ...budget, setAt }, update: { setAt } });
    return found();
  };
  expect([await set(90), await set(30), await set(900)]).toEqual([["past"], ["now", "past"], ["past"]]);
  await database.budget.deleteMany({ where: { tenant, scope: "tenant" } });
});

test("calls of tools count when they are made", async () => {
  const budgets = new Budgets(database);
  const spender = { tenant, budgets: [dollar({ caps: { toolCalls: 20 } })] };
  const made = await Promise.allSettled(Array.from({ length: 40 }, () => persistently(() => budgets.spendToolCall(spender, "mail.send"))));
  expect(made.filter(({ status }) => status === "fulfilled")).toHaveLength(20);
  expect((await row()).spent.toolCalls).toBe(20);
});

test("an http step is a call of a tool: it counts, is not sent when it may not, and is cut when its time is over", async () => {
  const server = await startLedgerServer();
  const http = createHttp({ allow: ["127.0.0.1"] });
  const step = createHttpStep({ database, http, effects: new EffectLedger(database), redact: noSecrets, budgets: new Budgets(database) });
  const send = (budgets: BudgetRef[], to: string): Promise<unknown> => {
    const context = testContext({ tenant, budgets, idempotencyKey: `r_1:${randomUUID()}` }) as unknown as StepContext;
    return step({ method: "POST", url: [`${server.url}${to}`], headers: {}, query: {} }, {}, context);
  };
  const capped = [dollar({ caps: { toolCalls: 1 } })];
  await send(capped, "/once");
  const refusal = { code: "budget_exceeded", problem: expect.not.objectContaining({ mayHaveHappened: true }) };
  await expect(send(capped, "/once")).rejects.toMatchObject(refusal);
  expect(server.calls("/once")).toHaveLength(1);
  expect((await row()).spent.toolCalls).toBe(1);
  server.script("/slow", { delayMs: 10_000 });
  const timed = [dollar({ scope: `step:${root}:slow`, caps: { wallTimeMs: limits.budgetWallTimeMinMs + 100 } })];
  await expect(send(timed, "/slow")).rejects.toMatchObject({ code: "budget_exceeded", problem: { mayHaveHappened: true } });
  await server.close();
});
