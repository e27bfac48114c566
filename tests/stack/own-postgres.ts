import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll } from "@jest/globals";
import { freePorts, startStack, type Stack } from "../../cli/stack.ts";
import { openDatabase, type Database } from "../../prisma/client.ts";
import { migrate } from "../../prisma/migrate.ts";
import { readSettings } from "../../settings.ts";

/** A Postgres of a file's own, with our tables: it does there what workers do, as often as it wants. */
export function ownPostgres(use: (database: Database) => unknown, connections?: number): void {
  let stack: Stack | undefined;
  let database: Database | undefined;
  let stateDir = "";

  beforeAll(async () => {
    stateDir = await mkdtemp(path.join(os.tmpdir(), "tenuto-postgres-"));
    const settings = readSettings({ TENUTO_STATE_DIR: stateDir, TENUTO_API_KEY: "a key that nobody uses here" });
    stack = await startStack({ settings, ports: await freePorts(), stateDir, only: ["postgres"], log: () => undefined });
    await migrate(stack.databaseUrl);
    database = openDatabase(stack.databaseUrl, connections);
    use(database);
  });

  afterAll(async () => {
    await database?.$disconnect();
    await stack?.stop();
    await rm(stateDir, { recursive: true, force: true });
  });
}
