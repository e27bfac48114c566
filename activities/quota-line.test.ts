import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { limits } from "../contracts/limits.ts";
import type { Quota } from "../contracts/quotas.ts";
import { casesOf } from "../tests/cases.ts";
import { ask, close, newLine, type Caller, type Line } from "./quota-line.ts";

const minute: Quota = { requests: 60, tokens: 100_000, windowMs: 60_000 };

interface Call {
  tenant: string;
  at: number;
  tokens: number;
  model?: string;
}

interface Went extends Call {
  wentAt: number;
  asks: number;
}

interface World {
  line?: Line;
  under?: (call: Call) => Caller["under"];
  /** How late a call comes back for its turn. */
  lateMs?: (random: number) => number;
  /** When a call that would come at that moment comes. */
  goesOn?: (at: number) => number;
  until?: number;
}

const openaiUnder = (call: Call): Caller["under"] => [{ name: call.model ?? "openai/a", quota: minute, isShared: true }];

/** Every call asks when it comes, and again when it was told to, a little late. */
function play(
  calls: Call[],
  { line = newLine(), under = openaiUnder, lateMs = () => 0, goesOn = (at) => at, until = Infinity }: World = {},
): Went[] {
  const due = calls.map((call, index) => ({ call, id: `c${index}`, at: call.at, asks: 0 }));
  const went: Went[] = [];
  let chance = 0.5;
  while (due.length > 0) {
    due.sort((a, b) => a.at - b.at);
    const next = due.shift()!;
    if (next.at > until) break;
    const { call, id, at } = next;
    const caller = { id, tenant: call.tenant, model: call.model ?? "openai/a", tokens: call.tokens, under: under(call) };
    const waitMs = ask(line, caller, { now: at, share: 1 });
    chance = (chance * 7.13 + 0.31) % 1;
    if (waitMs === 0) went.push({ ...call, wentAt: at, asks: next.asks + 1 });
    else due.push({ ...next, at: goesOn(at + waitMs + lateMs(chance)), asks: next.asks + 1 });
  }
  return went;
}

const many = (count: number, tenant: string, { at = 0, tokens = 100, everyMs = 0 } = {}): Call[] =>
  Array.from({ length: count }, (_, index) => ({ tenant, at: at + index * everyMs, tokens }));

/** The most that any window of a provider holds, wherever it begins. */
function fullest(went: Went[], windowMs: number): { requests: number; tokens: number } {
  const windows = went.map(({ wentAt }) => went.filter((other) => other.wentAt >= wentAt && other.wentAt < wentAt + windowMs));
  return {
    requests: Math.max(...windows.map((calls) => calls.length)),
    tokens: Math.max(...windows.map((calls) => calls.reduce((sum, { tokens }) => sum + tokens, 0))),
  };
}

const waitsOf = (went: Went[], tenant: string): number[] =>
  went.filter((call) => call.tenant === tenant).map(({ at, wentAt }) => wentAt - at);
const p95 = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.95) - 1]!;

describe("a quota of 60 requests and 100,000 tokens a minute", () => {
  test("lets a single call through at once", () => {
    expect(play(many(1, "a"))).toMatchObject([{ wentAt: 0, asks: 1 }]);
  });

  test("lets 200 runs through at nine tenths of it or more, each told once when its turn is", () => {
    const went = play(many(200, "a"), { lateMs: (chance) => chance * 300 });
    const last = went.at(-1)!.wentAt;
    expect(200 / (last / 60_000)).toBeGreaterThan(54);
    expect(fullest(went, 60_000).requests).toBeLessThanOrEqual(60);
    expect(Math.max(...went.map(({ asks }) => asks))).toBe(2);
  });

  test("makes up for workers that stand still, and never lets through more than a window takes", () => {
    // What comes while they do asks when they go on.
    const stops = [20_000, 80_000, 140_000].map((from) => ({ from, to: from + 9_000 }));
    const standing = (at: number): number => stops.find(({ from, to }) => at >= from && at < to)?.to ?? at;
    const went = play(many(200, "a"), { lateMs: (chance) => 200 + chance * 500, goesOn: standing });
    expect(200 / (went.at(-1)!.wentAt / 60_000)).toBeGreaterThan(54);
    expect(fullest(went, 60_000).requests).toBeLessThanOrEqual(60);
  });

  test("counts tokens as well", () => {
    const went = play(many(100, "a", { tokens: 4_000 }));
    expect(100 / (went.at(-1)!.wentAt / 60_000)).toBeGreaterThan(0.9 * 25);
    expect(fullest(went, 60_000).tokens).toBeLessThanOrEqual(100_000);
  });

  test("holds calls of a third of it, and one that is larger than all of it goes alone", () => {
    expect(fullest(play(many(10, "a", { tokens: 33_000 })), 60_000).tokens).toBeLessThanOrEqual(100_000);
    const went = play([...many(2, "a", { tokens: 150_000 }), ...many(2, "a")]);
    expect(went).toHaveLength(4);
  });

  test("makes a small tenant wait less than twice as long as if it were alone, behind a large tenant's queue", () => {
    const small = many(20, "small", { at: 20_000 });
    const alone = p95(waitsOf(play(small), "small"));
    // Also when many come late for their turn, and are overtaken.
    expect(
      p95(waitsOf(play([...many(180, "large", { everyMs: 100 }), ...small], { lateMs: (chance) => chance * 3_000 }), "small")),
    ).toBeLessThan(2 * alone + 3_000);
    const beside = play([...many(180, "large"), ...small]);
    expect(p95(waitsOf(beside, "small"))).toBeLessThan(2 * alone);
    // The large one is neither starved nor told again and again.
    expect(Math.max(...waitsOf(beside, "large"))).toBeLessThan(230_000);
    expect(Math.max(...beside.map(({ asks }) => asks))).toBeLessThanOrEqual(5);
  });

  test("keeps nobody waiting for one who does not come back", () => {
    const line = newLine();
    const asks = (id: string, now: number): number =>
      ask(
        line,
        { id, tenant: "a", model: "openai/a", tokens: 1, under: openaiUnder({ tenant: "a", at: 0, tokens: 1 }) },
        { now, share: 1 },
      );
    for (let index = 0; index < 10; index++) asks(`gone${index}`, 0);
    expect(asks("here", 30_000)).toBe(0);
  });
});

describe("quotas beside each other", () => {
  test("a tenant's own holds up nobody else", () => {
    const own = { name: "slow openai/a", quota: { requests: 2, windowMs: 60_000 }, isShared: false };
    const under = (call: Call): Caller["under"] => [...openaiUnder(call), ...(call.tenant === "slow" ? [own] : [])];
    const went = play([...many(20, "slow"), ...many(30, "quick", { at: 1 })], { under });
    expect(Math.max(...waitsOf(went, "quick"))).toBeLessThan(35_000);
    expect(
      fullest(
        went.filter(({ tenant }) => tenant === "slow"),
        60_000,
      ).requests,
    ).toBeLessThanOrEqual(2);
  });

  test("a slow model holds up no other of its provider", () => {
    const under = ({ model }: Call): Caller["under"] => [
      { name: "openai", quota: { requests: 600, windowMs: 60_000 }, isShared: true },
      ...(model === "openai/slow" ? [{ name: "openai/slow", quota: { requests: 6, windowMs: 60_000 }, isShared: true }] : []),
    ];
    const slow = many(30, "a").map((call) => ({ ...call, model: "openai/slow" }));
    const quick = many(30, "a", { at: 1 }).map((call) => ({ ...call, model: "openai/quick" }));
    const went = play([...slow, ...quick], { under });
    expect(Math.max(...went.filter(({ model }) => model === "openai/quick").map(({ at, wentAt }) => wentAt - at))).toBeLessThan(4_000);
  });
});

describe("what a tenant has been given", () => {
  const quota = { requests: 60, windowMs: 60_000 };
  const asks = (line: Line, tenant: string, id: string, now: number): number =>
    ask(line, { id, tenant, model: "openai/a", tokens: 1, under: [{ name: "openai/a", quota, isShared: true }] }, { now, share: 1 });

  test("is compared with what others have, also while one waits for its own quota", () => {
    const own = { name: "slow openai/a", quota: { requests: 1, windowMs: 3_600_000 }, isShared: false };
    const under = (call: Call): Caller["under"] => [...openaiUnder(call), ...(call.tenant === "slow" ? [own] : [])];
    const steady = many(150, "steady", { everyMs: 4_000 });
    const went = play([...many(3, "slow"), ...steady, ...many(200, "burst", { at: 400_000 })], { under, until: 900_000 });
    expect(went.filter(({ tenant }) => tenant === "steady")).toHaveLength(150);
    expect(Math.max(...waitsOf(went, "steady"))).toBeLessThan(45_000);
  });

  test("holds nothing that it did not come back for, and goes on after what it still waits for", () => {
    const line = newLine();
    const tagOfNext = (): number => line.next["a openai/a"] ?? Number.NaN;
    for (let index = 0; index < 20; index++) asks(line, "a", `c${index}`, 0);
    const [before, first, last] = [tagOfNext(), line.waiting[0]!, line.waiting.at(-1)!];
    last.dueAt = 60_000;
    asks(line, "b", "b", 59_000);
    expect(line.waiting).toMatchObject([{ id: last.id }]);
    expect(tagOfNext()).toBe(before);
    last.dueAt = 0;
    line.given["openai/a"] = first.tag;
    asks(line, "b", "c", 59_001);
    expect(tagOfNext()).toBe(last.tag);
  });

  test("holds no place that a fuller line has no room for", () => {
    const line = newLine();
    for (let index = 0; line.waiting.length < 20; index++) asks(line, "a", `c${index}`, 0);
    const last = line.waiting.at(-1)!;
    const others = { ...line.waiting[0]!, tenant: "c" };
    while (line.waiting.length < limits.quotaLineMax) line.waiting.push({ ...others, id: `d${line.waiting.length}` });
    asks(line, "b", "b1", 0);
    expect(line.waiting).not.toContain(last);
    expect(line.next["a openai/a"]).toBe(last.tag);
  });

  test("is forgotten with the model, when nobody asks for it any more", () => {
    const line = newLine();
    for (let index = 0; index < 3; index++) asks(line, "a", `c${index}`, 0);
    line.learned["openai/a"] = { input: 1, output: 1 };
    const other = { id: "d", tenant: "a", model: "openai/b", tokens: 1, under: [{ name: "openai/b", quota, isShared: true }] };
    ask(line, other, { now: 30_000, share: 1 });
    expect([Object.keys(line.given), Object.keys(line.learned)]).toEqual([["openai/a", "openai/b"], ["openai/a"]]);
    ask(line, { ...other, id: "e" }, { now: 300_000, share: 1 });
    expect([line.given, line.learned, line.next].map((each) => Object.keys(each).join())).toEqual(["openai/b", "", "a openai/b"]);
  });
});

describe("a provider that refuses", () => {
  test("is not asked before the time it names, then no faster than it says", () => {
    const line = newLine();
    close(line, "openai/a", { now: 0, until: 5_000, told: { requests: 30, windowMs: 60_000 } });
    const under = (): Caller["under"] => [{ name: "openai/a", quota: { windowMs: 60_000 }, isShared: true }];
    const went = play(many(40, "a", { at: 1 }), { line, under });
    expect(went[0]!.wentAt).toBeGreaterThanOrEqual(5_000);
    expect(fullest(went, 60_000).requests).toBeLessThanOrEqual(30);
  });

  test("is asked by its tenants in turn, whatever they have waiting", () => {
    const line = newLine();
    close(line, "openai/a", { now: 0, until: 5_000, told: { requests: 30, windowMs: 60_000 } });
    const under = (): Caller["under"] => [{ name: "openai/a", quota: { windowMs: 60_000 }, isShared: true }];
    const went = play([...many(60, "large", { at: 1 }), ...many(3, "small", { at: 10_000 })], { line, under });
    expect(Math.max(...waitsOf(went, "small"))).toBeLessThan(15_000);
  });
});

test("whatever comes when, no window holds more than the quota and everybody gets their turn", () => {
  const quotas = fc.record({
    requests: fc.integer({ min: 1, max: 100 }),
    tokens: fc.integer({ min: 1_000, max: 50_000 }),
    windowMs: fc.constantFrom(6_000, 60_000),
  });
  const calls = fc.array(
    fc.record({
      tenant: fc.constantFrom("a", "b", "c"),
      at: fc.integer({ min: 0, max: 120_000 }),
      tokens: fc.integer({ min: 1, max: 1_000 }),
    }),
    { minLength: 1, maxLength: 120 },
  );
  fc.assert(
    fc.property(quotas, calls, fc.integer({ min: 0, max: 500 }), (quota, given, late) => {
      const went = play(given, { under: () => [{ name: "openai/a", quota, isShared: true }], lateMs: (chance) => chance * late });
      expect(went).toHaveLength(given.length);
      const { requests, tokens } = fullest(went, quota.windowMs);
      expect(requests).toBeLessThanOrEqual(quota.requests);
      expect(tokens).toBeLessThanOrEqual(quota.tokens);
    }),
    { numRuns: casesOf(300) },
  );
});

test("a worker that cannot reach the others keeps to its share of the quota", () => {
  const line = newLine();
  const caller = (id: string): Caller => ({
    id,
    tenant: "a",
    model: "openai/a",
    tokens: 1,
    under: openaiUnder({ tenant: "a", at: 0, tokens: 1 }),
  });
  const waits = [1, 2, 3, 4].map((n) => ask(line, caller(`c${n}`), { now: 0, share: 1 / 2 }));
  expect(waits[3]! - waits[2]!).toBeGreaterThan(2_000);
});
