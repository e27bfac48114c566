import { Prisma, type Database } from "./client.ts";

/** The run and the runs that do items of its large `foreach`es, at every depth: to whoever speaks to it they are one. */
const one = (run: string): Prisma.Sql => Prisma.sql`
  WITH RECURSIVE one AS (
    SELECT id FROM runs WHERE id = ${run}
    UNION ALL SELECT r.id FROM runs r JOIN one ON r.parent_id = one.id WHERE r.is_window)`;

/** Where a step waits for a person; undefined when it does nowhere. */
export async function parkedIn(database: Database, run: string, path: string): Promise<string | undefined> {
  const [row] = await database.$queryRaw<{ run: string }[]>`
    ${one(run)} SELECT s.run_id AS run FROM one JOIN runs r USING (id) JOIN steps s ON s.run_id = one.id
    WHERE s.path = ${path} AND s.status = 'needs_attention' ORDER BY r.started_at DESC LIMIT 1`;
  return row?.run;
}

/** Which of them have asked people, those who asked last first. */
export async function askedIn(database: Database, run: string, status: string | undefined): Promise<string[]> {
  const ofStatus = status === undefined ? Prisma.empty : Prisma.sql`WHERE a.status = ${status}`;
  const rows = await database.$queryRaw<{ run: string }[]>`
    ${one(run)} SELECT a.run_id AS run FROM one JOIN approvals a ON a.run_id = one.id ${ofStatus}
    GROUP BY a.run_id ORDER BY max(a.asked_at) DESC LIMIT ${askedMax}`;
  return rows.map((row) => row.run);
}

// One parameter each; a statement takes 32,767.
const askedMax = 30_000;
