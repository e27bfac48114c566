import { mkdtemp } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createSqlTool } from "../../activities/sql-tool.ts";
import { performTool } from "../../activities/tool.ts";
import type { Tool } from "../../activities/tool-registry.ts";
import { freePorts, startStack, type Stack } from "../../cli/stack.ts";
import type { JsonObject } from "../../contracts/json.ts";
import { ReadOnlyDatabase } from "../../prisma/read-only.ts";
import { openDatabase, type Database } from "../../prisma/client.ts";
import { readSettings } from "../../settings.ts";
import { testContext } from "../work-context.ts";

// A Postgres of its own, with something in it.
let stack: Stack;
let database: Database;
let tool: Tool;

beforeAll(async () => {
  const stateDir = await mkdtemp(path.join(os.tmpdir(), "tenuto-sql-"));
  const settings = readSettings({ TENUTO_STATE_DIR: stateDir, TENUTO_API_KEY: "a key that nobody uses here" });
  stack = await startStack({ settings, ports: await freePorts(), stateDir, only: ["postgres"], log: () => undefined });
  database = openDatabase(stack.databaseUrl);
  await database.$executeRawUnsafe(
    "CREATE TABLE orders (id int PRIMARY KEY, customer text, at timestamptz DEFAULT '2026-01-02T03:04:05Z')",
  );
  await database.$executeRawUnsafe("INSERT INTO orders SELECT n, 'c' || n % 3 FROM generate_series(1, 500) n");
  tool = createSqlTool({
    "default/shop": stack.databaseUrl,
    "default/away": "postgres://nobody:geheim@127.0.0.1:1/x",
    "other/bank": stack.databaseUrl,
  });
});

afterAll(async () => {
  await database.$disconnect();
  await stack.stop();
});

const ask = async (query: string, more: JsonObject = {}, context: object = {}) => {
  const given = testContext(context);
  return (await performTool(tool, await tool.parse({ connection: "shop", query, ...more }), given)) as {
    rows: JsonObject[];
    truncated: boolean;
  };
};

const numberOf = async (rows: string): Promise<number> =>
  database.$queryRawUnsafe<{ n: number }[]>(`SELECT count(*)::int AS n FROM ${rows}`).then(([row]) => row!.n);

test("a query gives its rows, with values that never become a part of it", async () => {
  expect(await ask("SELECT id, customer, at FROM orders WHERE customer = $1 AND id < $2 ORDER BY id", { values: ["c1", 5] })).toEqual({
    columns: ["id", "customer", "at"],
    rows: [1, 4].map((id) => ({ id, customer: "c1", at: "2026-01-02T03:04:05.000Z" })),
    truncated: false,
  });
  expect((await ask("SELECT id FROM orders WHERE customer = $1", { values: ["c1' OR '1'='1"] })).rows).toEqual([]);
});

test("a long answer is cut by rows and by bytes", async () => {
  expect(await ask("SELECT id FROM orders ORDER BY id", { max: 150 })).toMatchObject({ truncated: true, rows: { length: 150 } });
  expect(await ask("SELECT id FROM orders", { max: 500 })).toMatchObject({ truncated: false, rows: { length: 500 } });
  const large = await ask("SELECT repeat('x', 100000) AS pad FROM generate_series(1, 1000)");
  expect(large.truncated).toBe(true);
  expect(large.rows.length).toBeLessThan(30);
});

test("an answer that no worker could hold is cut while it comes", async () => {
  const [large, patient] = ["repeat('x', 10000000)", { timeoutMs: 30_000 }];
  await expect(ask(`SELECT ${large} FROM generate_series(1, 1000)`, {}, patient)).rejects.toMatchObject({ code: "limit" });
  const growing = await ask(`SELECT CASE WHEN n = 1 THEN 'a' ELSE ${large} END AS pad FROM generate_series(1, 1000) n`, {}, patient);
  expect(growing).toMatchObject({ rows: [{ pad: "a" }], truncated: true });
});

test("whoever is cancelled while all connections are in use takes none with it", async () => {
  const all = (query: string, timeoutMs: number) => Promise.allSettled(Array.from({ length: 5 }, () => ask(query, {}, { timeoutMs })));
  const statusesOf = (ends: PromiseSettledResult<unknown>[]): string[] => ends.map(({ status }) => status);
  const each = (status: string): string[] => Array.from({ length: 5 }, () => status);
  let busy: ReturnType<typeof all> | undefined;
  await database.$transaction(
    async (holding) => {
      await holding.$executeRaw`LOCK TABLE orders`;
      busy = all("SELECT id FROM orders LIMIT 1", 60_000);
      while ((await numberOf("pg_locks WHERE NOT granted")) < 5) await sleep(10);
      expect(statusesOf(await all("SELECT 1", 100))).toEqual(each("rejected"));
    },
    { timeout: 60_000 },
  );
  expect(statusesOf(await busy!)).toEqual(each("fulfilled"));
  expect(statusesOf(await all("SELECT 1", 30_000))).toEqual(each("fulfilled"));
});

describe("nothing is changed", () => {
  test.each([
    "DELETE FROM orders",
    "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone",
    "SELECT 1; DELETE FROM orders",
    "SELECT id FROM orders; COMMIT; DELETE FROM orders",
    "COMMIT",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT nextval('s')",
    "CREATE TABLE t (id int)",
    "COPY orders TO PROGRAM 'touch /tmp/x'",
    "DO $$ BEGIN DELETE FROM orders; END $$",
    "SELECT lo_create(4711)",
  ])("%s", async (query) => {
    await database.$executeRawUnsafe("CREATE SEQUENCE IF NOT EXISTS s");
    await expect(ask(query)).rejects.toMatchObject({ code: "tool_input" });
    expect(await numberOf("orders")).toBe(500);
  });
});

test("what is wrong with a query is said to whoever wrote it", async () => {
  await expect(ask("SELECT nothing FROM orders")).rejects.toMatchObject({
    code: "tool_input",
    message: expect.stringContaining('"nothing"'),
  });
  expect((await ask("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
});

describe("a query that is given up is ended in the database, too", () => {
  /** Of those who ask, also when they only wait; its own clock may be a moment late. */
  const others = "pg_stat_activity WHERE state <> 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
  const untilNone = async (): Promise<number> => {
    for (const patience = Date.now() + 20_000; (await numberOf(others)) > 0 && Date.now() < patience;) await sleep(20);
    return numberOf(others);
  };

  test("when its time is over", async () => {
    await expect(ask("SELECT pg_sleep(600)", {}, { timeoutMs: 300 })).rejects.toMatchObject({ code: "timeout" });
    expect(await untilNone()).toBe(0);
  });

  test("when its step is cancelled long before", async () => {
    const step = new AbortController();
    const asked = ask("SELECT pg_sleep(600)", {}, { timeoutMs: 600_000, signal: step.signal });
    const ended = expect(asked).rejects.toThrow("canceled");
    while ((await numberOf(`${others} AND query LIKE 'SET LOCAL%FETCH%' AND wait_event = 'PgSleep'`)) === 0) await sleep(10);
    step.abort(new Error("canceled"));
    await ended;
    expect(await untilNone()).toBe(0);
  });

  test("when it has switched the database's own timeout off", async () => {
    const query = "SELECT set_config('statement_timeout', '0', true) UNION ALL SELECT pg_sleep(600)::text";
    await expect(ask(query, {}, { timeoutMs: 1_000 })).rejects.toMatchObject({ code: "timeout" });
    expect(await untilNone()).toBe(0);
  });
});

test("a query cannot outlast its time where nobody is left to end it", async () => {
  const query = "SELECT set_config('statement_timeout', '0', true) UNION ALL SELECT pg_sleep(600)::text";
  const alone = new ReadOnlyDatabase(stack.databaseUrl);
  const never = new AbortController().signal;
  const asked = alone.query({ text: query, values: [], rowsMax: 10, bytesMax: 1_000, timeoutMs: 500, signal: never });
  await expect(asked).rejects.toMatchObject({ code: "57014" });
  await alone.close();
});

test("another tenant's connection is not there, and one that is away tells no address", async () => {
  await expect(ask("SELECT 1", { connection: "bank" })).rejects.toMatchObject({
    code: "tool_input",
    message: expect.stringContaining("shop, away"),
  });
  const error = (await ask("SELECT 1", { connection: "away" }).catch((failed: unknown) => failed)) as Error;
  expect(error).toMatchObject({ code: "tool" });
  expect(error.message).not.toMatch(/geheim|127\.0\.0\.1/);
});
