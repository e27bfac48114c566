import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { makeProblem, type Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { ModelHealth } from "./model-health.ts";
import { createModels, describeModels, type ModelSettings } from "./models.ts";
import { listedPrice, Prices } from "./prices.ts";
import type { Need } from "./route.ts";

const need: Need = { inputTokens: 100, task: "text" };
const away = {
  status: "failed" as const,
  usage: null,
  error: makeProblem("model", "It is overloaded."),
};

const models = (settings: Partial<ModelSettings> = {}, health?: ModelHealth) =>
  createModels({ TENUTO_MODELS: [], ...settings }, health ? { health } : {});

async function routed(wanted: string, settings?: Partial<ModelSettings>): Promise<string> {
  const { provider, name } = await models(settings).route(wanted, need, "t");
  return `${provider}/${name}`;
}

describe("which model answers", () => {
  test.each(["default", "fast", "smart", "cheap", "reasoning"])("%s: local, when nothing is set", async (alias) => {
    expect(await routed(alias)).toBe("local/extractive");
    expect(describeModels({ TENUTO_MODELS: [] })).toContain("set OPENAI_API_KEY");
  });

  test("OpenAI before Anthropic, when both have keys", async () => {
    expect(await routed("smart", { OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k" })).toMatch(/^openai\//);
    expect(await routed("smart", { ANTHROPIC_API_KEY: "k" })).toMatch(/^anthropic\//);
  });

  test.each([{ OPENAI_API_KEY: "k" }, { ANTHROPIC_API_KEY: "k" }])("one whose price is known, by every alias: %j", async (settings) => {
    for (const alias of ["default", "fast", "smart", "cheap", "reasoning"]) {
      const { provider, name } = await models(settings).route(alias, need, "t");
      expect([alias, name, listedPrice({ provider, name })]).toEqual([alias, name, expect.any(Number)]);
    }
  });

  test("a compatible server that needs no key", async () => {
    const settings = { OPENAI_BASE_URL: "http://127.0.0.1:11434/v1", TENUTO_MODELS: ["default=openai/meta/llama-3"] };
    expect(await routed("default", settings)).toBe("openai/meta/llama-3");
    expect(describeModels(settings)).toBe("openai/meta/llama-3 at http://127.0.0.1:11434/v1");
  });

  test("an alias of the operator, with one model or several", async () => {
    expect(await routed("judge", { TENUTO_MODELS: ["judge=local/extractive"] })).toBe("local/extractive");
    expect(await routed("judge", { TENUTO_MODELS: ["judge=anthropic/a|local/extractive"] })).toBe("local/extractive");
    expect(() => models({ TENUTO_MODELS: ["judge=gpt"] })).toThrow("TENUTO_MODELS");
    expect(() => models({ TENUTO_MODELS: ["judge=local/a|gpt"] })).toThrow("TENUTO_MODELS");
  });

  test("what a model takes in the operator says beside its name, in an alias or alone", async () => {
    const settings = {
      OPENAI_BASE_URL: "http://127.0.0.1:1/v1",
      TENUTO_MODELS: ["default=openai/a:3b@32k|openai/b", "openai/gpt-4o@4096"],
    };
    const all = models(settings);
    expect(["default", "openai/a:3b", "openai/b", "openai/gpt-4o"].map((name) => all.window(name))).toEqual([
      32_000,
      32_000,
      undefined,
      4096,
    ]);
    expect(await routed("default", settings)).toBe("openai/a:3b");
    expect((await all.route("default", { ...need, inputTokens: 40_000 }, "t")).name).toBe("b");
    await expect(all.route("openai/a:3b", { ...need, inputTokens: 40_000 }, "t")).rejects.toMatchObject({ code: "context_too_long" });
    // A date, not a window.
    expect(await routed("x", { TENUTO_MODELS: ["x=local/m@20250929"] })).toBe("local/m@20250929");
    for (const entry of ["openai/a", "openai/a@12", "openai/a@32k|openai/b@32k"])
      expect(() => models({ TENUTO_MODELS: [entry] })).toThrow("TENUTO_MODELS");
  });

  test("another of its alias, when one has refused the very request for its length", async () => {
    const all = models({ OPENAI_API_KEY: "k", TENUTO_MODELS: ["pair=openai/a|openai/b"] });
    const longer = { ...need, refusedBy: ["openai/a"] };
    expect((await all.route("pair", longer, "t")).name).toBe("b");
    const nobody = all.route("pair", { ...need, refusedBy: ["openai/a", "openai/b"] }, "t");
    await expect(nobody).rejects.toMatchObject({
      code: "context_too_long",
      message: expect.stringContaining("openai/b has refused") as unknown,
    });
  });

  test("the cheapest by what its tenant pays, then by the operator's prices, then by the list", async () => {
    const own = [{ model: "openai/gpt-4o", input: 90, output: 90, cacheRead: null, cacheWrite: null }];
    const rows = { modelPrice: { findMany: async ({ where }: { where: { tenant: string } }) => (where.tenant === "dear" ? own : []) } };
    const prices = new Prices(rows as never, ["openai/house=40/40"]);
    const settings = { OPENAI_API_KEY: "k", TENUTO_MODELS: ["cheap=openai/house|openai/gpt-4o"] };
    const all = createModels(settings, { prices });
    expect((await all.route("cheap", need, "usual")).name).toBe("gpt-4o");
    expect((await all.route("cheap", need, "dear")).name).toBe("house");
  });

  test("nothing embeds unless it is asked for, and then one model that can", () => {
    const embedding = (alias: string, more: Partial<ModelSettings> = {}) =>
      models({ TENUTO_MODELS: [`embedding=${alias}`], ...more }).embedding;
    expect(models({ OPENAI_API_KEY: "k" }).embedding).toBeUndefined();
    expect(embedding("local/extractive")).toBe("local/extractive");
    expect(embedding("openai/small", { OPENAI_API_KEY: "k" })).toBe("openai/small");
    expect(() => embedding("openai/small")).toThrow("set OPENAI_API_KEY or OPENAI_BASE_URL");
    expect(() => embedding("local/a|local/b")).toThrow("one model");
    expect(() => embedding("anthropic/a", { ANTHROPIC_API_KEY: "k" })).toThrow("Anthropic has none");
  });

  test.each([
    ["nobody", "Aliases: default"],
    ["acme/one", "Aliases"],
    ["openai/gpt-5", "set OPENAI_API_KEY"],
    ["openai/", "Aliases"],
    ["__proto__", "Aliases"],
  ])("%s is refused with what there is", async (wanted, hint) => {
    const refused = models().route(wanted, need, "t");
    await expect(refused).rejects.toMatchObject({ problem: { code: "model", retryable: false } } satisfies Partial<
      Record<keyof Fault, unknown>
    >);
    await expect(refused).rejects.toThrow(hint);
  });

  test("what the smallest of its models takes in is known of those that are listed", () => {
    const window = (wanted: string) => models({ TENUTO_MODELS: ["pair=openai/gpt-4|openai/gpt-4o|openai/unheard"] }).window(wanted);
    expect([window("openai/gpt-4"), window("pair"), window("openai/unheard"), window("nobody")]).toEqual([
      8192,
      8192,
      undefined,
      undefined,
    ]);
  });

  test("only what an alias decides is told; a model named by its provider is nobody's choice", async () => {
    expect((await models().route("fast", need, "t")).route).toMatchObject({ wanted: "fast", taken: "local/extractive" });
    expect((await models().route("local/extractive", need, "t")).route).toBeUndefined();
  });
});

describe("a model that keeps failing", () => {
  const stopClock = () => jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] });
  afterEach(() => void jest.useRealTimers());
  const settings = { OPENAI_API_KEY: "k", TENUTO_MODELS: ["pair=openai/a|openai/b"] };

  test("is left for the others of its alias, and is asked again after an answer", async () => {
    const health = new ModelHealth();
    const all = models(settings, health);
    const first = await all.route("pair", need, "t");
    for (let failures = 0; failures < 4; failures++) await health.failed("openai/a");
    expect((await all.route("pair", need, "t")).name).toBe("a");
    all.learn(first, away, 10);
    await new Promise((soon) => setImmediate(soon));
    expect((await all.route("pair", need, "t")).name).toBe("b");
    await health.answered("openai/a", 10);
    expect((await all.route("pair", need, "t")).name).toBe("a");
  });

  test("is not asked for a while when there is no other, and it is said for how long", async () => {
    const health = new ModelHealth();
    for (let failures = 0; failures < 5; failures++) await health.failed("openai/a");
    const { openForMs } = await models(settings, health).route("openai/a", need, "t");
    expect(openForMs).toBeGreaterThan(20_000);
    expect(openForMs).toBeLessThanOrEqual(30_000);
  });

  test("is tried by one call at a time when its time is over, until one is answered", async () => {
    const health = new ModelHealth(undefined, { openSeconds: 1, probeSeconds: 1 });
    const all = models(settings, health);
    const openFor = async (): Promise<number> => (await all.route("openai/a", need, "t")).openForMs ?? 0;
    stopClock();
    for (let failures = 0; failures < 5; failures++) await health.failed("openai/a");
    expect(await openFor()).toBeGreaterThan(500);
    jest.advanceTimersByTime(1_100);
    expect([await openFor(), (await openFor()) > 0, (await openFor()) > 0]).toEqual([0, true, true]);
    // The one that tried has failed.
    await health.failed("openai/a");
    expect(await openFor()).toBeGreaterThan(500);
    jest.advanceTimersByTime(1_100);
    expect(await openFor()).toBe(0);
    await health.answered("openai/a", 10);
    expect([await openFor(), await openFor(), await openFor()]).toEqual([0, 0, 0]);
  });

  test("is tried by one call only, however many come at the same moment", async () => {
    stopClock();
    const health = new ModelHealth(undefined, { openSeconds: 1, probeSeconds: 1 });
    const all = models(settings, health);
    for (let failures = 0; failures < 5; failures++) await health.failed("openai/a");
    jest.advanceTimersByTime(1_100);
    const routed = await Promise.all(Array.from({ length: 50 }, () => all.route("openai/a", need, "t")));
    expect(routed.filter(({ openForMs }) => openForMs === undefined)).toHaveLength(1);
  });

  test("an answer that did not come in time is a sign of it when it had a fair time", async () => {
    const all = models(settings, new ModelHealth());
    const first = await all.route("pair", need, "t");
    const late = { ...away, error: makeProblem("timeout", "No answer.") };
    for (const tookMs of [1, limits.modelFairMs]) {
      for (let calls = 0; calls < 5; calls++) all.learn(first, late, tookMs);
      await new Promise((soon) => setTimeout(soon, 20));
      expect((await all.route("pair", need, "t")).name).toBe(tookMs === 1 ? "a" : "b");
    }
  });

  test("to be asked too often is no sign of it: its quota closes for those who share it", async () => {
    const all = models(settings, new ModelHealth());
    const first = await all.route("pair", need, "t");
    for (const [upstreamStatus, taken] of [
      [429, "a"],
      [503, "b"],
    ] as const) {
      for (let calls = 0; calls < 5; calls++) all.learn(first, { ...away, error: { ...away.error, upstreamStatus } }, 10);
      await new Promise((soon) => setTimeout(soon, 20));
      expect((await all.route("pair", need, "t")).name).toBe(taken);
    }
  });

  test("a refused request is no sign of it", async () => {
    const health = new ModelHealth();
    const all = models(settings, health);
    const first = await all.route("pair", need, "t");
    const error = { ...away.error, retryable: false };
    for (let calls = 0; calls < 9; calls++) all.learn(first, { ...away, error }, 10);
    expect((await all.route("pair", need, "t")).name).toBe("a");
  });
});
