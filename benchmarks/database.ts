import { PrismaPg } from "@prisma/adapter-pg";

/** One question on a connection of its own, in SQL of our own: what a benchmark asks has no place in the platform's client. */
export async function queryOnce<Row>(databaseUrl: string, sql: string, values: unknown[] = []): Promise<Row[]> {
  const adapter = await new PrismaPg({ connectionString: databaseUrl, max: 1 }).connect();
  try {
    const { rows } = await adapter.underlyingDriver().query(sql, values);
    return rows as Row[];
  } finally {
    await adapter.dispose();
  }
}
