import type { Entry, Undo, Usage } from "../contracts/activities.ts";
import type { StepStatus } from "../contracts/events.ts";
import type { Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { LoggedStep } from "../language/ledger.ts";
import type { Database } from "./client.ts";

/** A step of a run's log, without its result. */
export interface RecordedStep extends LoggedStep {
  type: string;
  /** The run that performed it: this one, or the one it was reused from. */
  performedBy: string;
  status: StepStatus;
}

/**
 * All steps of a run in the order of their first event. A reused step stands for the one it was taken from: its status and
 * usage are those of the run that performed it, and "completed" where its output was put in by hand.
 */
export const recordedSteps = (database: Database, run: string): Promise<RecordedStep[]> =>
  database.$queryRaw<RecordedStep[]>`
    SELECT s.path, s.type, coalesce(s.reused_from, s.run_id) AS "performedBy", s.error IS NOT NULL AS "isCaught",
           CASE WHEN s.status <> 'reused' THEN s.status ELSE coalesce(nullif(o.status, 'reused'), 'completed') END AS status,
           u.step IS NOT NULL AS "isUndone"
    FROM steps s
    LEFT JOIN steps o ON s.status = 'reused' AND o.run_id = s.reused_from AND o.path = s.path
    LEFT JOIN (SELECT DISTINCT step FROM events WHERE run_id = ${run} AND type = 'step.compensated') u ON u.step = s.path
    WHERE s.run_id = ${run} ORDER BY s.first_seq, s.path`;

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

/** What was to be undone when the run ended, in the order in which it was done. Also what was undone since. */
export async function undosOf(database: Database, run: string): Promise<Undo[]> {
  const rows = await database.$queryRaw<{ path: string; data: JsonObject }[]>`
    SELECT step AS path, data FROM events WHERE run_id = ${run} AND type = 'compensation.registered' ORDER BY seq`;
  const undos = rows.map(({ path, data: { attempt, names, steps } }) => ({ path, attempt, names, steps }) as Undo);
  return undos.filter(({ path }, index) => undos.findLastIndex((other) => other.path === path) === index);
}

/** The child run of each `workflow` step, the latest where there were several. */
export async function childrenOf(database: Database, run: string): Promise<Map<string, string>> {
  const rows = await database.$queryRaw<{ step: string; child: string }[]>`
    SELECT step, data ->> 'runId' AS child FROM events
    WHERE run_id = ${run} AND type IN ('child.started', 'child.kept') ORDER BY seq`;
  return new Map(rows.map(({ step, child }) => [step, child]));
}
