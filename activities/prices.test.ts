import { describe, expect, test } from "@jest/globals";
import { noUsage } from "./model-port.ts";
import { costAt, listedCost, listedPrice, listedWindow, Prices } from "./prices.ts";

const usage = { ...noUsage, inputTokens: 1_000_000, outputTokens: 1_000_000 };
const small = { ...noUsage, inputTokens: 1_000, outputTokens: 1_000 };
const at = new Date("2026-06-01T00:00:00Z");
const openai = (name: string) => ({ provider: "openai", name });

describe("what a call costs", () => {
  test("by a price of one's own, tokens of the cache at theirs", () => {
    expect(costAt({ input: 2, output: 10 }, usage)).toBe(12);
    const cached = { ...usage, cacheReadTokens: 500_000, cacheWriteTokens: 100_000 };
    expect(costAt({ input: 2, output: 10, cacheRead: 0.2, cacheWrite: 2.5 }, cached)).toBeCloseTo(0.8 + 0.1 + 0.25 + 10, 9);
    expect(costAt({ input: 2, output: 10 }, cached)).toBe(12);
  });

  test("by a price that says nothing of the cache, what Anthropic writes to its own a quarter above other input", async () => {
    const prices = new Prices({ modelPrice: { findMany: async () => [] } } as never, ["anthropic/m=2/10", "openai/m=2/10"]);
    const written = { ...noUsage, inputTokens: 1_000_000, cacheWriteTokens: 400_000 };
    expect(await prices.cost("t", { provider: "anthropic", name: "m" }, written)).toBeCloseTo(1.2 + 1, 9);
    expect(await prices.cost("t", { provider: "openai", name: "m" }, written)).toBeCloseTo(2, 9);
  });

  test("by the built-in list, also of a dated release", () => {
    expect(listedCost(openai("gpt-4o"), small, at)).toBeCloseTo(0.0125, 9);
    expect(listedCost(openai("gpt-4o-2024-08-06"), small, at)).toBeCloseTo(0.0125, 9);
    expect(listedCost(openai("gpt-4o"), { ...small, cacheReadTokens: 1_000 }, at)).toBeCloseTo(0.01125, 9);
  });

  test("is not guessed: another model whose name begins alike is another model", () => {
    expect(listedCost({ provider: "anthropic", name: "claude-sonnet-5-5" }, small, at)).toBeNull();
    expect(listedCost({ provider: "anthropic", name: "claude-opus-5-5" }, small, at)).not.toBeNull();
    expect(listedCost(openai("llama3.2"), small, at)).toBeNull();
    expect(listedPrice(openai("llama3.2"))).toBeUndefined();
  });

  test("is not known behind an address that the list does not know", () => {
    expect(listedCost({ ...openai("gpt-4o"), baseUrl: "http://127.0.0.1:11434/v1" }, small, at)).toBeNull();
    expect(listedCost({ ...openai("gpt-4o"), baseUrl: "https://api.openai.com/v1" }, small, at)).toBeCloseTo(0.0125, 9);
  });

  test("is not known when the counts contradict each other", () => {
    expect(listedCost(openai("gpt-4o"), { ...small, cacheReadTokens: 5_000 }, at)).toBeNull();
  });

  test("a model's window is known where the very model is", () => {
    expect(listedWindow(openai("gpt-4o"))).toBe(128_000);
    expect(listedWindow(openai("m"))).toBeUndefined();
  });
});

test.each(["gpt=1/2", "openai/gpt=1", "openai/gpt=1/x", "openai/gpt=-1/2", "openai/gpt=1/2/3", "openai/gpt"])(
  "a price that cannot be read ends the process: %s",
  (entry) => {
    expect(() => new Prices(undefined as never, [entry])).toThrow("TENUTO_MODEL_PRICES");
  },
);
