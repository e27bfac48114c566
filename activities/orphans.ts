import { WorkflowNotFoundError, type Client } from "@temporalio/client";
import { terminalStatuses } from "../contracts/events.ts";
import type { Holds } from "../contracts/holds.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { JsonObject } from "../contracts/json.ts";
import type { Database } from "../prisma/client.ts";
import { hears } from "./spread-pause.ts";
import { lotsOf, type Beat } from "./sweep.ts";

interface Deps {
  database: Database;
  client: Client;
}

/** What is asked of a run's row. */
interface Relative {
  id: string;
  tenant: string;
  parentId: string | null;
}

/** A run that ended without its walk cannot have cancelled its children itself, nor have let go of those that outlive it. */
export async function cancelChildren({ database, client }: Deps, row: Relative, beat: Beat): Promise<void> {
  const [rows, told] = await Promise.all([
    database.run.findMany({ where: { parentId: row.id, status: { notIn: [...terminalStatuses] } }, select: { id: true } }),
    toldChildren(database, [row.id]),
  ]);
  const ids = new Set([...rows.map(({ id }) => id), ...told.map((child) => child["runId"] as string)]);
  const letGo = async (id: string): Promise<unknown> => {
    const child = { tenant: row.tenant, id };
    return isAbandoned(id, told) ? hears(client, child, released) : cancel(client, child);
  };
  for await (const lot of lotsOf(ids, beat)) await Promise.all(lot.map(letGo));
}

// The last word of a parent that can say nothing any more.
const released: Holds = { source: "parent", version: Number.MAX_SAFE_INTEGER, by: "reconcile", holds: [] };

/** Those of the rows whose first word came after the row of their parent was closed: at that moment nobody knew of them. */
export async function orphansAmong<Row extends Relative>(database: Database, rows: Row[]): Promise<Row[]> {
  const parentIds = [...new Set(rows.flatMap(({ parentId }) => parentId ?? []))];
  if (parentIds.length === 0) return [];
  const where = { id: { in: parentIds }, status: { in: ["terminated", "timed_out"] } };
  const gone = new Set((await database.run.findMany({ where, select: { id: true } })).map(({ id }) => id));
  const told = await toldChildren(database, [...gone]);
  return rows.filter(({ id, parentId }) => parentId !== null && gone.has(parentId) && !isAbandoned(id, told));
}

/** Harmless for a run that has ended or is being cancelled. */
export async function cancel(client: Client, { tenant, id }: Pick<Relative, "tenant" | "id">): Promise<void> {
  try {
    await client.workflow.getHandle(workflowIdOf(tenant, id)).cancel();
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

async function toldChildren(database: Database, parentIds: string[]): Promise<JsonObject[]> {
  const started = await database.event.findMany({ where: { runId: { in: parentIds }, type: "child.started" }, select: { data: true } });
  return started.map(({ data }) => data as JsonObject);
}

const isAbandoned = (id: string, told: JsonObject[]): boolean =>
  told.some((child) => child["runId"] === id && child["parentClosePolicy"] === "abandon");
