import type { Entry, Undo, Usage } from "../contracts/activities.ts";
import { mergeCounts, type Counts } from "../contracts/counts.ts";
import type { EventType, StepStatus } from "../contracts/events.ts";
import type { Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { isWindow } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import type { LoggedEvent } from "../language/heard.ts";
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
  /** The run itself and its windows, at every depth: of each window the latest run. */
  runs: string[];
  steps: RecordedStep[];
  /** The child run of each `workflow` step and of each window, the latest where there were several. */
  children: Map<string, string>;
  /** Of a window: the `foreach` whose items it does. */
  part?: string;
  /** Paths of its windows, by run. */
  windows: Map<string, string>;
  /** How often steps were undone. */
  undone: Map<string, number>;
  /** Steps that took events, of which the log tells each with its data and its number. */
  heard: Set<string>;
}

/** `undone`: what the run knows that the window is part of. */
export async function logOf(database: Database, run: LoggedRun, undone?: Counts): Promise<RunLog> {
  const [tree, above] = await Promise.all([treeOf(database, [run.id]), aboveOf(database, run)]);
  const [around] = above;
  const part = around === undefined ? undefined : listOf(around.path);
  const counts = await countsIn(database, tree, undone ?? above.map(({ id }) => id));
  const heard = await heardIn(database, tree.latest);
  const steps = (await recordedSteps(database, tree.latest)).map((step) => ({ ...step, isUndone: counts.isUndone(step.path) }));
  const { latest: runs, children, windows } = tree;
  return { runs, steps, children, windows, undone: counts.undone, heard, ...(part === undefined ? {} : { part }) };
}

type LoggedRun = { id: string; parentId: string | null };

const listOf = (window: string): string => window.slice(0, window.lastIndexOf("["));

/** Runs and their windows, at every depth. */
export interface Tree {
  /** Of each window the run that was started for it last, or is kept. */
  latest: string[];
  /** All that were ever started, or are kept. */
  all: string[];
  /** Without those that are kept: what was undone in them, the run that keeps them says itself. */
  own: string[];
  /** Paths of the windows, of those in windows that of the window they are in. */
  windows: Map<string, string>;
  /** Children of the runs themselves. */
  children: Map<string, string>;
}

export async function treeOf(database: Database, runs: string[]): Promise<Tree> {
  const [all, own, latest] = [new Set(runs), new Set(runs), new Set(runs)];
  const paths = new Map<string, string>();
  let children: Map<string, string> | undefined;
  for (let found = runs; found.length > 0;) {
    const rows = await childrenOf(database, found);
    children ??= new Map(rows.map(({ step, child }) => [step, child]));
    const windows = rows.filter(({ step, child }) => isWindow(step) && !all.has(child));
    const last = new Map(windows.map(({ run, step, child }) => [`${run} ${step}`, { run, child }]));
    for (const { run, child } of last.values()) if (latest.has(run)) latest.add(child);
    for (const { run, step, child, isKept } of windows) {
      all.add(child);
      paths.set(child, paths.get(run) ?? step);
      if (own.has(run) && !isKept) own.add(child);
    }
    found = [...new Set(windows.map(({ child }) => child))];
  }
  return { latest: [...latest], all: [...all], own: [...own], windows: paths, children: children ?? new Map() };
}

/** The runs a window is part of, the nearest first, each with the window's path. What windows did is undone there. */
async function aboveOf(database: Database, run: LoggedRun): Promise<{ id: string; path: string }[]> {
  if (run.parentId === null) return [];
  const [row] = await database.$queryRaw<{ step: string }[]>`
    SELECT step FROM events
    WHERE run_id = ${run.parentId} AND type IN ('child.started', 'child.kept') AND data ->> 'runId' = ${run.id} LIMIT 1`;
  if (row === undefined || !isWindow(row.step)) return [];
  const parent = await database.run.findUnique({ where: { id: run.parentId }, select: { id: true, parentId: true } });
  return parent ? [{ id: parent.id, path: row.step }, ...(await aboveOf(database, parent))] : [];
}

/** All runs that the same run has started for the same window. */
export async function sameWindow(database: Database, run: LoggedRun): Promise<string[]> {
  const [around] = await aboveOf(database, run);
  if (around === undefined) return [run.id];
  return (await childrenOf(database, [around.id])).filter(({ step }) => step === around.path).map(({ child }) => child);
}

/**
 * All steps of these runs in the order of their first event. A reused step stands for the one it was taken from: its status and
 * usage are those of the run that performed it, and "completed" where its output was put in by hand.
 */
const recordedSteps = (database: Database, runs: string[]): Promise<Omit<RecordedStep, "isUndone">[]> =>
  database.$queryRaw<Omit<RecordedStep, "isUndone">[]>`
    SELECT s.run_id AS run, s.path, s.type, coalesce(s.reused_from, s.run_id) AS "performedBy", s.error IS NOT NULL AS "isCaught",
           CASE WHEN s.status <> 'reused' THEN s.status ELSE coalesce(nullif(o.status, 'reused'), 'completed') END AS status
    FROM steps s
    LEFT JOIN steps o ON s.status = 'reused' AND o.run_id = s.reused_from AND o.path = s.path
    WHERE s.run_id = ANY(${runs}) ORDER BY s.run_id, s.first_seq, s.path`;

export interface Undone {
  undone: Map<string, number>;
  /** Whether what was done last at the path has been undone since. */
  isUndone: (path: string) => boolean;
}

/**
 * How often steps were undone, as the logs of these runs say it, what they began with included; `above` are the runs that the first is
 * part of, or what they know. Each log says it as it was, so that the greatest is true, whichever run undid the step and however often it
 * is told.
 */
export async function countsIn(database: Database, { all, own }: Tree, above: string[] | Counts): Promise<Undone> {
  const runs = Array.isArray(above) ? [...own, ...above] : own;
  const [done, compensated, begun] = await Promise.all([
    timesIn(database, all, "compensation.registered"),
    timesIn(database, runs, "step.compensated"),
    database.$queryRaw<{ undone: Counts }[]>`
      SELECT data -> 'undone' AS undone FROM events WHERE run_id = ANY(${runs}) AND type = 'run.started' AND data ? 'undone'`,
  ]);
  const undone = mergeCounts([Array.isArray(above) ? {} : above, ...begun.map((row) => row.undone), Object.fromEntries(compensated)]);
  return { undone, isUndone: (path) => (undone.get(path) ?? 0) > (done.get(path) ?? 0) };
}

async function timesIn(database: Database, runs: string[], type: EventType): Promise<Map<string, number>> {
  const rows = await database.$queryRaw<{ step: string; times: number }[]>`
    SELECT step, max((data ->> 'undone')::int) AS times FROM events
    WHERE run_id = ANY(${runs}) AND type = ${type} AND data ? 'undone' GROUP BY step`;
  return new Map(rows.map(({ step, times }) => [step, times]));
}

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

export interface RegisteredUndo {
  run: string;
  undo: Undo;
}

/** What was to be undone when the runs ended, in the order in which it was done. Also what was undone since. */
export async function undosOf(database: Database, runs: string[]): Promise<RegisteredUndo[]> {
  const rows = await database.$queryRaw<{ run: string; path: string; data: JsonObject }[]>`
    SELECT run_id AS run, step AS path, data FROM events
    WHERE run_id = ANY(${runs}) AND type = 'compensation.registered' ORDER BY time, seq`;
  const last = new Map<string, RegisteredUndo>();
  for (const { run, path, data } of rows) {
    const undo = { ...(data as unknown as Undo), path };
    // Of two the one that was done after more undoing is the later, whatever the clocks say.
    if ((last.get(path)?.undo.undone ?? 0) > (undo.undone ?? 0)) continue;
    last.delete(path);
    last.set(path, { run, undo });
  }
  return [...last.values()];
}

/** One whose numbers have a gap, or come twice since it was done again as a whole, has not heard the same. */
async function heardIn(database: Database, runs: string[]): Promise<Set<string>> {
  const rows = await database.$queryRaw<{ step: string }[]>`
    SELECT step FROM (
      SELECT coalesce(step, data ->> 'heardBy') AS step, data ? 'at' AS whole,
             CASE type WHEN 'event.received' THEN split_part(identity, '/', 3)::int END AS number
      FROM events WHERE run_id = ANY(${runs}) AND (type = 'event.received' OR (type = 'event.kept' AND data ? 'heardBy'))) heard
    GROUP BY step HAVING bool_and(whole) AND count(number) = coalesce(max(number) + 1, 0) AND count(DISTINCT number) = count(number)`;
  return new Set(rows.map(({ step }) => step));
}

/** Events that a run got, in the order of its log, without those that one of its windows has heard: these are in the window's. */
export const eventsOf = (database: Database, run: string, windows: readonly string[]): Promise<LoggedEvent[]> =>
  database.$queryRaw`
    SELECT step, data, split_part(identity, '/', 3)::int AS ordinal FROM events e
    WHERE run_id = ${run} AND type IN ('event.kept', 'event.received') AND NOT (type = 'event.kept' AND EXISTS (
      SELECT FROM events h WHERE h.run_id = ANY(${windows}) AND h.type = 'event.received' AND h.data ->> 'id' = e.data ->> 'id'))
    ORDER BY seq`;

/** Errors that `onError: continue` let pass, the first of them. */
export async function letPassIn(database: Database, runs: string[]): Promise<Problem[]> {
  const rows = await database.$queryRaw<{ error: Problem }[]>`
    SELECT data -> 'error' AS error FROM events
    WHERE run_id = ANY(${runs}) AND type = 'step.failed' AND data ? 'letPass' ORDER BY time, seq LIMIT ${limits.passedErrorsMax}`;
  return rows.map(({ error }) => error);
}

const childrenOf = (database: Database, runs: string[]): Promise<{ run: string; step: string; child: string; isKept: boolean }[]> =>
  database.$queryRaw`
    SELECT run_id AS run, step, data ->> 'runId' AS child, type = 'child.kept' AS "isKept" FROM events
    WHERE run_id = ANY(${runs}) AND type IN ('child.started', 'child.kept') ORDER BY run_id, seq`;
