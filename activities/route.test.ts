import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { casesOf } from "../tests/cases.ts";
import { chooseModel, type Candidate, type Need, type Preference } from "./route.ts";

const need: Need = { inputTokens: 1_000, task: "text" };
const choose = (candidates: Candidate[], preference: Preference = "order", more: Partial<Need> = {}) =>
  chooseModel("alias", { candidates, need: { ...need, ...more }, preference });

describe("an alias is answered by", () => {
  test("the first in its list", () => {
    expect(choose([{ model: "a/1" }, { model: "b/1" }])).toEqual({
      wanted: "alias",
      taken: "a/1",
      candidates: [
        { model: "a/1", taken: true, why: "first in the list" },
        { model: "b/1", taken: false, why: "after a/1 in the list" },
      ],
    });
  });

  test("the next, when the request is too long for the first", () => {
    const { taken, candidates } = choose([
      { model: "a/1", contextTokens: 500 },
      { model: "b/1", contextTokens: 2_000 },
    ]);
    expect(taken).toBe("b/1");
    expect(candidates[0]!.why).toBe("takes 500 tokens, the request has about 1000");
  });

  test("one whose provider is set up, can do the task and does not keep failing", () => {
    const candidates = [
      { model: "a/1", missing: "set A_KEY" },
      { model: "b/1", cannot: ["embedding" as const] },
      { model: "c/1", openForMs: 1_500 },
      { model: "d/1" },
    ];
    const route = choose(candidates, "order", { task: "embedding" });
    expect(route.taken).toBe("d/1");
    expect(route.candidates.map(({ why }) => why)).toEqual([
      "not set up: set A_KEY",
      "cannot do embeddings",
      "keeps failing; asked again in 2 s",
      "the only one that can answer",
    ]);
  });

  test("the cheapest, when price decides; an unknown price is no low one", () => {
    expect(choose([{ model: "a/1" }, { model: "b/1", priceUsd: 9 }, { model: "c/1", priceUsd: 2 }], "price").taken).toBe("c/1");
    expect(choose([{ model: "a/1" }, { model: "b/1" }], "price").taken).toBe("a/1");
  });

  test("the fastest that is known; what was not measured stays in its place", () => {
    expect(
      choose(
        [
          { model: "a/1", latencyMs: 900 },
          { model: "b/1", latencyMs: 300 },
        ],
        "latency",
      ).taken,
    ).toBe("b/1");
    expect(choose([{ model: "a/1" }, { model: "b/1", latencyMs: 300 }], "latency").taken).toBe("a/1");
  });

  test("nobody, when each has a reason against it", () => {
    expect(choose([{ model: "a/1", openForMs: 1 }]).taken).toBeNull();
  });
});

const candidate = fc.record(
  {
    missing: fc.constant("set KEY"),
    cannot: fc.constant(["embedding" as const]),
    contextTokens: fc.constantFrom(100, 1_000, 100_000),
    priceUsd: fc.integer({ min: 0, max: 20 }),
    latencyMs: fc.integer({ min: 1, max: 5_000 }),
    openForMs: fc.constantFrom(0, 10_000),
  },
  { requiredKeys: [] },
);
const table = fc.record({
  candidates: fc
    .array(candidate, { minLength: 1, maxLength: 8 })
    .map((list) => list.map((each, index) => ({ ...each, model: `p/${index}` }))),
  need: fc.record({ inputTokens: fc.constantFrom(50, 5_000), task: fc.constantFrom("text" as const, "embedding" as const) }),
  preference: fc.constantFrom("order" as const, "price" as const, "latency" as const),
});

const fits = (one: Candidate, wanted: Need): boolean =>
  one.missing === undefined &&
  !one.cannot?.includes(wanted.task) &&
  (one.contextTokens ?? Infinity) >= wanted.inputTokens &&
  !((one.openForMs ?? 0) > 0);

test("whoever is taken can answer, somebody is taken when anybody can, and each candidate has one reason", () => {
  fc.assert(
    fc.property(table, ({ candidates, need: wanted, preference }) => {
      const { taken, candidates: told } = chooseModel("x", { candidates, need: wanted, preference });
      expect(taken !== null).toBe(candidates.some((one) => fits(one, wanted)));
      expect(told.map(({ model }) => model)).toEqual(candidates.map(({ model }) => model));
      expect(told.filter((each) => each.taken).map(({ model }) => model)).toEqual(taken === null ? [] : [taken]);
      expect(told.every(({ why }) => why.length > 0)).toBe(true);
      const chosen = candidates.find(({ model }) => model === taken);
      if (chosen) expect(fits(chosen, wanted)).toBe(true);
    }),
    { numRuns: casesOf(2_000, "ROUTE") },
  );
});

test("nobody who fits is cheaper than who is taken by price", () => {
  fc.assert(
    fc.property(table, ({ candidates, need: wanted }) => {
      const { taken } = chooseModel("x", { candidates, need: wanted, preference: "price" });
      const priceOf = (one: Candidate | undefined): number => one?.priceUsd ?? Infinity;
      const chosen = priceOf(candidates.find(({ model }) => model === taken));
      for (const one of candidates) if (taken !== null && fits(one, wanted)) expect(priceOf(one)).toBeGreaterThanOrEqual(chosen);
    }),
    { numRuns: casesOf(2_000, "ROUTE") },
  );
});
