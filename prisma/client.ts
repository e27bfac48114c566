import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "./generated/client.ts";

export type Database = PrismaClient;
export { Prisma } from "./generated/client.ts";

/** The one way to reach Postgres. `poolMax` connections at most, opened when needed; a server that hangs is given up after 30 s. */
export const openDatabase = (url: string, poolMax = 10): Database =>
  new PrismaClient({
    adapter: new PrismaPg(
      { connectionString: url, max: poolMax, connectionTimeoutMillis: 5_000, query_timeout: 30_000 },
      // Those that begin with a name are parsed once per connection; an empty name leaves the others as they are.
      { statementNameGenerator: ({ sql }) => /^\s*\/\* (\w+) \*\//.exec(sql)?.[1] ?? "" },
    ),
  });
