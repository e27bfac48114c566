import { limits } from "../contracts/limits.ts";
import type { Meaning } from "../contracts/messages.ts";
import { Prisma, type Database } from "./client.ts";
import type { MemoryOwner } from "./memories.ts";

/** Whether embeddings are kept here. */
export async function hasVectors(database: Database): Promise<boolean> {
  const [row] = await database.$queryRaw<{ has: boolean }[]>`SELECT to_regclass('memory_vectors') IS NOT NULL AS has`;
  return row!.has;
}

/**
 * Keep embeddings, if this server can compare them; gives whether it can. They lie in a table of their own, of the type that the extension
 * pgvector brings. No migration makes it: a server without the extension must do as well, and may have it tomorrow.
 */
export async function takeUpVectors(database: Database): Promise<boolean> {
  if (await hasVectors(database)) return true;
  const state = await vectorState(database);
  if (!state.isKnown && !state.isAvailable) return false;
  try {
    await database.$transaction(async (transaction) => {
      if (!state.isKnown) await transaction.$executeRaw`CREATE EXTENSION vector`;
      await transaction.$executeRaw`
        CREATE TABLE memory_vectors (memory_id text PRIMARY KEY REFERENCES memories (id) ON DELETE CASCADE, size integer NOT NULL,
          embedding vector NOT NULL)`;
      // Those of a table that was lost are to be made again.
      await transaction.$executeRaw`UPDATE memories SET embedded_by = NULL WHERE embedded_by IS NOT NULL`;
    });
  } catch {
    // This role may not (`whyNoVectors` says so), or another worker was faster.
  }
  return hasVectors(database);
}

interface VectorState {
  /** The type is there. */
  isKnown: boolean;
  /** The server has the extension. */
  isAvailable: boolean;
  /** Where the extension was made. */
  schema: string | null;
  role: string;
  mayExtend: boolean;
  mayMakeTables: boolean;
}

/** Why embeddings cannot be kept here, and what helps; undefined when nothing is in the way. */
export async function whyNoVectors(database: Database): Promise<{ why: string; mend: string } | undefined> {
  const { isKnown, isAvailable, schema, role, mayExtend, mayMakeTables } = await vectorState(database);
  if (isKnown && mayMakeTables) return undefined;
  if (isKnown) return { why: `the role ${role} may make no tables`, mend: "Let workers use the role that migrates." };
  if (schema !== null)
    return {
      why: `pgvector lies in the schema ${schema}, where ${role} does not look`,
      mend: `Say: ALTER ROLE ${role} SET search_path = public, ${schema}`,
    };
  if (isAvailable && mayExtend) return undefined;
  if (isAvailable)
    return {
      why: `the role ${role} may not make the extension pgvector`,
      mend: "Let an administrator say in this database: CREATE EXTENSION vector",
    };
  return { why: "the Postgres server has no pgvector", mend: "Install it there, or set DATABASE_URL to a server that has it." };
}

async function vectorState(database: Database): Promise<VectorState> {
  const [state] = await database.$queryRaw<VectorState[]>`
    SELECT to_regtype('vector') IS NOT NULL AS "isKnown", current_user::text AS "role",
      EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') AS "isAvailable",
      (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector') AS "schema",
      coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS "mayMakeTables",
      current_setting('is_superuser')::bool OR has_database_privilege(current_database(), 'CREATE')
        AND EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'vector' AND trusted) AS "mayExtend"`;
  return state!;
}

/** Whether a search by meaning has anything to compare with: of this model, or of any. */
export async function hasEmbedded(database: Database, { tenant, agent }: MemoryOwner, model?: string): Promise<boolean> {
  const by = model === undefined ? Prisma.sql`embedded_by IS NOT NULL` : Prisma.sql`embedded_by = ${model}`;
  const [row] = await database.$queryRaw<{ has: boolean }[]>`
    SELECT to_regclass('memory_vectors') IS NOT NULL AND EXISTS (
      SELECT FROM memories WHERE tenant = ${tenant} AND agent = ${agent} AND expires_at > now() AND ${by}) AS has`;
  return row!.has;
}

export interface Unembedded extends MemoryOwner {
  id: string;
  text: string;
  /** How often it was tried, this time included. */
  tries: number;
}

/**
 * Memories that this model has yet to embed; nobody else gets them before the time at which they are to be tried again. So there is nothing to
 * undo when the attempt fails, or its worker dies.
 */
export const claimUnembedded = (database: Database, model: string, { max, id }: { max: number; id?: string }): Promise<Unembedded[]> =>
  database.$queryRaw<Unembedded[]>`
    UPDATE memories SET embed_tries = embed_tries + 1, embed_at = now() +
      least(${limits.embedAgainMaxMs}, ${limits.embedAgainMs} * 2 ^ least(embed_tries, 20)) * interval '1 ms'
    WHERE id IN (
      SELECT id FROM memories
      WHERE (embedded_by IS NULL OR embedded_by < ${model} OR embedded_by > ${model}) AND embed_at <= now() AND expires_at > now()
        AND ${id === undefined ? Prisma.sql`true` : Prisma.sql`id = ${id}`}
      ORDER BY embed_at LIMIT ${max} FOR UPDATE SKIP LOCKED)
    RETURNING id, tenant, agent, text, embed_tries AS "tries"`;

/** In place of another model's. One that was forgotten meanwhile stays forgotten. */
export async function keepEmbedding(transaction: Prisma.TransactionClient, id: string, { model, vector }: Meaning): Promise<void> {
  const isThere = await transaction.$executeRaw`UPDATE memories SET embedded_by = ${model}, embed_at = now() WHERE id = ${id}`;
  if (isThere === 0) return;
  await transaction.$executeRaw`
    INSERT INTO memory_vectors (memory_id, size, embedding) VALUES (${id}, ${vector.length}, ${asVector(vector)})
    ON CONFLICT (memory_id) DO UPDATE SET size = excluded.size, embedding = excluded.embedding`;
}

/** The memories that `mine` selects, by how near they are to what is meant: `id` and `place` from 1. Lengths that differ are never compared. */
export const byMeaning = (mine: Prisma.Sql, { model, vector }: Meaning): Prisma.Sql => Prisma.sql`
  SELECT id, row_number() OVER (ORDER BY distance, written_at DESC, id) AS place
  FROM (
    SELECT id, written_at, CASE WHEN size = ${vector.length} THEN embedding <=> ${asVector(vector)} END AS distance
    FROM memories JOIN memory_vectors ON memory_id = id WHERE ${mine} AND embedded_by = ${model} OFFSET 0) AS compared
  WHERE distance <= ${1 - limits.memoryLikenessMin} ORDER BY place LIMIT ${limits.memoriesRankedMax}`;

const asVector = (vector: readonly number[]): Prisma.Sql => Prisma.sql`${`{${vector.join(",")}}`}::real[]::vector`;
