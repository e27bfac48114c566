import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { PrismaPg } from "@prisma/adapter-pg";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { diffSql, migrate } from "../../prisma/migrate.ts";
import { freePorts, startStack, type Stack } from "../../cli/stack.ts";
import { readSettings } from "../../settings.ts";

// Databases of its own on a server of its own: what is compared here must not depend on what other tests did.
let stack: Stack;
let stateDir: string;
let databases = 0;

beforeAll(async () => {
  stateDir = await mkdtemp(path.join(os.tmpdir(), "tenuto-migrations-"));
  const settings = readSettings({ TENUTO_STATE_DIR: stateDir, TENUTO_API_KEY: "a key that nobody uses here" });
  stack = await startStack({ settings, ports: await freePorts(), stateDir, only: ["postgres"], log: () => undefined });
});

afterAll(async () => {
  await stack.stop();
  await rm(stateDir, { recursive: true, force: true });
});

describe("the migrations", () => {
  test("lead to the tables and indexes of the schema", async () => {
    const [migrated, made] = [await newDatabase(), await newDatabase()];
    await migrate(migrated);
    const schema = await readFile(new URL("../../prisma/schema.prisma", import.meta.url), "utf8");
    await query(made, await diffSql(undefined, schema));
    const { functions: _, ...tables } = await catalogue(migrated);
    expect(await catalogue(made)).toMatchObject(tables);
  });

  test("leave nothing behind on the way back, where there is one", async () => {
    const names = (await readdir(own)).filter((name) => /^\d/.test(name)).toSorted();
    for (const [index, name] of names.entries()) {
      const down = await readFile(path.join(own, name, "down.sql"), "utf8").catch(() => undefined);
      if (down === undefined) continue;
      const [before, url] = [await newDatabase(), await newDatabase()];
      await migrate(before, await folder(await scripts(names.slice(0, index))));
      await migrate(url, await folder(await scripts(names.slice(0, index + 1))));
      await query(url, down);
      expect({ name, ...(await catalogue(url)) }).toEqual({ name, ...(await catalogue(before)) });
    }
  });

  test("know the highest version of each workflow that was published before", async () => {
    const names = (await readdir(own)).filter((name) => /^\d/.test(name)).toSorted();
    const at = names.findIndex((name) => name.endsWith("_latest_definitions"));
    const url = await newDatabase();
    await migrate(url, await folder(await scripts(names.slice(0, at))));
    const ascending =
      "0.9.9 1.0.0-1 1.0.0-2 1.0.0-11 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0 1.2.0 1.10.0";
    const versions = ascending.split(" ");
    const values = versions.flatMap((_, index) =>
      versions.slice(0, index + 1).map((version) => `('t', 'w${index}', '${version}', '', '{}', '{}', 'ada')`),
    );
    await query(url, `INSERT INTO definitions (tenant, name, version, hash, source, plan, published_by) VALUES ${values.join(", ")}`);
    await migrate(url);
    const latest = (await query(url, "SELECT name, version FROM definitions WHERE latest")) as { name: string; version: string }[];
    expect(Object.fromEntries(latest.map(({ name, version }) => [name, version]))).toEqual(
      Object.fromEntries(versions.map((version, index) => [`w${index}`, version])),
    );
  });

  test("are applied once, however many processes start at the same time", async () => {
    const url = await newDatabase();
    const applied = await Promise.all(Array.from({ length: 8 }, () => migrate(url)));
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
    expect(await migrate(url)).toEqual([]);
  });
});

describe("a folder of migrations", () => {
  test("may define SQL functions", async () => {
    const url = await newDatabase();
    await migrate(url, await folder({ one: "CREATE FUNCTION two() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 2; END; $$;" }));
    expect(await query(url, "SELECT two()")).toEqual([{ two: 2 }]);
  });

  test("leaves nothing of a migration that fails, and applies it when it is mended", async () => {
    const url = await newDatabase();
    await expect(migrate(url, await folder({ one: "CREATE TABLE t (id int); SELECT nonsense;" }))).rejects.toThrow(
      "Migration one cannot be applied",
    );
    expect(await migrate(url, await folder({ one: "CREATE TABLE t (id int);" }))).toEqual(["one"]);
  });

  test("is refused when a migration was edited after it was applied", async () => {
    const url = await newDatabase();
    await migrate(url, await folder({ one: "CREATE TABLE t (id int);" }));
    await expect(migrate(url, await folder({ one: "CREATE TABLE t (id bigint);" }))).rejects.toThrow("Migration one was edited");
  });
});

async function newDatabase(): Promise<string> {
  databases += 1;
  await query(stack.databaseUrl, `CREATE DATABASE trial_${databases}`);
  return stack.databaseUrl.replace(/\/tenuto$/, `/trial_${databases}`);
}

async function folder(migrations: Record<string, string>): Promise<string> {
  const dir = await mkdtemp(path.join(stateDir, "migrations-"));
  for (const [name, sql] of Object.entries(migrations)) {
    await mkdir(path.join(dir, name));
    await writeFile(path.join(dir, name, "migration.sql"), sql);
  }
  return dir;
}

const own = path.join(import.meta.dirname, "../../prisma/migrations");

const scripts = async (names: string[]): Promise<Record<string, string>> =>
  Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(path.join(own, name, "migration.sql"), "utf8")] as const)),
  );

async function catalogue(url: string): Promise<Record<string, unknown>> {
  const columns = await query(
    url,
    `SELECT table_name, column_name, data_type, is_nullable, column_default, datetime_precision, udt_name
     FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_prisma_migrations' ORDER BY 1, 2`,
  );
  const indexes = await query(
    url,
    `SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '_prisma_migrations' ORDER BY 1`,
  );
  const constraints = await query(
    url,
    `SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace AND conrelid <> COALESCE(to_regclass('_prisma_migrations'), 0) ORDER BY 1`,
  );
  const functions = await query(url, `SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1`);
  return { columns, indexes, constraints, functions };
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const adapter = await new PrismaPg({ connectionString: url, max: 1 }).connect();
  try {
    const { rows } = await adapter.underlyingDriver().query(sql);
    return rows as unknown[];
  } finally {
    await adapter.dispose();
  }
}
