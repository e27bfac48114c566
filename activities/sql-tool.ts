import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { nearest } from "../contracts/nearest.ts";
import { ReadOnlyDatabase } from "../prisma/read-only.ts";
import { defineTool, type Tool } from "./tool-registry.ts";

/** Reads from databases that the operator names: by `tenant/name`. A role that may only read is still the better lock. */
export function createSqlTool(urls: Record<string, string>): Tool {
  const databases = new Map<string, ReadOnlyDatabase>();
  return defineTool({
    name: "sql.query",
    description: "Ask a Postgres database that the operator has named: one SELECT, with $1, $2 … for `values`. In a read-only transaction.",
    input: z.strictObject({
      connection: z.string().min(1).max(200),
      query: z.string().min(1).max(100_000),
      values: z
        .array(z.union([z.string(), z.number(), z.boolean(), z.null()]))
        .max(100)
        .default([]),
      max: z.int().min(1).max(limits.sqlRowsMax).default(1_000).describe("Rows at most; the rest is left out"),
    }),
    output: z.strictObject({ columns: z.array(z.string()), rows: z.array(z.record(z.string(), z.unknown())), truncated: z.boolean() }),
    effect: "read",
    async run({ connection, query, values, max }, { tenant, timeoutMs, signal }) {
      const database = databaseOf(databases, urls, { tenant, connection });
      try {
        return await database.query({ text: query, values, rowsMax: max, bytesMax: limits.sqlBytesMax, timeoutMs, signal });
      } catch (error) {
        if (signal.aborted || error instanceof Fault) throw error;
        throw faultOf(error);
      }
    },
  });
}

interface Wanted {
  tenant: string;
  connection: string;
}

function databaseOf(open: Map<string, ReadOnlyDatabase>, urls: Record<string, string>, { tenant, connection }: Wanted): ReadOnlyDatabase {
  const key = `${tenant}/${connection}`;
  const url = Object.hasOwn(urls, key) ? urls[key] : undefined;
  if (url === undefined) throw new Fault("tool_input", `No connection "${connection.slice(0, 80)}". ${hint(urls, { tenant, connection })}`);
  const database = open.get(key) ?? new ReadOnlyDatabase(url);
  open.set(key, database);
  return database;
}

function hint(urls: Record<string, string>, { tenant, connection }: Wanted): string {
  const own = Object.keys(urls).flatMap((key) => (key.startsWith(`${tenant}/`) ? [key.slice(tenant.length + 1)] : []));
  const near = nearest(connection, own);
  if (near !== undefined) return `Did you mean ${near}?`;
  return `There is: ${own.join(", ") || "none"}. An operator names them: TENUTO_SQL=${tenant}/…=postgres://….`;
}

/** What the database says of a query is for whoever wrote it; the rest is trouble outside. Never the address: it holds a password. */
function faultOf(error: unknown): Fault {
  const { code = "", message } = error as { code?: string; message: string };
  const said = message.slice(0, 500);
  if (code === queryCanceled) return new Fault("timeout", `The database gave no answer in time: ${said}`, { cause: error });
  if (mendable.has(code.slice(0, 2))) return new Fault("tool_input", `${said} (SQLSTATE ${code})`, { cause: error });
  return new Fault("tool", `The database cannot be asked${code === "" ? "" : ` (${code})`}.`, { cause: error });
}

const queryCanceled = "57014";

/** Classes of SQLSTATE: data, cardinality, read-only transaction, wrong object, syntax and access. */
const mendable: ReadonlySet<string> = new Set(["21", "22", "25", "34", "42", "0A"]);
