import { ask, type Server } from "../cli/api-client.ts";
import { queryOnce } from "./database.ts";
import { figure } from "./demand.ts";
import type { Figure } from "./figure.ts";
import { quantile } from "./statistics.ts";
import { fill, storedWorkflow } from "./stored-rows.ts";
import { withStack, type Log } from "./test-bed.ts";

const demandMs = 50;
const callsEach = 200;

/**
 * What the API answers in when much is stored. One request at a time, no worker: rows that say "running" are not in
 * Temporal, and reconcile would end them.
 */
export const measureStored = ({ log, runs = 100_000 }: { log: Log; runs: number | undefined }): Promise<Figure[]> =>
  withStack({ log, only: ["temporal", "postgres", "redis", "api"] }, async ({ apiUrl: url, apiKey, databaseUrl }) => {
    const server = { url, apiKey };
    log("stored: filling the tables …");
    const stored = await fill(databaseUrl, runs);
    log(`stored: ${stored.runs.toLocaleString("en")} runs, ${stored.events.toLocaleString("en")} events`);
    const definition = { name: storedWorkflow, version: "1.0.0", steps: [{ id: "told", type: "listen", one: { event: "go" } }] };
    await ask(server, "/api/v2/workflows", { method: "POST", body: JSON.stringify(definition) });
    const figures: Figure[] = [];
    for (const [name, call] of Object.entries(await callsOn(server, databaseUrl))) {
      log(`stored: ${name}`);
      figures.push(figure(`stored.${name}.p95`, { value: quantile(await timesOf(call), 0.95), unit: "ms", demand: demandMs }));
    }
    return figures;
  });

type Call = (n: number) => Promise<unknown>;

async function timesOf(call: Call): Promise<number[]> {
  const times: number[] = [];
  for (let n = -5; n < callsEach; n++) {
    const startedAt = performance.now();
    await call(Math.abs(n));
    if (n >= 0) times.push(performance.now() - startedAt);
  }
  return times;
}

async function callsOn(server: Server, databaseUrl: string): Promise<Record<string, Call>> {
  const runs = await someOf(databaseUrl, "SELECT id FROM runs WHERE id LIKE 'r\\_%' ORDER BY md5(id) LIMIT $1");
  const parents = await someOf(databaseUrl, "SELECT DISTINCT parent_id AS id FROM runs WHERE parent_id IS NOT NULL LIMIT $1");
  const approvals = await someOf(databaseUrl, "SELECT id FROM approvals ORDER BY md5(id) LIMIT $1");
  const pick = (list: string[], n: number) => list[n % list.length]!;
  const get = (path: (n: number) => string) => (n: number) => ask(server, `/api/v2${path(n)}`);
  const list = (query: (n: number) => string) => get((n) => `/runs?${query(n)}`);
  return {
    "POST /runs": (n) =>
      ask(server, "/api/v2/runs", { method: "POST", body: JSON.stringify({ workflow: storedWorkflow, input: { order: n } }) }),
    "GET /runs/{id}": get((n) => `/runs/${pick(runs, n)}`),
    "GET /runs/{id}/events": get((n) => `/runs/${pick(runs, n)}/events`),
    "GET /runs/{id}/steps": get((n) => `/runs/${pick(runs, n)}/steps`),
    "GET /runs/{id}/steps/{path}": get((n) => `/runs/${pick(runs, n)}/steps/step${1 + (n % 4)}`),
    "GET /runs": list(() => ""),
    "GET /runs, 200 rows": list(() => "limit=200"),
    "GET /runs?cursor, any page": deep(server),
    "GET /runs?status": list((n) => `status=${["waiting", "failed", "completed", "needs_attention"][n % 4]}`),
    "GET /runs?workflow": list((n) => `workflow=flow-${n % 12}`),
    "GET /runs?version": list((n) => `version=${1 + (n % 4)}.0.0`),
    "GET /runs?workflow&version": list((n) => `workflow=flow-${n % 12}&version=${1 + (n % 3)}.0.0`),
    "GET /runs?workflow&status": list((n) => `workflow=flow-${n % 12}&status=${["waiting", "failed", "timed_out"][n % 3]}`),
    "GET /runs?parentId": list((n) => `parentId=${pick(parents, n)}`),
    "GET /runs?startedAfter&startedBefore": list((n) => `startedAfter=${daysAgo(29 - (n % 28))}&startedBefore=${daysAgo(28 - (n % 28))}`),
    "GET /runs, all filters": list(
      (n) => `workflow=flow-${n % 12}&version=2.0.0&status=canceled&startedAfter=${daysAgo(30)}&startedBefore=${daysAgo(n % 28)}`,
    ),
    "GET /approvals": get(() => "/approvals"),
    "GET /approvals?status": get((n) => `/approvals?status=${["pending", "rejected", "expired"][n % 3]}`),
    "GET /approvals?runId": get((n) => `/approvals?runId=${pick(runs, n)}`),
    "GET /approvals/{id}": get((n) => `/approvals/${pick(approvals, n)}`),
    "GET /workflows": get(() => "/workflows"),
  };
}

/** Page after page, from wherever the last call stopped; each begins far from the start of the list. */
function deep(server: Server): Call {
  let next = Buffer.from(JSON.stringify([Date.parse(daysAgo(20)), ""])).toString("base64url");
  return async () => {
    const { page } = await ask<{ page: { next: string } }>(server, `/api/v2/runs?cursor=${next}`);
    next = page.next;
  };
}

const someOf = async (databaseUrl: string, sql: string): Promise<string[]> =>
  (await queryOnce<{ id: string }>(databaseUrl, sql, [callsEach])).map(({ id }) => id);

const daysAgo = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString();
