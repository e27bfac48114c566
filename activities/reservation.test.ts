import { describe, expect, test } from "@jest/globals";
import { budgetUnits, NANO, nothing, type Amount, type BudgetRef, type OnExceed } from "../contracts/budgets.ts";
import { limits } from "../contracts/limits.ts";
import { Random } from "../tests/chaos/random.ts";
import { grant, left, reserved, settled, spend, timeLeft, type BudgetState, type CallSize, type Grant } from "./reservation.ts";

const budget = (more: Partial<BudgetState> = {}): BudgetState => ({
  scope: "run:a",
  caps: { nanoUsd: NANO },
  onExceed: "pause",
  day: null,
  spent: nothing,
  reserved: nothing,
  ...more,
});

const size: CallSize = {
  inputTokens: 1_000,
  outputTokens: 4_000,
  price: { inputNanoUsd: 0.001 * NANO, outputTokenNanoUsd: 0.00001 * NANO },
};

const granted = (budgets: BudgetState[], need: CallSize): Grant => {
  const found = grant(budgets, need);
  if ("shortages" in found) throw new Error(JSON.stringify(found));
  return found;
};

describe("a reservation", () => {
  test("takes the input and the longest answer", () => {
    const { held, outputTokens } = granted([budget()], size);
    expect(outputTokens).toBe(4_000);
    expect(held).toEqual({ tokens: 5_000, nanoUsd: 0.041 * NANO, modelCalls: 1, toolCalls: 0, wallTimeMs: 0 });
  });

  test("shortens the answer to what the tightest budget leaves, and says which one that is", () => {
    const tight = budget({ scope: "step:a:b", caps: { tokens: 2_000 } });
    const found = granted([budget(), tight], size);
    expect(found).toMatchObject({ outputTokens: 1_000, held: { tokens: 2_000 }, cut: { onExceed: "pause" } });
    expect(found.cut?.shortages).toEqual([
      { scope: "step:a:b", unit: "tokens", day: null, onExceed: "pause", max: 2_000, used: 0, needed: 5_000 },
    ]);
  });

  test("is refused when not even a short answer fits, by every budget that does not leave it", () => {
    const caps = { tokens: 1_000 + limits.budgetOutputTokensMin - 1 };
    expect(grant([budget({ caps, onExceed: "fail" }), budget()], size)).toMatchObject({
      onExceed: "fail",
      shortages: [{ scope: "run:a", unit: "tokens", needed: 1_000 + limits.budgetOutputTokensMin }],
    });
  });

  test("of a model without a price is refused by a cap in dollars, and by no other", () => {
    const unpriced = { ...size, price: null };
    expect(grant([budget()], unpriced)).toMatchObject({ lacksPrice: true, shortages: [] });
    expect(granted([budget({ caps: { tokens: 10_000 } })], unpriced).held.nanoUsd).toBe(0);
  });

  test("counts calls of models, and those of tools when they are made", () => {
    const calls = budget({ caps: { modelCalls: 1, toolCalls: 1 } });
    const held = granted([calls], size).held;
    expect(grant([reserved(calls, held)], size)).toMatchObject({ shortages: [{ unit: "modelCalls", max: 1, used: 1, needed: 1 }] });
    const one: Amount = { ...nothing, toolCalls: 1 };
    const [after] = spend([calls], one) as BudgetState[];
    expect(after!.spent.toolCalls).toBe(1);
    expect(spend([after!], one)).toMatchObject({ shortages: [{ unit: "toolCalls" }] });
  });

  test("the strictest word of those that refuse counts", () => {
    const refusing = (...words: OnExceed[]) => words.map((onExceed) => budget({ onExceed, caps: { modelCalls: 0 } }));
    const wordOf = (...words: OnExceed[]) => grant([...refusing(...words), budget({ onExceed: "fail" })], size);
    expect(wordOf("downgradeModel", "ask")).toMatchObject({ onExceed: "ask" });
    expect(wordOf("ask", "pause", "downgradeModel")).toMatchObject({ onExceed: "pause" });
    expect(wordOf("ask", "fail", "pause")).toMatchObject({ onExceed: "fail" });
  });

  test("is refused when its wall time is over, and told how much is left before", () => {
    const after = (ms: number, more: Partial<BudgetState> = {}) =>
      budget({ caps: { wallTimeMs: 60_000 }, spent: { ...nothing, wallTimeMs: ms }, ...more });
    const last = 60_000 - limits.budgetWallTimeMinMs;
    expect(granted([after(last)], size).held.wallTimeMs).toBe(0);
    const refused = {
      scope: "run:a",
      unit: "wallTime",
      day: null,
      onExceed: "pause",
      max: 60_000,
      used: last + 1,
      needed: limits.budgetWallTimeMinMs,
    };
    expect(grant([after(last + 1)], size)).toMatchObject({ shortages: [refused] });
    expect(spend([after(last + 1)], { ...nothing, toolCalls: 1 })).toMatchObject({ shortages: [refused] });
    const inner = after(20_000, { scope: "step:a:b", caps: { wallTimeMs: 30_000 }, onExceed: "fail" });
    expect(timeLeft([after(20_000), inner, budget()])).toMatchObject({
      ms: 10_000,
      over: { onExceed: "fail", shortages: [{ scope: "step:a:b", max: 30_000, used: 30_000 }] },
    });
    expect(timeLeft([budget()])).toBeUndefined();
  });

  test("a cap below what is spent leaves nothing", () => {
    expect(left(budget({ spent: { ...nothing, nanoUsd: 2 * NANO } }), "nanoUsd")).toBe(-NANO);
    expect(grant([budget({ spent: { ...nothing, nanoUsd: 2 * NANO } })], size)).toMatchObject({ onExceed: "pause" });
  });
});

interface Open {
  held: Amount;
  outputTokens: number;
  of: number[];
}

/**
 * Two children of a run with $1, one of them under a cap of its own: their calls begin, end and get lost in any order.
 * What is booked never is above a cap, and nothing stays reserved when all calls have ended.
 */
test("1,000 interleavings of two children never book above $1", () => {
  const shared: BudgetRef = { scope: "run:a", caps: { nanoUsd: NANO, tokens: 200_000 }, onExceed: "pause" };
  const own: BudgetRef = { scope: "step:b:x", caps: { nanoUsd: NANO / 2, modelCalls: 40 }, onExceed: "pause" };
  let refusals = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let seed = 1; seed <= 1_000; seed++) {
    const random = new Random(seed);
    const books = [shared, own].map((ref): BudgetState => ({ ...ref, day: null, spent: nothing, reserved: nothing }));
    const open: Open[] = [];
    const begin = (): void => {
      const of = random.upTo(2) === 0 ? [0] : [0, 1];
      const inputTokens = random.upTo(20_000);
      const price = { inputNanoUsd: inputTokens * random.upTo(9_000), outputTokenNanoUsd: random.upTo(30_000) + 0.7 };
      const found = grant(
        of.map((index) => books[index]!),
        { inputTokens, outputTokens: 16_384, price },
      );
      if ("shortages" in found) return void (refusals += 1);
      for (const index of of) books[index] = reserved(books[index]!, found.held);
      open.push({ held: found.held, outputTokens: found.outputTokens, of });
    };
    const end = (): void => {
      const [call] = open.splice(random.upTo(open.length), 1);
      if (!call) return;
      const share = random.upTo(100) / 100;
      const { held } = call;
      const spent =
        random.upTo(5) === 0 ? nothing : { ...held, tokens: Math.floor(held.tokens * share), nanoUsd: Math.ceil(held.nanoUsd * share) };
      for (const index of call.of) books[index] = settled(books[index]!, { held, spent });
    };
    for (let turn = 0; turn < 60; turn++) {
      if (random.upTo(3) > 0) begin();
      else end();
      least = Math.min(least, ...books.flatMap((book) => budgetUnits.map((unit) => left(book, unit))));
    }
    while (open.length > 0) end();
    expect(books.map((book) => book.reserved)).toEqual([nothing, nothing]);
  }
  expect(least).toBeGreaterThanOrEqual(0);
  // Otherwise no cap was ever reached.
  expect(refusals).toBeGreaterThan(1_000);
});
