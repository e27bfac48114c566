import { z } from "zod";
import { modelCallPageSchema, runUsageSchema, usagePageSchema } from "../contracts/usage.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { Prisma } from "../prisma/client.ts";
import { decodeCursor, encodeCursor, pageOf } from "./cursor.ts";
import { instant } from "../contracts/instant.schema.ts";
import { pageQuery, runParams } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { jsonOf, seeRun } from "./run-view.ts";

const groups = ["agent", "model", "day"] as const;
type Group = (typeof groups)[number];

const usageQuery = pageQuery.extend({
  groupBy: z
    .string()
    .default("model")
    .transform((text) => text.split(","))
    .pipe(z.array(z.enum(groups)).min(1).max(groups.length))
    .meta({ description: "Any of `agent`, `model`, `day`, by commas.", example: "model,day" }),
  from: instant.optional().meta({ description: "Calls that began then or later; 30 days before `to` without it." }),
  to: instant.optional().meta({ description: "Calls that began before; now without it." }),
});

export const usageRoutes = [
  route({
    id: "getRunUsage",
    method: "get",
    path: "/api/v2/runs/{id}/usage",
    summary: "Tokens and cost of a run, and of it with its child runs",
    tag: "Usage",
    scope: "read",
    params: runParams,
    answers: { 200: { description: "The totals.", schema: runUsageSchema } },
    faults: ["not_found"],
    handle: ofRun,
  }),
  route({
    id: "listModelCalls",
    method: "get",
    path: "/api/v2/runs/{id}/model-calls",
    summary: "Every call of a model that a run has made, newest first",
    description: "Failed, repaired and lost ones too. `open`: under way, or begun by a worker that went away.",
    tag: "Usage",
    scope: "read",
    params: runParams,
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: modelCallPageSchema } },
    faults: ["not_found"],
    handle: calls,
  }),
  route({
    id: "getUsage",
    method: "get",
    path: "/api/v2/usage",
    summary: "Tokens and cost of the tenant's runs, in groups",
    tag: "Usage",
    scope: "read",
    query: usageQuery,
    answers: { 200: { description: "A page.", schema: usagePageSchema } },
    handle: grouped,
  }),
];

type Totals = Record<string, number | null>;

// The unknown price of one call makes the total unknown: a sum of the others would look like the whole bill.
const totals = Prisma.sql`
  count(*) FILTER (WHERE status NOT IN ('cached', 'skipped'))::float8 AS "calls",
  count(*) FILTER (WHERE status = 'open')::float8 AS "openCalls",
  coalesce(sum(input_tokens), 0)::float8 AS "inputTokens",
  coalesce(sum(output_tokens), 0)::float8 AS "outputTokens",
  coalesce(sum(cache_read_tokens), 0)::float8 AS "cacheReadTokens",
  coalesce(sum(cache_write_tokens), 0)::float8 AS "cacheWriteTokens",
  coalesce(sum(reasoning_tokens), 0)::float8 AS "reasoningTokens",
  CASE WHEN bool_or(cost_usd IS NULL AND status <> 'open') THEN NULL ELSE coalesce(sum(cost_usd), 0) END AS "costUsd",
  coalesce(sum(cost_usd), 0) AS "knownCostUsd",
  count(*) FILTER (WHERE cost_usd IS NULL AND status <> 'open')::float8 AS "unpricedCalls"`;

/** Of one run's own calls: what the run itself tells. */
export async function totalsOfRun({ deps, caller }: Call, runId: string): Promise<Totals> {
  const [row] = await deps.database.$queryRaw<Totals[]>`
    SELECT ${totals} FROM model_calls WHERE run_id = ${runId} AND tenant = ${caller.tenant}`;
  return row!;
}

async function ofRun(call: Call<{ id: string }>): Promise<Answer> {
  const { deps, caller } = call;
  const run = await seeRun(call, call.params.id);
  const tree = Prisma.sql`WITH RECURSIVE tree(id, depth) AS (
      SELECT ${run.id}::text, 0
      UNION ALL
      SELECT runs.id, tree.depth + 1 FROM runs JOIN tree ON runs.parent_id = tree.id
      WHERE runs.tenant = ${caller.tenant} AND tree.depth < ${treeDepthMax})`;
  const ofTree = Prisma.sql`FROM model_calls WHERE tenant = ${caller.tenant} AND run_id IN (SELECT id FROM tree)`;
  const [own, [all], models] = await Promise.all([
    totalsOfRun(call, run.id),
    deps.database.$queryRaw<Totals[]>`${tree} SELECT ${totals} ${ofTree}`,
    deps.database.$queryRaw<JsonObject[]>`
      ${tree} SELECT provider || '/' || model AS "model", ${totals} ${ofTree} GROUP BY 1 ORDER BY 1 LIMIT ${limits.pageSizeMax}`,
  ]);
  return ok({ runId: run.id, run: own, tree: all!, models });
}

/** Sub-workflows, and the windows of large lists between them. */
const treeDepthMax = 2 * limits.childDepthMax + 2;

async function calls(call: Call<{ id: string }, z.output<typeof pageQuery>>): Promise<Answer> {
  const { deps, caller, query } = call;
  const run = await seeRun(call, call.params.id);
  const place = decodeCursor(query.cursor, Number.MAX_SAFE_INTEGER);
  const rows = await deps.database.$queryRaw<CallRow[]>`
    SELECT *, extract(epoch FROM started_at)::float8 * 1000 AS "at", ${callKey} AS "key"
    FROM model_calls WHERE run_id = ${run.id} AND tenant = ${caller.tenant} ${place ? olderThan(place) : Prisma.empty}
    ORDER BY started_at DESC, ${callKey} DESC LIMIT ${query.limit + 1}`;
  return ok(pageOf(rows, query.limit, { item: view, cursor: ({ at, key }) => encodeCursor([Math.round(at), key]) }));
}

const callKey = Prisma.sql`(effect_key || '#' || attempt || '#' || lpad(call_index::text, 6, '0')) COLLATE "C"`;

const olderThan = ([at, key]: [number, string]): Prisma.Sql =>
  Prisma.sql`AND (started_at, ${callKey}) < (to_timestamp(${at}::float8 / 1000)::timestamptz(3), ${key}::text)`;

interface CallRow {
  at: number;
  key: string;
  step_path: string;
  attempt: number;
  call_index: number;
  provider: string;
  model: string;
  wanted: string;
  status: string;
  input_tokens: number | null;
  output_tokens: number | null;
  cache_read_tokens: number | null;
  cache_write_tokens: number | null;
  reasoning_tokens: number | null;
  is_estimated: boolean;
  cost_usd: number | null;
  route: Prisma.JsonValue;
  error: Prisma.JsonValue;
  started_at: Date;
  ended_at: Date | null;
}

const view = (row: CallRow): JsonObject => ({
  step: row.step_path,
  attempt: row.attempt,
  index: row.call_index,
  provider: row.provider,
  model: row.model,
  wanted: row.wanted,
  status: row.status,
  inputTokens: row.input_tokens,
  outputTokens: row.output_tokens,
  cacheReadTokens: row.cache_read_tokens,
  cacheWriteTokens: row.cache_write_tokens,
  reasoningTokens: row.reasoning_tokens,
  isEstimated: row.is_estimated,
  costUsd: row.cost_usd,
  route: jsonOf(row.route),
  error: jsonOf(row.error),
  startedAt: row.started_at.toISOString(),
  endedAt: row.ended_at?.toISOString() ?? null,
});

const columns: Record<Group, Prisma.Sql> = {
  agent: Prisma.sql`agent`,
  model: Prisma.sql`provider || '/' || model`,
  day: Prisma.sql`to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')`,
};

async function grouped({ deps, caller, query }: Call<unknown, z.output<typeof usageQuery>>): Promise<Answer> {
  const { from, to } = spanOf(query);
  const by = groups.filter((group) => query.groupBy.includes(group));
  const key = Prisma.sql`jsonb_build_array(${Prisma.join(by.map((group) => columns[group]))})::text COLLATE "C"`;
  const after = decodeCursor(query.cursor, 0)?.[1];
  const rows = await deps.database.$queryRaw<(JsonObject & { key: string })[]>`
    SELECT ${key} AS "key", ${totals} FROM model_calls
    WHERE tenant = ${caller.tenant} AND started_at >= ${from} AND started_at < ${to}
    GROUP BY 1 ${after === undefined ? Prisma.empty : Prisma.sql`HAVING ${key} > ${after}`}
    ORDER BY 1 LIMIT ${query.limit + 1}`;
  const item = ({ key: group, ...sums }: JsonObject & { key: string }): JsonObject => {
    const values = JSON.parse(group) as (string | null)[];
    return { ...Object.fromEntries(by.map((name, index) => [name, values[index] ?? null])), ...sums };
  };
  return ok(pageOf(rows, query.limit, { item, cursor: (row) => encodeCursor([0, row.key]) }));
}

const dayMs = 24 * 60 * 60 * 1_000;

function spanOf({ from, to }: { from?: string | undefined; to?: string | undefined }): { from: Date; to: Date } {
  const end = to === undefined ? new Date() : new Date(to);
  const begin = from === undefined ? new Date(end.getTime() - 30 * dayMs) : new Date(from);
  if (begin >= end) throw new Fault("bad_request", "`from` must lie before `to`.");
  if (end.getTime() - begin.getTime() > limits.usageDaysMax * dayMs)
    throw new Fault("bad_request", `\`from\` and \`to\` may lie ${limits.usageDaysMax} days apart; ask for a shorter time.`);
  return { from: begin, to: end };
}
