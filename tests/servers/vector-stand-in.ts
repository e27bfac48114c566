import type { Database } from "../../prisma/client.ts";

/**
 * Of the extension pgvector what we ask of it, in SQL: a type, and an operator that refuses lengths that differ. Where the server of the tests has the
 * extension itself (`TENUTO_TEST_DATABASE_URL`), that is tested. Gives which of them it is.
 */
export async function provideVectors(database: Database): Promise<"pgvector" | "a stand-in for pgvector"> {
  const found = await database.$queryRaw<object[]>`SELECT 1 FROM pg_available_extensions WHERE name = 'vector'`;
  if (found.length > 0) return "pgvector";
  for (const statement of standIn) await database.$executeRawUnsafe(statement);
  return "a stand-in for pgvector";
}

/** As if the database never had any. */
export async function removeVectors(database: Database): Promise<void> {
  for (const statement of removal) await database.$executeRawUnsafe(statement);
}

const standIn = [
  "CREATE DOMAIN vector AS real[]",
  `CREATE FUNCTION stand_in_distance(a real[], b real[]) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN
    IF cardinality(a) <> cardinality(b) THEN RAISE 'different vector dimensions'; END IF;
    RETURN (SELECT 1 - sum(x * y) / nullif(sqrt(sum(x * x)) * sqrt(sum(y * y)), 0) FROM unnest(a, b) AS pairs (x, y));
  END $$`,
  "CREATE OPERATOR <=> (LEFTARG = real[], RIGHTARG = real[], FUNCTION = stand_in_distance)",
];

const removal = [
  "DROP TABLE IF EXISTS memory_vectors",
  "DROP EXTENSION IF EXISTS vector",
  "DROP OPERATOR IF EXISTS <=> (real[], real[])",
  "DROP FUNCTION IF EXISTS stand_in_distance",
  "DROP DOMAIN IF EXISTS vector",
];
