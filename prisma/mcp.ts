import { type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import type { McpChange, OperatorServers } from "../contracts/mcp.schema.ts";
import { Prisma, type Database } from "./client.ts";
import { hashOf } from "./hash.ts";

/** A tool as an MCP server offers it. */
export interface OfferedTool {
  name: string;
  description: string;
  input: JsonSchema;
  output?: JsonSchema;
  /** What the server says of its effects; shown and pinned, not believed. */
  annotations: JsonObject;
}

/** What is known of a server's tools beyond its own word; `*` stands for all others. */
export type Words = Record<string, { effect: "read" | "write" | "dangerous"; idempotent: boolean; timeout?: string | number | undefined }>;

/** As the catalogue shows them. What a server says of its own effects is not believed. */
export const describeOffer = (server: string, { version, tools }: Offer, words: Words) =>
  tools.map(({ name, description, input }) => {
    const { effect, idempotent, timeout } = words[name] ??
      words["*"] ?? { effect: "write" as const, idempotent: false, timeout: undefined };
    // The output schema speaks of `structured`, a part of what the step gives.
    return {
      name: `${server}/${name}`,
      server,
      version,
      description,
      input,
      effect,
      idempotent,
      short: false,
      ...(timeout === undefined ? {} : { timeout }),
    };
  });

/** All that a server offers. */
export interface Offer {
  version: string;
  tools: OfferedTool[];
}

/** What was approved of a server: by tool, a hash of each of its parts. */
export type Pinned = Record<string, Record<string, string>>;

export interface Pin {
  tools: Pinned;
  approvedAt: Date;
  changes: McpChange[];
}

/** Tell the API what servers the operator has; of a process only that it is one. */
export async function publishServers(database: Database, servers: OperatorServers): Promise<void> {
  for (const [name, server] of Object.entries(servers)) {
    const isProcess = "command" in server;
    const { tools, tenants = null } = server;
    const config = { tools, tenants, ...(isProcess ? {} : shownOf(server)) } as Prisma.InputJsonObject;
    const row = { transport: isProcess ? "stdio" : "http", config, updatedBy: "operator" };
    await database.mcpServer.upsert({
      where: { tenant_name: { tenant: operatorTenant, name } },
      create: { tenant: operatorTenant, name, ...row },
      update: row,
    });
  }
}

/** Where it is and which headers it gets. What the operator wrote beside that may be secret, and only workers need it. */
function shownOf({ url, headers }: { url: string; headers: Record<string, unknown> }): { url: string; headers: Record<string, string> } {
  const { origin, pathname } = new URL(url);
  return { url: `${origin}${pathname}`, headers: Object.fromEntries(Object.keys(headers).map((name) => [name, ""])) };
}

/** Owner of servers that workers bring along. */
export const operatorTenant = "";

interface Owner {
  tenant: string;
  server: string;
}

/** What was approved; what a server offers first is. A later offer that differs is kept for people to look at. */
export async function pinOffer(database: Database, { tenant, server }: Owner, offer: Offer): Promise<Pin & { isNew: boolean }> {
  const where = { tenant_server: { tenant, server } };
  const first = { tenant, server, tools: pinnedOf(offer), approvedBy: firstUse };
  const { count } = await database.mcpPin.createMany({ data: [first], skipDuplicates: true });
  const row = await database.mcpPin.findUniqueOrThrow({ where });
  const tools = row.tools as Pinned;
  const changes = changesOf(tools, pinnedOf(offer));
  const pendingHash = changes.length === 0 ? null : hashOfOffer(offer);
  if (row.pendingHash !== pendingHash)
    await database.mcpPin.update({
      where,
      data: {
        pendingHash,
        pending: changes.length === 0 ? Prisma.DbNull : (offer as unknown as Prisma.InputJsonValue),
        changes: changes as unknown as Prisma.InputJsonValue,
      },
    });
  return { tools, approvedAt: row.approvedAt, changes, isNew: count > 0 };
}

/**
 * What was approved, when that is what an offer says that was heard earlier. Nothing is noted: others may have heard another one since,
 * which waits for people.
 */
export async function pinOf(database: Database, { tenant, server }: Owner, offer: Offer): Promise<Pin | undefined> {
  const row = await database.mcpPin.findUnique({ where: { tenant_server: { tenant, server } } });
  if (!row) return undefined;
  const tools = row.tools as Pinned;
  return changesOf(tools, pinnedOf(offer)).length === 0 ? { tools, approvedAt: row.approvedAt, changes: [] } : undefined;
}

/** Who approved a server that nobody was asked about. */
const firstUse = "first use";

/** A person has looked at what the server offers now. Gives the offer; nothing when it is another by now. */
export async function approveOffer(
  database: Pick<Database, "mcpPin">,
  { tenant, server }: Owner,
  { pendingHash, by }: { pendingHash: string; by: string },
): Promise<Offer | undefined> {
  const row = await database.mcpPin.findFirst({ where: { tenant, server, pendingHash } });
  if (!row?.pending) return undefined;
  const offer = row.pending as unknown as Offer;
  const { count } = await database.mcpPin.updateMany({
    where: { tenant, server, pendingHash },
    data: { tools: pinnedOf(offer), approvedBy: by, approvedAt: new Date(), pendingHash: null, pending: Prisma.DbNull, changes: [] },
  });
  return count > 0 ? offer : undefined;
}

const hashOfOffer = (offer: Offer): string => hashOf(offer as unknown as Json);

const pinnedOf = ({ tools }: Offer): Pinned =>
  Object.fromEntries(
    tools.map(({ name, description, input, output = {}, annotations }) => [
      name,
      { description: hashOf(description), input: hashOf(input), output: hashOf(output), annotations: hashOf(annotations) },
    ]),
  );

function changesOf(before: Pinned, now: Pinned): McpChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].toSorted();
  return names.flatMap((tool): McpChange[] => {
    const [old, offered] = [before[tool], now[tool]];
    if (!old || !offered) return [{ tool, change: old ? "removed" : "added", fields: [] }];
    const fields = Object.keys(offered).filter((field) => old[field] !== offered[field]);
    return fields.length === 0 ? [] : [{ tool, change: "changed", fields }];
  });
}
