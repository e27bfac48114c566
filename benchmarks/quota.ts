import { ask, type Server } from "../cli/api-client.ts";
import { LimitedModel, type Limits } from "../tests/servers/limited-model.ts";
import { startModelServer } from "../tests/servers/model-server.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { begin, end, post } from "./over-http.ts";
import { quantile } from "./statistics.ts";
import { withStack, type Log } from "./test-bed.ts";

/** A minute of the provider is half of one here. */
const limits: Limits = { requests: 60, tokens: 100_000, windowMs: 30_000 };
const smallRuns = 20;

/**
 * A provider that takes 60 requests and 100,000 tokens within its window and refuses what is more: how many calls of 200 runs at once it
 * refuses, how much of its limit is used, and how long a small tenant waits beside a large one.
 */
export async function measureQuota({ log, runs = 200 }: { log: Log; runs: number | undefined }): Promise<Figure[]> {
  const server = await startModelServer();
  const model = new LimitedModel(server, limits, (prompt) => ({ text: "ok", delayMs: 200, usage: usageFor(prompt) }));
  const env = {
    OPENAI_BASE_URL: `${server.url}/v1`,
    TENUTO_MODEL_QUOTAS: `openai/bench=${limits.requests}/${limits.tokens}@${limits.windowMs / 1_000}s`,
  };
  try {
    return await withStack({ log, env }, async ({ apiUrl: url, apiKey, databaseUrl }) => {
      const large = await tenantOf({ url, apiKey }, "large");
      const small = await tenantOf({ url, apiKey }, "small");
      const waits = (ids: string[]): Promise<number[]> => waitsOf(databaseUrl, ids);
      log(`quota: ${runs} runs`);
      const byRequests = await flood(large, model, { runs, prompt: short });
      log("quota: runs with long prompts");
      const byTokens = await flood(large, model, { runs: Math.ceil(runs / 6), prompt: long });
      log("quota: a small tenant alone");
      await settled();
      const alone = await waits(await play(small, smallRuns, short));
      log("quota: beside a large one");
      await settled();
      const begun = await Promise.all(Array.from({ length: runs - smallRuns }, () => begin(large, asking(short))));
      // Not while its runs are still being started: then everybody waits for a worker.
      await untilAsked(databaseUrl, begun);
      const beside = await play(small, smallRuns, short);
      const all = await ended(large, begun);
      const [ofLarge, ofSmall] = [await waits(all), await waits(beside)];
      const p95 = quantile(ofSmall, 0.95);
      return [
        figure("quota: runs at once", { value: runs, unit: "runs" }),
        figure("quota: calls that the provider refused", {
          value: byRequests.refused + byTokens.refused + model.refused,
          unit: "calls",
          demand: 0,
        }),
        figure("quota: share of the limit used, of requests", { value: byRequests.share * 100, unit: "%", demand: 90 }),
        figure("quota: share of the limit used, of tokens", { value: byTokens.share * 100, unit: "%", demand: 90 }),
        figure("quota: times a call asked, mean", { value: byRequests.asks, unit: "asks" }),
        figure("quota: a small tenant's wait alone, p95", { value: quantile(alone, 0.95), unit: "ms" }),
        figure("quota: beside a large one, p95; at most twice that", { value: p95, unit: "ms", demand: 2 * quantile(alone, 0.95) }),
        figure("quota: the large one's wait, p95", { value: quantile(ofLarge, 0.95), unit: "ms" }),
      ];
    });
  } finally {
    await server.close();
  }

  async function flood(server: Server, model: LimitedModel, { runs, prompt }: { runs: number; prompt: string }) {
    await settled();
    model.forget();
    const ids = await play(server, runs, prompt);
    const { taken, refused } = model;
    model.refused = 0;
    const windows = (taken.at(-1)!.at - taken[0]!.at) / limits.windowMs;
    const tokens = taken.slice(1).reduce((sum, each) => sum + each.tokens, 0);
    const share = Math.max((taken.length - 1) / limits.requests, tokens / limits.tokens) / windows;
    const delays = await Promise.all(ids.map((id) => delaysOf(server, id)));
    return { refused, share, asks: 1 + delays.reduce((sum, each) => sum + each, 0) / ids.length };
  }
}

const short = "Say ok. ".repeat(20);
const long = "Say ok. ".repeat(4_000);

/** As a provider counts: a token for four characters, and an answer of varying length. */
const usageFor = (prompt: string) => ({ inputTokens: Math.ceil(prompt.length / 4), outputTokens: 100 + ((prompt.length * 7) % 200) });

/** Nothing of before counts any more, neither here nor at the provider. */
const settled = (): Promise<void> => new Promise((over) => setTimeout(over, limits.windowMs));

async function tenantOf(server: Server, tenant: string): Promise<Server> {
  const { key } = await post<{ key: string }>(server, "/api/v2/keys", { principal: "bench", kind: "service", roles: ["admin"], tenant });
  const own = { url: server.url, apiKey: key };
  const step = { id: "say", type: "llm", model: "openai/bench", prompt: "${input.prompt}" };
  await post(own, "/api/v2/workflows", { name: "bench-quota", version: "1.0.0", steps: [step] });
  return own;
}

async function play(server: Server, count: number, prompt: string): Promise<string[]> {
  return ended(server, await Promise.all(Array.from({ length: count }, () => begin(server, asking(prompt)))));
}

async function ended(server: Server, ids: string[]): Promise<string[]> {
  const ends = await Promise.all(ids.map((id) => end(server, id)));
  const failed = ends.find(({ status }) => status !== "completed");
  if (failed) throw new Error(`A run has not completed: ${JSON.stringify(failed)}`);
  return ids;
}

const asking = (prompt: string) => ({ workflow: "bench-quota", input: { prompt } });

const delaysOf = async (server: Server, id: string): Promise<number> =>
  (await ask<{ data: { type: string }[] }>(server, `/api/v2/runs/${id}/events?limit=200`)).data.filter(
    ({ type }) => type === "wait.started",
  ).length;

async function untilAsked(databaseUrl: string, ids: string[]): Promise<void> {
  for (let asked = 0; asked < ids.length; await new Promise((again) => setTimeout(again, 500))) {
    const [row] = await queryOnce<{ count: string }>(
      databaseUrl,
      `SELECT count(DISTINCT run_id) FROM (SELECT run_id FROM events WHERE type = 'wait.started' UNION SELECT run_id FROM model_calls) AS asked
       WHERE run_id = ANY($1)`,
      [ids],
    );
    asked = Number(row!.count);
  }
}

/** From when a call first asked to when it was made; 0 where it had its turn at once. */
async function waitsOf(databaseUrl: string, ids: string[]): Promise<number[]> {
  const rows = await queryOnce<{ ms: string }>(
    databaseUrl,
    `SELECT coalesce(extract(epoch FROM calls.started_at - min(events.time)) * 1000, 0) AS ms
     FROM model_calls AS calls LEFT JOIN events ON events.run_id = calls.run_id AND events.type = 'wait.started'
     WHERE calls.run_id = ANY($1) GROUP BY calls.run_id, calls.started_at`,
    [ids],
  );
  return rows.map(({ ms }) => Number(ms));
}
