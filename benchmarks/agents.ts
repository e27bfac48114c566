import { ask, Refused, type RunAnswer, type Server } from "../cli/api-client.ts";
import { startModelServer } from "../tests/servers/model-server.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { quantile } from "./statistics.ts";
import { withStack, type Log } from "./test-bed.ts";

const turns = 5;
const thinksMs = 2_000;

/** Agents at once, each with 10 steps (5 model calls of 2 s, 5 calls of a tool) and an answer: how many fail, and what lies between two steps. */
export async function measureAgents({ log, runs = 100 }: { log: Log; runs: number | undefined }): Promise<Figure[]> {
  const model = await startModelServer();
  model.answerWith(({ body }) => {
    const turn = body.messages.filter(({ role }) => role === "assistant").length;
    if (turn >= turns) return { text: "done" };
    return { toolCalls: [{ id: `c${turn}`, name: "bench_noop", arguments: {} }], delayMs: thinksMs };
  });
  try {
    return await withStack({ log, env: { OPENAI_BASE_URL: `${model.url}/v1` } }, async ({ apiUrl: url, apiKey, databaseUrl }) => {
      const server = { url, apiKey };
      const step = { id: "work", type: "agent", model: "openai/bench", prompt: "Work.", tools: ["bench.noop"] };
      await post(server, "/api/v2/workflows", { name: "bench-agents", version: "1.0.0", steps: [step] });
      await finish(server, 5);
      log(`agents: ${runs} at once`);
      const startedAt = performance.now();
      const ids = await Promise.all(Array.from({ length: runs }, () => begin(server)));
      const ends = await Promise.all(ids.map((id) => end(server, id)));
      const seconds = (performance.now() - startedAt) / 1_000;
      const failed = ends.filter(({ status, output }) => status !== "completed" || output !== "done").length;
      const gaps = await gapsOf(databaseUrl, ids);
      return [
        figure("agents: at once", { value: runs, unit: "runs" }),
        figure("agents: failed", { value: (failed / runs) * 100, unit: "%", demand: 0.1 }),
        figure("agents: time; their model alone takes 10 s", { value: seconds, unit: "s" }),
        figure("agents: between two steps, p50", { value: quantile(gaps, 0.5), unit: "ms" }),
        figure("agents: between two steps, p95", { value: quantile(gaps, 0.95), unit: "ms", demand: 200 }),
      ];
    });
  } finally {
    await model.close();
  }
}

const post = <Answer>(server: Server, path: string, body: unknown): Promise<Answer> =>
  ask<Answer>(server, path, { method: "POST", body: JSON.stringify(body) });

const finish = async (server: Server, count: number): Promise<void> => {
  const ids = await Promise.all(Array.from({ length: count }, () => begin(server)));
  await Promise.all(ids.map((id) => end(server, id)));
};

/** As clients should: again when the API says that it is busy. */
async function begin(server: Server): Promise<string> {
  for (;;) {
    try {
      return (await post<RunAnswer>(server, "/api/v2/runs", { workflow: "bench-agents" })).id;
    } catch (error) {
      if (!(error instanceof Refused) || error.problem.code !== "unavailable") throw error;
      await new Promise((later) => setTimeout(later, 200));
    }
  }
}

async function end(server: Server, id: string): Promise<RunAnswer> {
  for (;;) {
    const run = await ask<RunAnswer>(server, `/api/v2/runs/${id}?wait=60`);
    if (run.status !== "running") return run;
  }
}

/** From the end of a model call or of a tool's call to the start of the next. */
async function gapsOf(databaseUrl: string, ids: string[]): Promise<number[]> {
  const rows = await queryOnce<{ ms: string | null }>(
    databaseUrl,
    `SELECT extract(epoch FROM started_at - lag(ended_at) OVER (PARTITION BY run_id ORDER BY started_at)) * 1000 AS ms
     FROM steps WHERE run_id = ANY($1) AND type IN ('think', 'call', 'tool')`,
    [ids],
  );
  return rows.flatMap(({ ms }) => (ms === null ? [] : [Number(ms)]));
}
