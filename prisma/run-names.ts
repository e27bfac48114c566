import { limits } from "../contracts/limits.ts";
import { Prisma, type Database } from "./client.ts";

/** By what a run can be told from another in values of its own: `run.id` and `run.startedAt`. */
export interface RunName {
  id: string;
  startedAt?: string;
}

/** Of each of these runs its names, then those of its parent and so on up to the run that nobody has started. */
export async function namesOf(database: Database, tenant: string, runs: string[]): Promise<Map<string, RunName[]>> {
  const ids = [...new Set([...runs, ...runs.map(topOf)])];
  const rows = await database.$queryRaw<{ of: string; id: string; startedAt: Date }[]>`
    WITH RECURSIVE above(of, id, parent_id, started_at, depth) AS (
      SELECT id, id, parent_id, started_at, 0 FROM runs WHERE tenant = ${tenant} AND id IN (${Prisma.join(ids)})
      UNION ALL
      SELECT a.of, r.id, r.parent_id, r.started_at, a.depth + 1
      FROM above a JOIN runs r ON r.id = a.parent_id AND r.tenant = ${tenant} WHERE a.depth < ${DEPTH_MAX})
    SELECT of, id, started_at AS "startedAt" FROM above ORDER BY depth`;
  const chainOf = (run: string): RunName[] =>
    rows.filter((row) => row.of === run).map(({ id, startedAt }) => ({ id, startedAt: startedAt.toISOString() }));
  return new Map(
    runs.map((run) => {
      const chain = chainOf(run);
      // One that has recorded nothing yet.
      if (chain.length === 0) chain.push({ id: run });
      return [run, chain.at(-1)!.id === topOf(run) ? chain : [...chain, ...chainOf(topOf(run))]];
    }),
  );
}

/** Sub-workflows, each of them in windows of windows. */
const DEPTH_MAX = 3 * limits.childDepthMax;

/** A child's id begins with that of the run at the top. */
const topOf = (run: string): string => run.split(".", 1)[0]!;
