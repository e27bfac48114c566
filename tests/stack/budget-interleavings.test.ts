import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Budgets } from "../../activities/budgets.ts";
import { ModelCalls, type CallOutcome, type CallOwner, type StartedCall } from "../../activities/model-calls.ts";
import { noUsage } from "../../activities/model-port.ts";
import { Prices } from "../../activities/prices.ts";
import { budgetScopes, NANO, nothing, type BudgetRef } from "../../contracts/budgets.ts";
import { Fault } from "../../contracts/faults.ts";
import { findBudgets, type BudgetRow } from "../../prisma/budgets.ts";
import type { Database } from "../../prisma/client.ts";
import { casesOf, firstSeedOf } from "../cases.ts";
import { Random } from "../chaos/random.ts";
import { ownPostgres } from "./own-postgres.ts";

const tenant = "acme";
// A dollar for a million tokens, in as out.
const model = { provider: "openai", name: "plain" };
/** Of both children together: the dollar is enough for about half of them. */
const callsPerSeed = 6;

let database: Database;
let calls: ModelCalls;
/** What broke off below the calls, and was asked again, by its SQLSTATE. */
const brokeOff = new Map<string, number>();

ownPostgres((opened) => {
  database = opened;
  calls = new ModelCalls(database, { prices: new Prices(database, ["openai/plain=1/1"]), budgets: new Budgets(database) });
}, 20);

/** Postgres itself refuses to commit anything above a cap, whoever looks at which moment. Whoever is in a deadlock is told so at once. */
beforeAll(async () => {
  await database.$executeRaw`
    ALTER TABLE budgets ADD CONSTRAINT never_above_cap CHECK (
      coalesce((spent ->> 'nanoUsd')::bigint, 0) + coalesce((reserved ->> 'nanoUsd')::bigint, 0) BETWEEN 0 AND (caps ->> 'nanoUsd')::bigint)`;
  await database.$executeRaw`ALTER ROLE CURRENT_USER SET deadlock_timeout = '5ms'`;
  // Connections that were opened before do not know it.
  await database.$executeRaw`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`;
});

let isOver = false;
afterAll(() => void (isOver = true));

test("interleavings of two children with one $1 never book above it, also when transactions break off", async () => {
  const first = firstSeedOf("RESERVATION");
  const seeds = Array.from({ length: casesOf(300, "RESERVATION") }, (_, n) => first + n);
  const ways = { refused: 0, late: 0 };
  const troubles = [deadlocks(), deaths()];
  const lanes = Array.from({ length: 3 }, async () => {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
      const { refused, late } = await interleave(seed).catch((error: unknown) => {
        throw new Error(`RESERVATION_SEED=${seed} RESERVATION_CASES=1`, { cause: error });
      });
      ways.refused += refused;
      ways.late += late;
    }
  });
  await Promise.all(lanes).finally(() => (isOver = true));
  await Promise.all(troubles);
  // Otherwise no cap was ever near, no lost call came back, and nothing was in anybody's way.
  expect(ways.refused).toBeGreaterThan(0);
  expect(ways.late).toBeGreaterThan(0);
  expect(brokeOff.get("40P01") ?? 0).toBeGreaterThan(0);
  expect(brokeOff.size).toBeGreaterThan(1);
}, 1_200_000);

type Fate = "answered" | "failed" | "cut" | "lost" | "late";
const fates: readonly Fate[] = ["answered", "answered", "failed", "cut", "lost", "late"];

/** All calls of two children begin and end at once, each after waits that the seed gives. */
async function interleave(seed: number): Promise<{ refused: number; late: number }> {
  const random = new Random(seed);
  const run: BudgetRef = { scope: budgetScopes.run(`${seed}`), caps: { nanoUsd: NANO }, onExceed: "pause" };
  const children = ["one", "two"].map((path): BudgetRef => {
    const caps = { nanoUsd: Math.ceil(NANO * (0.4 + random.upTo(60) / 100)) };
    return { scope: budgetScopes.step(`${seed}`, path), caps, onExceed: "pause" };
  });
  const lives = Array.from({ length: callsPerSeed }, (_, n) => {
    const child = children[n % 2]!;
    const fate = random.oneOf(fates);
    const budgets = random.upTo(1) === 0 ? [run, child] : [child, run];
    const life = { owner: ownerOf(seed, n, budgets), fate, input: random.upTo(400_000), waits: [random.upTo(6), random.upTo(6)] };
    return live(life);
  });
  const ends = await Promise.allSettled(lives);
  for (const end of ends) if (end.status === "rejected") expect(end.reason).toMatchObject({ code: "budget_exceeded" });
  for (const { scope } of [run, ...children]) await checkSums(seed, scope);
  return {
    refused: ends.filter(({ status }) => status === "rejected").length,
    late: ends.filter((end) => end.status === "fulfilled" && end.value === "late").length,
  };
}

interface Life {
  owner: CallOwner;
  fate: Fate;
  input: number;
  waits: number[];
}

async function live({ owner, fate, input, waits }: Life): Promise<Fate> {
  const call: StartedCall = { index: 0, execution: "x", position: 0, model, wanted: "plain", startedAt: new Date() };
  const need = { inputTokens: () => input, endsAt: Date.now() + 60_000 };
  await sleep(waits[0]);
  const { outputTokensMax = 0 } = await persistently(() => calls.begin(owner, call, need));
  await sleep(waits[1]);
  const usage = { ...noUsage, inputTokens: Math.floor(input / 3), outputTokens: Math.floor(outputTokensMax / 2) };
  const outcomes: Record<Fate, CallOutcome | undefined> = {
    answered: { status: "answered", usage, answer: "yes" },
    failed: { status: "failed", usage: noUsage },
    cut: { status: "canceled", usage: null },
    lost: undefined,
    late: { status: "answered", usage, answer: "yes" },
  };
  if (fate === "lost" || fate === "late") await persistently(() => calls.made(owner));
  const outcome = outcomes[fate];
  if (outcome) await persistently(() => calls.settle(owner, call, outcome));
  return fate;
}

/** What is booked is what the calls say that they came to; of those that nobody knows, all that was set aside. Nothing is left. */
async function checkSums(seed: number, scope: string): Promise<void> {
  const budget = (await persistently(() => findBudgets(database, tenant, [scope])))[0];
  if (!budget) return;
  const { spent, reserved }: BudgetRow = budget;
  const rows = await persistently(() => database.modelCall.findMany({ where: { runId: `${seed}` } }));
  const own = rows.map((row) => ({ ...row, reservation: row.reservation as unknown as { held: { nanoUsd: number }; scopes: [string][] } }));
  const under = own.filter(({ reservation }) => reservation.scopes.some(([each]) => each === scope));
  const came = under.map(({ costUsd, reservation }) => (costUsd === null ? reservation.held.nanoUsd : Math.round(costUsd * NANO)));
  expect({ scope, reserved, nanoUsd: spent.nanoUsd, calls: spent.modelCalls }).toEqual({
    scope,
    reserved: nothing,
    nanoUsd: came.reduce((sum, each) => sum + each, 0),
    calls: under.length,
  });
}

const ownerOf = (seed: number, n: number, budgets: BudgetRef[]): CallOwner => ({
  tenant,
  runId: `${seed}`,
  path: `call${n}`,
  idempotencyKey: `${seed}:call${n}`,
  round: 1,
  since: 1,
  asked: "",
  budgets,
});

/** As workers do: what broke off is asked again, whether it was done or not. */
async function persistently<T>(operation: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await operation();
    } catch (error) {
      if (error instanceof Fault || tries === 50) throw error;
      const state = /\b(40P01|40001|57P01)\b/.exec(JSON.stringify(error))?.[0] ?? "other";
      brokeOff.set(state, (brokeOff.get(state) ?? 0) + 1);
    }
  }
}

/** Somebody who locks the same rows in the other order, again and again: one of the two is told that it cannot go on. */
async function deadlocks(): Promise<void> {
  while (!isOver) {
    await database
      .$transaction(async (transaction) => {
        const last = await transaction.$queryRaw<{ scope: string }[]>`
          SELECT scope FROM budgets WHERE tenant = ${tenant} AND scope LIKE 'step:%' ORDER BY set_at NULLS FIRST, ctid DESC LIMIT 3 FOR UPDATE`;
        const runs = last.map(({ scope }) => `run:${scope.split(":")[1]!}`);
        await sleep(2);
        await transaction.$queryRaw`SELECT 1 FROM budgets WHERE tenant = ${tenant} AND scope = ANY(${runs}) FOR UPDATE`;
      })
      .catch(() => undefined);
    await sleep(3);
  }
}

/** Connections that end in the midst of what they do, and maybe after it was committed. */
async function deaths(): Promise<void> {
  for (; !isOver; await sleep(300))
    await database.$executeRaw`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' ORDER BY random() LIMIT 1`.catch(() => undefined);
}
