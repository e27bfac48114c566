import { PrismaPg } from "@prisma/adapter-pg";
import type { Json, JsonObject } from "../contracts/json.ts";

export interface ReadQuery {
  text: string;
  values: Json[];
  rowsMax: number;
  bytesMax: number;
  timeoutMs: number;
  signal: AbortSignal;
}

export interface ReadRows {
  columns: string[];
  rows: JsonObject[];
  /** There was more than the limits allow. */
  truncated: boolean;
}

/** A database that is only read: one statement in a read-only transaction, over a cursor, so that no answer is larger than asked for. */
export class ReadOnlyDatabase {
  readonly #url: string;
  #pool: Promise<Pool> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async query({ text, values, rowsMax, bytesMax, timeoutMs, signal }: ReadQuery): Promise<ReadRows> {
    const client = await (await (this.#pool ??= open(this.#url))).connect();
    // Ends what the server is at; a connection that was cut is not used again.
    const cut = (): void => client.release(true);
    signal.addEventListener("abort", cut, { once: true });
    try {
      await client.query("BEGIN READ ONLY");
      await client.query(`SET LOCAL statement_timeout = ${Math.max(1, Math.floor(timeoutMs))}`);
      // By the extended protocol, which takes one statement; a cursor takes nothing but a query.
      await client.query({ text: `DECLARE answer NO SCROLL CURSOR FOR ${text}`, values, queryMode: "extended" });
      return await fetchAll(client, rowsMax, bytesMax);
    } finally {
      signal.removeEventListener("abort", cut);
      if (!signal.aborted) await end(client);
    }
  }

  async close(): Promise<void> {
    await (await this.#pool)?.end();
  }
}

interface Answer {
  fields: { name: string }[];
  rows: JsonObject[];
}

interface Connection {
  query(query: string | { text: string; values: Json[]; queryMode: "extended" }): Promise<Answer>;
  release(isBroken?: boolean): void;
}

interface Pool {
  connect(): Promise<Connection>;
  end(): Promise<void>;
}

async function open(url: string): Promise<Pool> {
  const adapter = await new PrismaPg({ connectionString: url, max: 5, connectionTimeoutMillis: 5_000 }).connect();
  // The driver's own pool; its types are those of a package that is not ours to name.
  return adapter.underlyingDriver() as unknown as Pool;
}

const PAGE = 100;

async function fetchAll(client: Connection, rowsMax: number, bytesMax: number): Promise<ReadRows> {
  const rows: JsonObject[] = [];
  let columns: string[] = [];
  let bytes = 0;
  for (;;) {
    const page = await client.query(`FETCH ${Math.min(PAGE, rowsMax + 1 - rows.length)} FROM answer`);
    columns = page.fields.map(({ name }) => name);
    for (const row of page.rows) {
      // Dates and the like become what a result can carry.
      const text = JSON.stringify(row);
      bytes += Buffer.byteLength(text);
      if (rows.length === rowsMax || bytes > bytesMax) return { columns, rows, truncated: true };
      rows.push(JSON.parse(text) as JsonObject);
    }
    if (page.rows.length === 0) return { columns, rows, truncated: false };
  }
}

async function end(client: Connection): Promise<void> {
  try {
    await client.query("ROLLBACK");
    client.release();
  } catch {
    client.release(true);
  }
}
