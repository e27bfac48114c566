import { PrismaPg } from "@prisma/adapter-pg";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { sendCancelRequest, type AtWork } from "./cancel-request.ts";

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
    if (signal.aborted) client.release();
    signal.throwIfAborted();
    // Ends what the server is at; a connection that was cut is not used again.
    let isCut = false;
    const cut = (): void => {
      if (isCut) return;
      isCut = true;
      sendCancelRequest(client);
      client.release(true);
    };
    signal.addEventListener("abort", cut, { once: true });
    const page = new Page(client, { endsAt: Date.now() + timeoutMs, cut });
    try {
      await client.query(`BEGIN READ ONLY; ${page.timeout()}`);
      // By the extended protocol, which takes one statement; a cursor takes nothing but a query.
      await client.query({ text: `DECLARE answer NO SCROLL CURSOR FOR ${text}`, values, queryMode: "extended" });
      return await fetchAll(page, rowsMax, bytesMax);
    } finally {
      signal.removeEventListener("abort", cut);
      page.close();
      if (!isCut) await end(client);
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

interface Connection extends AtWork {
  query(query: { text: string; values: Json[]; queryMode: "extended" }): Promise<Answer>;
  /** Each of several statements has an answer. */
  query(query: string): Promise<Answer[]>;
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

/** How many rows are asked for at once: of a few the size is known before there are many. */
const rowsAtFirst = 1;
const growth = 4;
const rowsAtOnceMax = 100;

/** The driver keeps a page whole, however large: what comes is counted, and cut before it is too much. */
class Page {
  readonly #connection: Connection;
  readonly #endsAt: number;
  readonly #count: (chunk: Buffer) => void;
  #bytes = 0;

  constructor(connection: Connection, { endsAt, cut }: { endsAt: number; cut: () => void }) {
    this.#connection = connection;
    this.#endsAt = endsAt;
    this.#count = ({ length }) => {
      this.#bytes += length;
      if (this.#isTooLarge) cut();
    };
    connection.connection.stream.on("data", this.#count);
  }

  get #isTooLarge(): boolean {
    return this.#bytes > limits.sqlPageBytesMax;
  }

  /**
   * Undefined when it was too large. The timeout is set for each: the query itself can set it (`set_config`), which holds from the next
   * page on. It ends what a worker has begun that is no more.
   */
  async fetch(rows: number): Promise<Answer | undefined> {
    this.#bytes = 0;
    try {
      const [, page] = await this.#connection.query(`${this.timeout()}; FETCH ${rows} FROM answer`);
      return page;
    } catch (error) {
      if (this.#isTooLarge) return undefined;
      throw error;
    }
  }

  timeout = (): string => `SET LOCAL statement_timeout = ${Math.max(1, Math.floor(this.#endsAt - Date.now()))}`;

  close(): void {
    this.#connection.connection.stream.off("data", this.#count);
  }
}

async function fetchAll(pages: Page, rowsMax: number, bytesMax: number): Promise<ReadRows> {
  const rows: JsonObject[] = [];
  let columns: string[] = [];
  let bytes = 0;
  for (let atOnce = rowsAtFirst; ; atOnce = Math.min(atOnce * growth, rowsAtOnceMax)) {
    const page = await pages.fetch(Math.min(atOnce, rowsMax + 1 - rows.length));
    if (!page && rows.length > 0) return { columns, rows, truncated: true };
    if (!page) throw new Fault("limit", `A row of the answer has more than ${limits.sqlPageBytesMax} bytes; ask for less of it.`);
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
