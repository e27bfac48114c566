import { PrismaPg } from "@prisma/adapter-pg";
import type { SqlDriverAdapter } from "@prisma/driver-adapter-utils";
import { PrismaClient } from "./generated/client.ts";

export type Database = PrismaClient;
export { Prisma } from "./generated/client.ts";

/**
 * The one way to reach Postgres. `poolMax` connections at most, opened when needed; a server that hangs is given up after 30 s.
 * After `$disconnect` it is over.
 */
export function openDatabase(url: string, poolMax = 10): Database {
  const factory = new PrismaPg(
    { connectionString: url, max: poolMax, connectionTimeoutMillis: 5_000, query_timeout: 30_000 },
    // Those that begin with a name are parsed once per connection; an empty name leaves the others as they are.
    { statementNameGenerator: ({ sql }) => /^\s*\/\* (\w+) \*\//.exec(sql)?.[1] ?? "" },
  );
  const { provider, adapterName } = factory;
  const adapter = factory.connect();
  const database = new PrismaClient({ adapter: { provider, adapterName, connect: () => adapter } });
  adapters.set(database, adapter);
  return database;
}

const adapters = new WeakMap<Database, Promise<SqlDriverAdapter>>();

/**
 * The rows of one statement with texts for `$1`, `$2` …, over the client's connections but past the client, for those that are asked all
 * the time: what the client does around a statement takes two thirds of its CPU (230 µs against 71, side by side).
 */
export async function rowsOf<Row>(database: Database, sql: string, texts: string[]): Promise<Row[]> {
  const adapter = await adapters.get(database)!;
  const argTypes = texts.map(() => ({ scalarType: "string", arity: "scalar" }) as const);
  const { columnNames, rows } = await adapter.queryRaw({ sql, args: texts, argTypes }).catch((error: Error) => {
    throw new Error(`Postgres: ${error.message}`, { cause: error });
  });
  return rows.map((row) => Object.fromEntries(row.map((value, index) => [columnNames[index], value])) as Row);
}
