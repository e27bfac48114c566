import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { PrismaPg } from "@prisma/adapter-pg";
import { diffSql } from "./schema-engine.ts";

export { diffSql } from "./schema-engine.ts";

/**
 * Apply the folder of SQL migrations that a database does not have yet, and give their names.
 *
 * Written into Prisma's own table, so that `prisma migrate deploy` and this agree. Not done by its engine:
 * its Postgres adapter cuts scripts at each `;` (which breaks the body of an SQL function), and a process that
 * dies half-way leaves a row that blocks every later start. Here a script and its row commit together or not at all.
 * Starts at the same time wait for each other (60 s at most).
 */
export async function migrate(databaseUrl: string, migrationsDir = ownMigrations): Promise<string[]> {
  const adapter = await new PrismaPg({ connectionString: databaseUrl, max: 1, connectionTimeoutMillis: 10_000 }).connect();
  const client = await adapter.underlyingDriver().connect();
  try {
    await client.query(`SET lock_timeout = '60s'`);
    await client.query("SELECT pg_advisory_lock($1)", [lockKey]);
    return await applyMissing((sql, values) => client.query(sql, values), await readMigrations(migrationsDir));
  } finally {
    // Closing the session, not handing it back, gives the lock up whatever state it is in.
    client.release(true);
    await adapter.dispose();
  }
}

/**
 * Write the migration that leads from the schema as the migrations left it to the schema of today; its folder's name, or nothing when they are equal.
 * The schema of the last migration is kept beside it: the engine can compare two schemas offline, but cannot read a folder of SQL.
 */
export async function createMigration(name: string, now = new Date()): Promise<string | undefined> {
  const schema = await readFile(path.join(ownRoom, "schema.prisma"), "utf8");
  const last = (await readMigrations(ownMigrations)).at(-1)?.name;
  const before = last === undefined ? undefined : await readFile(path.join(ownMigrations, snapshotName), "utf8");
  const sql = await diffSql(before, schema);
  if (sql === "") return undefined;
  const stamp = now.toISOString().replace(/\D/g, "").slice(0, 14);
  const folder = `${stamp}_${name}`;
  await mkdir(path.join(ownMigrations, folder));
  await writeFile(path.join(ownMigrations, folder, "migration.sql"), sql);
  await writeFile(path.join(ownMigrations, snapshotName), schema);
  return folder;
}

const ownRoom = import.meta.dirname;
const ownMigrations = path.join(ownRoom, "migrations");
const snapshotName = "schema-of-last-migration.prisma";
const lockKey = 72_707_369;

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

type Query = (sql: string, values?: unknown[]) => Promise<{ rows: Record<string, unknown>[] }>;

async function readMigrations(dir: string): Promise<Migration[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.toSorted().map(async (name) => {
      const sql = await readFile(path.join(dir, name, "migration.sql"), "utf8");
      return { name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
    }),
  );
}

async function applyMissing(query: Query, migrations: Migration[]): Promise<string[]> {
  await query(prismaTable);
  const known = await appliedChecksums(query);
  const applied: string[] = [];
  for (const migration of migrations) {
    const before = known.get(migration.name);
    if (before === undefined) {
      await applyOne(query, migration);
      applied.push(migration.name);
    } else if (before !== migration.checksum) {
      throw new Error(`Migration ${migration.name} was edited after it was applied. Undo the edit and write a new migration.`);
    }
  }
  return applied;
}

async function appliedChecksums(query: Query): Promise<Map<string, string>> {
  const { rows } = await query(`SELECT migration_name, checksum, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL`);
  const failed = rows.find((row) => row["finished_at"] === null);
  if (failed)
    throw new Error(`Migration ${String(failed["migration_name"])} failed half-way under another tool: see "prisma migrate resolve".`);
  return new Map(rows.map((row) => [String(row["migration_name"]), String(row["checksum"])]));
}

async function applyOne(query: Query, { name, sql, checksum }: Migration): Promise<void> {
  await query("BEGIN");
  try {
    await query(sql);
    await query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, now(), now(), 1)`,
      [randomUUID(), checksum, name],
    );
    await query("COMMIT");
  } catch (cause) {
    await query("ROLLBACK");
    throw new Error(`Migration ${name} cannot be applied: ${String(cause)}`, { cause });
  }
}

// Word for word what Prisma's engine creates.
const prismaTable = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id                  VARCHAR(36) PRIMARY KEY NOT NULL,
  checksum            VARCHAR(64) NOT NULL,
  finished_at         TIMESTAMPTZ,
  migration_name      VARCHAR(255) NOT NULL,
  logs                TEXT,
  rolled_back_at      TIMESTAMPTZ,
  started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_steps_count INTEGER NOT NULL DEFAULT 0
)`;
