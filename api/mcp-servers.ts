import { z } from "zod";
import { Fault, type FaultCode } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import {
  approveMcpServerSchema,
  mcpServerListSchema,
  mcpServerName,
  mcpServerSchema,
  putMcpServerSchema,
  type ApproveMcpServer,
  type PutMcpServer,
} from "../contracts/mcp.schema.ts";
import { audit } from "../prisma/audit.ts";
import type { Prisma } from "../prisma/client.ts";
import { approveOffer, describeOffer, operatorTenant, type Words } from "../prisma/mcp.ts";
import { publishTools } from "../prisma/tools.ts";
import { faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { notSpans } from "./spans.ts";
import { pointerOf } from "./text.ts";

const params = z.object({ name: mcpServerName });
const path = "/api/v2/mcp-servers/{name}" as const;
const common = { tag: "Tools", params, faults: ["not_found"] as FaultCode[] } as const;
const shown = { 200: { description: "The server.", schema: mcpServerSchema } };

export const mcpServerRoutes = [
  route({
    id: "listMcpServers",
    method: "get",
    path: "/api/v2/mcp-servers",
    summary: "The MCP servers that the tenant's steps can name",
    tag: "Tools",
    scope: "read",
    answers: { 200: { description: "By name.", schema: mcpServerListSchema } },
    handle: list,
  }),
  route({
    ...common,
    id: "getMcpServer",
    method: "get",
    path,
    summary: "An MCP server, with what was approved and what differs",
    scope: "read",
    answers: shown,
    handle: async (call) => ok(await show(call)),
  }),
  route({
    ...common,
    id: "putMcpServer",
    method: "put",
    path,
    summary: "Let the tenant's steps use an MCP server over HTTP",
    description: "Servers that are processes are the operator's to run. What a header keeps secret is named, never sent here.",
    scope: "tenant",
    body: putMcpServerSchema,
    answers: shown,
    faults: ["conflict", "limit"],
    handle: put,
  }),
  route({
    ...common,
    id: "removeMcpServer",
    method: "delete",
    path,
    summary: "Let the tenant's steps no longer use an MCP server",
    scope: "tenant",
    answers: { 204: { description: "Gone, with what was approved." } },
    handle: remove,
  }),
  route({
    ...common,
    id: "approveMcpServer",
    method: "post",
    path: `${path}/approve`,
    summary: "Approve what an MCP server offers now",
    description: "Steps that were refused can be tried again. `pendingHash` stands for the offer that was looked at: another one is 409.",
    scope: "tenant",
    idempotency: "table",
    body: approveMcpServerSchema,
    answers: shown,
    faults: ["not_found", "conflict"],
    handle: approve,
  }),
];

type Named<B = unknown> = Call<{ name: string }, unknown, B>;
type Row = Prisma.McpServerGetPayload<object>;
type PinRow = Prisma.McpPinGetPayload<object>;

async function list({ deps, caller }: Call): Promise<Answer> {
  const where = { tenant: caller.tenant };
  const [rows, pins] = await Promise.all([
    deps.database.mcpServer.findMany({ where: { tenant: { in: [operatorTenant, caller.tenant] } }, take: limits.mcpServersMax }),
    deps.database.mcpPin.findMany({ where, omit: { pending: true } }),
  ]);
  const byName = new Map(pins.map((pin) => [pin.server, pin]));
  const visible = rows.filter((row) => isFor(caller.tenant, row)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return ok({ data: visible.map((row) => view(row, byName.get(row.name))) });
}

async function show(call: Named): Promise<JsonObject> {
  const { deps, caller, params } = call;
  const row = await known(call);
  const where = { tenant_server: { tenant: caller.tenant, server: params.name } };
  return view(row, (await deps.database.mcpPin.findUnique({ where, omit: { pending: true } })) ?? undefined);
}

async function put(call: Named<PutMcpServer>): Promise<Answer> {
  const { deps, caller, params, body } = call;
  const { tenant, principal } = caller;
  const errors = notSpans(Object.entries(body.tools).map(([tool, { timeout }]) => [pointerOf(["tools", tool, "timeout"]), timeout]));
  if (errors.length > 0) throw faultOf("schema", "The body is not as it should be.", errors);
  const operators = await deps.database.mcpServer.findFirst({ where: { tenant: operatorTenant, name: params.name } });
  if (operators && isFor(tenant, operators))
    throw new Fault("conflict", `${params.name} is a server of the operator; choose another name.`);
  const row = { transport: "http", config: body as Prisma.InputJsonObject, updatedBy: principal.name };
  const id = { tenant, name: params.name };
  await deps.database.$transaction(async (transaction) => {
    if ((await transaction.mcpServer.count({ where: { tenant, name: { not: params.name } } })) >= limits.mcpServersMax)
      throw new Fault("limit", `A tenant can have ${limits.mcpServersMax} MCP servers; remove one.`);
    const before = await transaction.mcpServer.findUnique({ where: { tenant_name: id } });
    // Another address is another server: what was approved of the old one says nothing about it.
    if ((before?.config as { url?: string } | undefined)?.url !== body.url) await forget(transaction, tenant, params.name);
    await transaction.mcpServer.upsert({ where: { tenant_name: id }, create: { ...id, ...row }, update: row });
    await audit(transaction, entryOf(call, "mcpServer.put", { url: body.url }));
  });
  return ok(await show(call));
}

async function remove(call: Named): Promise<Answer> {
  const { deps, caller, params } = call;
  const { count } = await deps.database.$transaction(async (transaction) => {
    const removed = await transaction.mcpServer.deleteMany({ where: { tenant: caller.tenant, name: params.name } });
    if (removed.count > 0) await forget(transaction, caller.tenant, params.name);
    if (removed.count > 0) await audit(transaction, entryOf(call, "mcpServer.removed", {}));
    return removed;
  });
  if (count === 0) throw unknown(params.name);
  return { status: 204 };
}

async function approve(call: Named<ApproveMcpServer>): Promise<Answer> {
  const { deps, caller, params, body } = call;
  const row = await known(call);
  const owner = { tenant: caller.tenant, server: params.name };
  await deps.database.$transaction(async (transaction) => {
    const offer = await approveOffer(transaction, owner, { pendingHash: body.pendingHash, by: caller.principal.name });
    if (!offer) throw new Fault("conflict", `${params.name} offers something else by now, or nothing that waits; read it again.`);
    await publishTools(transaction, caller.tenant, describeOffer(params.name, offer, (row.config as unknown as { tools: Words }).tools));
    await audit(transaction, entryOf(call, "mcpServer.approved", { pendingHash: body.pendingHash }));
  });
  return ok(await show(call));
}

async function known({ deps, caller, params }: Named): Promise<Row> {
  const where = { tenant: { in: [operatorTenant, caller.tenant] }, name: params.name };
  // The operator's first, as workers have it.
  const rows = await deps.database.mcpServer.findMany({ where, orderBy: { tenant: "asc" } });
  const row = rows.find((each) => isFor(caller.tenant, each));
  if (!row) throw unknown(params.name);
  return row;
}

async function forget(database: Prisma.TransactionClient, tenant: string, server: string): Promise<void> {
  await database.mcpPin.deleteMany({ where: { tenant, server } });
  await database.tool.deleteMany({ where: { tenant, server } });
}

const unknown = (name: string): Fault => new Fault("not_found", `No MCP server ${name}.`);

/** An operator may keep a server for some tenants. */
function isFor(tenant: string, { config }: Row): boolean {
  const { tenants } = config as { tenants?: string[] | null };
  return tenants?.includes(tenant) ?? true;
}

const entryOf = ({ caller, params, requestId }: Named, action: string, data: JsonObject) => ({
  tenant: caller.tenant,
  actor: caller.principal.name,
  action,
  object: params.name,
  data,
  requestId,
});

function view({ tenant, name, transport, config, updatedAt }: Row, pin: Omit<PinRow, "pending"> | undefined): JsonObject {
  const { url = null, headers = {}, tools } = config as { url?: string; headers?: JsonObject; tools: JsonObject };
  return {
    name,
    transport,
    url,
    headers: Object.keys(headers).toSorted(),
    tools,
    ownedBy: tenant === operatorTenant ? "operator" : "tenant",
    state: pin ? (pin.pendingHash === null ? "approved" : "changed") : "unseen",
    approvedTools: Object.keys((pin?.tools ?? {}) as JsonObject).toSorted(),
    approvedBy: pin?.approvedBy ?? null,
    approvedAt: pin?.approvedAt.toISOString() ?? null,
    pendingHash: pin?.pendingHash ?? null,
    changes: (pin?.changes ?? []) as JsonObject[],
    updatedAt: updatedAt.toISOString(),
  };
}
