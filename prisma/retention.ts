import { limits } from "../contracts/limits.ts";
import { Prisma, type Database } from "./client.ts";

/**
 * Remove what nobody can come back to: effects, settled versions of tools and calls of models, `lineageKeptMs` after the last run has
 * ended that could repeat them; messages, `messagesKeptMs` after they were delivered. Gives the most that was removed of one kind, which is
 * `forgottenRowsMax` when there may be more.
 */
export async function removeOld(database: Database, now = Date.now()): Promise<number> {
  const [lineages, messages] = [limits.lineageKeptMs, limits.messagesKeptMs].map((keptMs) => new Date(now - keptMs)) as [Date, Date];
  let most = await removeMessages(database, messages);
  for (const table of ofLineages) most = Math.max(most, await removeOfLineages(database, table, lineages));
  return most;
}

interface Table {
  name: Prisma.Sql;
  writtenAt: Prisma.Sql;
  /** Of the idempotency keys. */
  root: Prisma.Sql;
}

const ofLineages: Table[] = [
  { name: Prisma.sql`effects`, writtenAt: Prisma.sql`opened_at`, root: Prisma.sql`split_part(key, ':', 1)` },
  { name: Prisma.sql`model_calls`, writtenAt: Prisma.sql`started_at`, root: Prisma.sql`effect_root` },
  { name: Prisma.sql`tool_pins`, writtenAt: Prisma.sql`settled_at`, root: Prisma.sql`root` },
];

/** A lineage: the run at the top of a root, its children, its retries and forks, and theirs. Who goes on from one of them may ask for what it has done. */
async function removeOfLineages(database: Database, { name, writtenAt, root }: Table, before: Date): Promise<number> {
  const found = await database.$queryRaw<{ root: string }[]>`
    SELECT root FROM (SELECT DISTINCT ${root} AS root FROM ${name} WHERE ${writtenAt} < ${before}) old WHERE NOT EXISTS (
      WITH RECURSIVE lineage(id, ended_at) AS (
        SELECT id, ended_at FROM runs WHERE id = split_part(old.root, '.', 1)
        UNION
        SELECT runs.id, runs.ended_at FROM lineage JOIN runs ON runs.parent_id = lineage.id OR runs.retry_of = lineage.id OR runs.fork_of = lineage.id)
      SELECT FROM lineage WHERE ended_at IS NULL OR ended_at > ${before})
    LIMIT ${limits.forgottenLineagesMax}`;
  if (found.length === 0) return 0;
  const removed = await database.$executeRaw`
    DELETE FROM ${name} WHERE ctid = ANY(ARRAY(
      SELECT ctid FROM ${name} WHERE ${writtenAt} < ${before} AND ${root} = ANY(${found.map((each) => each.root)}) LIMIT ${limits.forgottenRowsMax}))`;
  return found.length < limits.forgottenLineagesMax ? removed : limits.forgottenRowsMax;
}

/** Without those that are on their way or at work: what an agent has got, and what was not an answer, waits in its mailbox. */
const removeMessages = (database: Database, before: Date): Promise<number> => database.$executeRaw`
  DELETE FROM agent_messages WHERE id IN (
    SELECT message.id FROM agent_messages message WHERE created_at < ${before} AND NOT EXISTS (
      SELECT FROM message_deliveries delivery WHERE message_id = message.id AND (
        coalesce(ended_at, delivered_at, delivery.created_at) >= ${before} OR status IN ('accepted', 'working')
        OR (status = 'delivered' AND recipient_kind = 'agent' AND reply_to IS NULL)))
    LIMIT ${limits.forgottenRowsMax})`;
