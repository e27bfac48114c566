import { randomUUID } from "node:crypto";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { Meaning } from "../contracts/messages.ts";
import { audit } from "./audit.ts";
import { Prisma, type Database } from "./client.ts";
import { storable } from "./storable.ts";
import { byMeaning } from "./vectors.ts";

/** Whose they are: a published agent's, or those of `{workflow}/{step}`. */
export interface MemoryOwner {
  tenant: string;
  agent: string;
}

export interface NewMemory extends MemoryOwner {
  text: string;
  subject?: string | undefined;
  ttlMs: number;
  /** Remembered twice under one key, it is remembered once. */
  key: string;
  runId?: string;
  path?: string;
  /** Absent: whoever started the run. */
  writtenBy?: string;
  requestId?: string;
}

export interface Memory {
  id: string;
  subject: string | null;
  text: string;
  runId: string | null;
  path: string | null;
  writtenBy: string;
  writtenAt: Date;
  expiresAt: Date;
}

export interface FoundMemory extends Memory {
  /** How well it fits, above 0. */
  rank: number;
}

/** Fault `limit` when the agent remembers as much as it may. */
export async function remember(database: Database, memory: NewMemory): Promise<Memory> {
  const { tenant, agent, key } = memory;
  return database.$transaction(async (transaction) => {
    await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`memories ${tenant}/${agent}`}, 0))`;
    const known = await transaction.memory.findUnique({ where: { tenant_key: { tenant, key } } });
    if (known) return known;
    await transaction.$executeRaw`DELETE FROM memories WHERE tenant = ${tenant} AND agent = ${agent} AND expires_at <= now()`;
    if ((await transaction.memory.count({ where: { tenant, agent } })) >= limits.memoriesMax)
      throw new Fault("limit", `${agent} remembers ${limits.memoriesMax} things, which is all it may: forget some, or let them expire.`);
    const row = await insert(transaction, memory);
    await audit(transaction, entryOf(memory, "memory.written", { id: row.id, subject: row.subject }, row.writtenBy));
    return row;
  });
}

async function insert(transaction: Prisma.TransactionClient, memory: NewMemory): Promise<Memory> {
  const { tenant, agent, key, ttlMs, runId = null, path = null, writtenBy = null } = memory;
  const text = storable(memory.text);
  const subject = memory.subject === undefined ? null : storable(memory.subject);
  const id = `m_${randomUUID().replaceAll("-", "")}`;
  const expiresAt = new Date(Date.now() + ttlMs);
  await transaction.$executeRaw`
    INSERT INTO memories (id, tenant, agent, subject, text, words, key, run_id, path, written_by, expires_at)
    VALUES (${id}, ${tenant}, ${agent}, ${subject}, ${text}, to_tsvector('english', ${text}), ${key}, ${runId}, ${path},
      coalesce(${writtenBy}, (SELECT started_by FROM runs WHERE id = ${runId} AND tenant = ${tenant}), ''), ${expiresAt})`;
  return transaction.memory.findUniqueOrThrow({ where: { id } });
}

export interface MemoryFilter extends MemoryOwner {
  subject?: string | undefined;
  /** With a subject: also what is about nobody in particular. */
  andGeneral?: true;
}

/**
 * What shares words with the text (full-text search with English word forms; other words count as they are written) and what is near to
 * its meaning, where that is known: two lists, ranked together by their places in them. Best first.
 */
export async function searchMemories(
  database: Database,
  filter: MemoryFilter,
  { text, meaning, max }: MemoryQuery,
): Promise<FoundMemory[]> {
  const { tenant, agent, subject, andGeneral = false } = filter;
  const about = subject === undefined ? Prisma.sql`true` : Prisma.sql`(subject = ${subject} OR (${andGeneral} AND subject IS NULL))`;
  const mine = Prisma.sql`tenant = ${tenant} AND agent = ${agent} AND expires_at > now() AND ${about}`;
  return database.$queryRaw<FoundMemory[]>`
    WITH worded AS (${byWords(mine, text)}), meant AS (${meaning ? byMeaning(mine, meaning) : Prisma.sql`SELECT * FROM worded WHERE false`})
    SELECT id, subject, text, run_id AS "runId", path, written_by AS "writtenBy", written_at AS "writtenAt", expires_at AS "expiresAt",
      (${rankAt("worded")} + ${rankAt("meant")})::float8 AS rank
    FROM worded FULL JOIN meant USING (id) JOIN memories USING (id)
    ORDER BY rank DESC, written_at DESC, id LIMIT ${max}`;
}

export interface MemoryQuery {
  text: string;
  /** Absent: by words alone. */
  meaning?: Meaning | undefined;
  max: number;
}

/** Reciprocal rank fusion: places can be added up, measures of words and of meaning cannot. */
const rankAt = (list: "worded" | "meant"): Prisma.Sql =>
  Prisma.sql`coalesce(1.0 / (${limits.memoryRankOffset}::int + ${Prisma.raw(list)}.place), 0)`;

/** `id`, and `place` from 1. Any of its words: a task has many, and no memory holds them all. */
const byWords = (mine: Prisma.Sql, text: string): Prisma.Sql => Prisma.sql`
  SELECT id, row_number() OVER (ORDER BY ts_rank(words, wanted.query) DESC, written_at DESC, id) AS place
  FROM memories,
    (SELECT replace(plainto_tsquery('english', ${storable(text.slice(0, limits.memoryQueryMax))})::text, '&', '|')::tsquery AS query) wanted
  WHERE ${mine} AND words @@ wanted.query ORDER BY place LIMIT ${limits.memoriesRankedMax}`;

export interface Forgetting extends MemoryFilter {
  /** Who wants it forgotten. */
  by: string;
  runId?: string;
  requestId?: string;
}

/** Whether it was there. */
export async function forgetMemory(database: Database, id: string, forgetting: Forgetting): Promise<boolean> {
  const { tenant, agent, subject } = forgetting;
  return database.$transaction(async (transaction) => {
    const { count } = await transaction.memory.deleteMany({ where: { id, tenant, agent, ...(subject === undefined ? {} : { subject }) } });
    if (count > 0) await audit(transaction, entryOf(forgetting, "memory.forgotten", { id }, forgetting.by));
    return count > 0;
  });
}

/** All of an agent, or those about a subject. Gives how many there were. */
export async function purgeMemories(database: Database, forgetting: Forgetting): Promise<number> {
  const { tenant, agent, subject } = forgetting;
  return database.$transaction(async (transaction) => {
    const { count } = await transaction.memory.deleteMany({ where: { tenant, agent, ...(subject === undefined ? {} : { subject }) } });
    await audit(transaction, entryOf(forgetting, "memory.purged", { count, subject: subject ?? null }, forgetting.by));
    return count;
  });
}

/** What has expired is found by nobody; here it goes, for all tenants. */
export const removeExpiredMemories = (database: Database): Promise<number> => database.$executeRaw`
  DELETE FROM memories WHERE id IN (SELECT id FROM memories WHERE expires_at <= now() LIMIT ${limits.memoriesExpiredMax})`;

interface Told extends MemoryOwner {
  runId?: string;
  requestId?: string;
}

const entryOf = (
  { tenant, agent, runId, requestId }: Told,
  action: string,
  data: Record<string, string | number | null>,
  actor: string,
) => ({
  tenant,
  actor,
  action,
  object: agent,
  data: runId === undefined ? data : { ...data, runId },
  ...(requestId === undefined ? {} : { requestId }),
});
