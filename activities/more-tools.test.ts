import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { startLedgerServer, type LedgerServer } from "../tests/servers/ledger-server.ts";
import { testContext } from "../tests/work-context.ts";
import { createBuiltinTools } from "./builtin-tools.ts";
import { performTool } from "./tool.ts";
import { createToolRegistry } from "./tool-registry.ts";

let ledger: LedgerServer;
beforeEach(async () => void (ledger = await startLedgerServer()));
afterEach(() => ledger.close());

async function run(name: string, args: Json, more = {}): Promise<Json> {
  const builtin = createBuiltinTools({ filesRoot: ".", mainTenant: "default", httpAllow: [`127.0.0.1:${ledger.port}`], sql: {} });
  const tool = createToolRegistry(builtin).get(name);
  return performTool(tool, await tool.parse(args), testContext(more));
}

describe("math.evaluate", () => {
  test.each([
    ["(1 + 2) * 3.5", {}, 10.5],
    ["sum(prices) * rate", { prices: [1, 2, 3], rate: 2 }, 12],
    [
      "items.filter(i, i.n > 1).map(i, i.name)",
      {
        items: [
          { n: 1, name: "a" },
          { n: 2, name: "b" },
        ],
      },
      ["b"],
    ],
    ["7 / 2", {}, 3.5],
  ])("%s", async (expression, values, value) => {
    expect(await run("math.evaluate", { expression, values })).toEqual({ value });
  });

  test.each(["1 +", "missing + 1", "constructor", "1 / 'a'", "process.exit()"])("%s is refused as an argument", async (expression) => {
    await expect(run("math.evaluate", { expression })).rejects.toMatchObject({ code: "tool_input" });
  });
});

describe("text", () => {
  test("is counted as people count", async () => {
    expect(await run("text.count", { text: "Grüße, 👩‍👧!\nEnde" })).toEqual({ characters: 14, words: 2, lines: 2 });
    expect(await run("text.count", { text: "" })).toEqual({ characters: 0, words: 0, lines: 0 });
  });

  test("is counted in pieces that cut no character and no word", async () => {
    const line = "Grüße an 👩‍👧 in 12 Orten: 🇩🇪🇫🇷. ";
    expect(await run("text.count", { text: line.repeat(4_000) })).toEqual({ characters: 112_000, words: 20_000, lines: 1 });
    const before = process.memoryUsage().rss;
    await run("text.count", { text: "x ".repeat(limits.textCountMax / 2) });
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000);
    expect(await run("text.count", { text: "x".repeat(2_500) })).toMatchObject({ characters: 2_500, lines: 1 });
  });

  test("too long to be counted or split is refused", async () => {
    await expect(run("text.count", { text: "x".repeat(limits.textCountMax + 1) })).rejects.toMatchObject({ code: "limit" });
    await expect(run("text.lines", { text: "\n".repeat(limits.textSplitMax + 1) })).rejects.toMatchObject({ code: "limit" });
  });

  test("is cut at any length", async () => {
    const text = "👍".repeat(3_000_000);
    expect(await run("text.cut", { text, from: 2_999_999 })).toEqual({ text: "👍", next: null });
    expect(await run("text.cut", { text: "a", from: 5 })).toEqual({ text: "", next: null });
  });

  test("is cut part by part, never within a character", async () => {
    expect(await run("text.cut", { text: "a👍b", max: 2 })).toEqual({ text: "a👍", next: 2 });
    expect(await run("text.cut", { text: "a👍b", from: 2 })).toEqual({ text: "b", next: null });
  });
});

describe("http.get and http.request", () => {
  test("give what was answered, also when it is no success", async () => {
    ledger.script("/none", { status: 404, headers: { "content-type": "application/json" }, body: '{"why":"gone"}' });
    expect(await run("http.get", { url: `${ledger.url}/none`, query: { a: 1 } })).toMatchObject({
      status: 404,
      ok: false,
      body: { why: "gone" },
    });
    expect(await run("http.request", { url: `${ledger.url}/x`, body: { a: 1 } })).toMatchObject({ status: 200, ok: true });
    expect(ledger.requests).toMatchObject([
      { method: "GET", path: "/none?a=1" },
      { method: "POST", body: '{"a":1}', headers: { "idempotency-key": "r_1:step" } },
    ]);
  });

  test("fail where another attempt may get over it", async () => {
    ledger.script("/busy", { status: 503 });
    await expect(run("http.get", { url: `${ledger.url}/busy` })).rejects.toMatchObject({ code: "http", problem: { status: 503 } });
  });

  test("go where definition and operator let them, and nowhere else", async () => {
    await expect(run("http.get", { url: "http://127.0.0.1:1/" })).rejects.toMatchObject({ code: "policy" });
    await expect(run("http.get", { url: `${ledger.url}/x` }, { hosts: ["api.example.com"] })).rejects.toMatchObject({ code: "policy" });
    expect(ledger.requests).toHaveLength(0);
  });
});
