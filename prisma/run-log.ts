import type { Entry, Undo, Usage } from "../contracts/activities.ts";
import type { StepStatus } from "../contracts/events.ts";
import type { Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { isWindow } from "../contracts/ids.ts";
import type { LoggedStep } from "../language/ledger.ts";
import type { Database } from "./client.ts";

/** A step of a run's log, without its result. */
export interface RecordedStep extends LoggedStep {
  run: string;
  type: string;
  /** The run that performed it: this one, or the one it was reused from. */
  performedBy: string;
  status: StepStatus;
}

/** A run's log, together with those of its windows: children that do items of a `foreach` at the same step paths. */
export interface RunLog {
  /** The run itself and its windows, at every depth. */
  runs: string[];
  steps: RecordedStep[];
  /** The child run of each `workflow` step and of each window, the latest where there were several. */
  children: Map<string, string>;
  /** Of a window: the `foreach` whose items it does. */
  part?: string;
  /** These, and the runs that a window is part of: what windows did is undone there. */
  undoneIn: string[];
}

export async function logOf(database: Database, run: { id: string; parentId: string | null }): Promise<RunLog> {
  const children = await childrenOf(database, run.id);
  const runs = [run.id];
  for (let found = windowsIn(children); found.length > 0;) {
    runs.push(...found);
    found = (await Promise.all(found.map(async (id) => windowsIn(await childrenOf(database, id))))).flat();
  }
  const above = await aboveOf(database, run);
  const [around] = above;
  const part = around?.path.slice(0, around.path.lastIndexOf("["));
  const undoneIn = [...runs, ...above.map(({ id }) => id)];
  const steps = await recordedSteps(database, runs, undoneIn);
  return { runs, steps, children, undoneIn, ...(part === undefined ? {} : { part }) };
}

const windowsIn = (children: Map<string, string>): string[] => [...children].filter(([path]) => isWindow(path)).map(([, id]) => id);

/** The runs a window is part of, the nearest first, each with the window's path. What windows did is undone there. */
async function aboveOf(database: Database, run: { id: string; parentId: string | null }): Promise<{ id: string; path: string }[]> {
  if (run.parentId === null) return [];
  const siblings = await childrenOf(database, run.parentId);
  const [path] = [...siblings].find(([of, id]) => id === run.id && isWindow(of)) ?? [];
  if (path === undefined) return [];
  const parent = await database.run.findUnique({ where: { id: run.parentId }, select: { id: true, parentId: true } });
  return parent ? [{ id: parent.id, path }, ...(await aboveOf(database, parent))] : [];
}

/**
 * All steps of these runs in the order of their first event. A reused step stands for the one it was taken from: its status and
 * usage are those of the run that performed it, and "completed" where its output was put in by hand.
 */
const recordedSteps = (database: Database, runs: string[], undoneIn: string[]): Promise<RecordedStep[]> =>
  database.$queryRaw<RecordedStep[]>`
    SELECT s.run_id AS run, s.path, s.type, coalesce(s.reused_from, s.run_id) AS "performedBy", s.error IS NOT NULL AS "isCaught",
           CASE WHEN s.status <> 'reused' THEN s.status ELSE coalesce(nullif(o.status, 'reused'), 'completed') END AS status,
           u.step IS NOT NULL AS "isUndone"
    FROM steps s
    LEFT JOIN steps o ON s.status = 'reused' AND o.run_id = s.reused_from AND o.path = s.path
    LEFT JOIN (SELECT DISTINCT step FROM events WHERE run_id = ANY(${undoneIn}) AND type = 'step.compensated') u ON u.step = s.path
    WHERE s.run_id = ANY(${runs}) ORDER BY s.run_id, s.first_seq, s.path`;

/** Finished steps as the ledger has them. What they exported is told apart (`exportsOf`). */
export async function entriesOf(database: Database, run: string, paths: readonly string[]): Promise<Map<string, Entry>> {
  const rows = await database.$queryRaw<{ path: string; status: StepStatus; output: Json; error: Problem | null; usage: Usage | null }[]>`
    SELECT s.path, s.output, s.error, coalesce(s.usage, o.usage) AS usage,
           CASE WHEN s.status <> 'reused' THEN s.status ELSE coalesce(nullif(o.status, 'reused'), 'completed') END AS status
    FROM steps s LEFT JOIN steps o ON s.status = 'reused' AND o.run_id = s.reused_from AND o.path = s.path
    WHERE s.run_id = ${run} AND s.path = ANY(${paths})`;
  return new Map(
    rows.map(({ path, status, output, error, usage }) => [
      path,
      { status, output, exports: {}, ...(error ? { error } : {}), ...(usage ? { usage } : {}) },
    ]),
  );
}

/** Variables that a step set. */
export type Exports = Pick<Entry, "exports" | "lacksExports">;

/** By path: those whose end the walk itself has told. */
export async function exportsOf(database: Database, run: string): Promise<Map<string, Exports>> {
  const rows = await database.$queryRaw<{ step: string; exports: JsonObject; lacks: true | null }[]>`
    SELECT step, data -> 'exports' AS exports, data -> 'lacksExports' AS lacks FROM events
    WHERE run_id = ${run} AND type IN ('step.completed', 'step.reused') AND data ? 'exports' ORDER BY seq`;
  return new Map(rows.map(({ step, exports, lacks }) => [step, { exports, ...(lacks ? { lacksExports: true } : {}) }]));
}

/** Variables that stood in for the Plan's when the run began. */
export async function givenVars(database: Database, run: string): Promise<JsonObject> {
  const [row] = await database.$queryRaw<{ vars: JsonObject | null }[]>`
    SELECT data -> 'vars' AS vars FROM events WHERE run_id = ${run} AND type = 'run.started'`;
  return row?.vars ?? {};
}

/** How often steps of a run were undone: before it began, and since, in it or in the runs that do parts of it. */
export async function timesUndone(database: Database, run: string, undoneIn: string[]): Promise<[path: string, times: number][]> {
  const rows = await database.$queryRaw<{ path: string; times: number }[]>`
    SELECT path, sum(times)::int AS times FROM (
      SELECT step AS path, 1 AS times FROM events WHERE run_id = ANY(${undoneIn}) AND type = 'step.compensated'
      UNION ALL
      SELECT u.key, u.value::int FROM events, jsonb_each_text(data -> 'undone') u
      WHERE run_id = ${run} AND type = 'run.started' AND data ? 'undone'
    ) t GROUP BY path ORDER BY path`;
  return rows.map(({ path, times }) => [path, times]);
}

/** What was to be undone when the runs ended, in the order in which it was done. Also what was undone since. */
export async function undosOf(database: Database, runs: string[]): Promise<Undo[]> {
  const rows = await database.$queryRaw<{ path: string; data: JsonObject }[]>`
    SELECT step AS path, data FROM events WHERE run_id = ANY(${runs}) AND type = 'compensation.registered' ORDER BY time, seq`;
  const last = new Map<string, Undo>();
  for (const { path, data } of rows) {
    const { attempt, names, steps } = data;
    last.delete(path);
    last.set(path, { path, attempt, names, steps } as Undo);
  }
  return [...last.values()];
}

async function childrenOf(database: Database, run: string): Promise<Map<string, string>> {
  const rows = await database.$queryRaw<{ step: string; child: string }[]>`
    SELECT step, data ->> 'runId' AS child FROM events
    WHERE run_id = ${run} AND type IN ('child.started', 'child.kept') ORDER BY seq`;
  return new Map(rows.map(({ step, child }) => [step, child]));
}
