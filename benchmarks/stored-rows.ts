import { queryOnce } from "./database.ts";

/** How much is in the tables: a run has ten events and four steps, every fifth has asked a person. */
export interface Stored {
  runs: number;
  events: number;
}

export const storedWorkflow = "bench-stored";

/** Rows as a month of work leaves them, written past the platform: 12 workflows of 3 versions after each other, one run in fifty under way. */
export async function fill(databaseUrl: string, runs: number): Promise<Stored> {
  for (const sql of [insertRuns, insertSteps, insertEvents, insertApprovals]) await queryOnce(databaseUrl, sql, [runs]);
  // A table that fills in the course of a month has been looked at by autovacuum.
  await queryOnce(databaseUrl, "VACUUM ANALYZE");
  const [counts] = await queryOnce<{ runs: string; events: string }>(
    databaseUrl,
    `SELECT (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM events) AS events`,
  );
  return { runs: Number(counts!.runs), events: Number(counts!.events) };
}

// The n-th run: its id, its status, its time; newest first is the order of n.
const numbered = `
  SELECT n, 'r_' || left(md5(n::text), 26) AS id,
         (ARRAY['completed','completed','completed','completed','completed','completed','completed','failed','canceled','completed_with_errors'])[1 + chance % 10] AS ended,
         CASE WHEN chance % 100 = 3 THEN 'running' WHEN chance % 100 = 53 THEN 'waiting' END AS active,
         now() - n * interval '30 days' / $1 AS at
  FROM generate_series(1, $1::int) AS n, LATERAL (SELECT abs(hashint4(n)) AS chance) AS dice`;

const insertRuns = `
  INSERT INTO runs (id, tenant, workflow, version, plan_hash, status, parent_id, temporal_run_id, started_by, input, output, error, started_at, ended_at, last_seq)
  SELECT id, 'default', 'flow-' || n % 12, (3 - 3 * (n - 1) / $1) || '.0.0', md5((n % 12)::text), coalesce(active, ended),
         CASE WHEN n % 4 = 0 THEN 'r_' || left(md5((n - n % 40 + 41)::text), 26) END, gen_random_uuid()::text, 'principal-' || n % 7,
         jsonb_build_object('order', n, 'customer', md5(n::text), 'note', repeat('lorem ipsum ', 10)),
         CASE WHEN active IS NULL AND ended <> 'failed' THEN jsonb_build_object('total', n % 977, 'text', repeat('dolor sit ', 12)) END,
         CASE WHEN ended = 'failed' THEN jsonb_build_object('code', 'tool', 'detail', 'The tool said no.') END,
         at, CASE WHEN active IS NULL THEN at + interval '40 seconds' END, 10
  FROM (${numbered}) AS numbered`;

const insertSteps = `
  INSERT INTO steps (run_id, path, tenant, type, status, attempt, output, usage, started_at, ended_at, first_seq)
  SELECT id, 'step' || s, 'default', CASE WHEN s = 2 THEN 'llm' ELSE 'tool' END, 'completed', 1,
         jsonb_build_object('value', md5(id || s), 'text', repeat('amet ', 20)),
         CASE WHEN s = 2 THEN jsonb_build_object('inputTokens', 812, 'outputTokens', 95, 'calls', 1, 'costUsd', 0.0021) END,
         at + s * interval '9 seconds', at + s * interval '9 seconds' + interval '2 seconds', 2 * s
  FROM (${numbered}) AS numbered, generate_series(1, 4) AS s`;

const insertEvents = `
  INSERT INTO events (run_id, seq, tenant, identity, type, time, step, data)
  SELECT id, e, 'default', 'step' || e / 2 || '#1/' || e, CASE WHEN e = 1 THEN 'run.started' WHEN e = 10 THEN 'run.completed' WHEN e % 2 = 0 THEN 'step.started' ELSE 'step.completed' END,
         at + e * interval '4 seconds', CASE WHEN e BETWEEN 2 AND 9 THEN 'step' || e / 2 END,
         jsonb_build_object('type', 'tool', 'attempt', 1, 'durationMs', e * 211, 'output', jsonb_build_object('value', md5(id || e), 'text', repeat('amet ', 12)))
  FROM (${numbered}) AS numbered, generate_series(1, 10) AS e`;

const insertApprovals = `
  INSERT INTO approvals (id, run_id, tenant, step_path, title, payload, assignees, status, asked_at, decided_at, decided_by)
  SELECT id || '~ask', id, 'default', 'ask', 'Pay order ' || n || '?', jsonb_build_object('order', n), ARRAY['role:finance'],
         CASE WHEN n % 100 = 0 THEN 'pending' WHEN n % 3 = 0 THEN 'rejected' ELSE 'approved' END, at + interval '20 seconds',
         CASE WHEN n % 100 <> 0 THEN at + interval '30 seconds' END, CASE WHEN n % 100 <> 0 THEN 'ada' END
  FROM (${numbered}) AS numbered WHERE n % 5 = 0`;
