import { z } from "zod";
import { toolExecutionPageSchema, toolPageSchema, toolSchema, toolVersionsSchema } from "../contracts/tool.schema.ts";
import { Fault, type FaultCode } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { leadingFirst, newestFirst } from "../contracts/semver.ts";
import type { Prisma } from "../prisma/client.ts";
import { everyTenant, lastSeenFirst, newestTools, statisticsOf, type ToolRow, type ToolStatistics } from "../prisma/tools.ts";
import { decodeCursor, encodeCursor, pageOf, pageOfVersions } from "./cursor.ts";
import { pageQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const nameParams = z.object({
  name: z.string().min(1).max(400).meta({ description: "Name, URL-encoded; of an MCP server `server/tool`." }),
});
const common = { method: "get", tag: "Tools", scope: "read" } as const;
const ofTool = { ...common, params: nameParams, faults: ["not_found"] as FaultCode[] } as const;
const outcome = z.string().min(1).max(100).optional().meta({ description: "`ok`, `error` for all that is not, or the code of a fault." });

export const toolRoutes = [
  route({
    ...common,
    id: "listTools",
    path: "/api/v2/tools",
    summary: "The tools there are, by name, with how they did of late",
    query: pageQuery.extend({ server: z.string().min(1).max(255).optional().meta({ description: "Only those of an MCP server." }) }),
    answers: { 200: { description: "A page.", schema: toolPageSchema } },
    handle: list,
  }),
  route({
    ...ofTool,
    id: "getTool",
    path: "/api/v2/tools/{name}",
    summary: "A tool with its schemas",
    query: z.strictObject({ version: z.string().min(1).max(64).optional().meta({ description: "Absent: the highest." }) }),
    answers: { 200: { description: "The tool.", schema: toolSchema } },
    handle: get,
  }),
  route({
    ...ofTool,
    id: "listToolVersions",
    path: "/api/v2/tools/{name}/versions",
    summary: "Versions of a tool that workers ever had, with all contents they had, page by page",
    query: pageQuery,
    answers: { 200: { description: "A page, the highest version first.", schema: toolVersionsSchema } },
    handle: versions,
  }),
  route({
    ...ofTool,
    id: "listToolExecutions",
    path: "/api/v2/tools/{name}/executions",
    summary: "How calls of a tool by the tenant's runs went, newest first",
    query: pageQuery.extend({ outcome }),
    answers: { 200: { description: "A page.", schema: toolExecutionPageSchema } },
    handle: executions,
  }),
];

type Row = Prisma.ToolGetPayload<object>;
type Named = { name: string };

async function list({ deps, caller, query }: Call<unknown, z.output<typeof pageQuery> & { server?: string }>): Promise<Answer> {
  const after = decodeCursor(query.cursor, 0)?.[1] ?? "";
  const rows = await newestTools(deps.database, caller.tenant, { after, server: query.server, take: query.limit + 1 });
  const names = rows.map(({ name }) => name);
  const statistics = await statisticsOf(deps.database, caller.tenant, names);
  const item = (row: ToolRow): JsonObject => ({ ...view(row), ...ofLate(row, statistics.get(row.name)!) });
  return ok(pageOf(rows, query.limit, { item, cursor: (row) => encodeCursor([0, row.name]) }));
}

async function get(call: Call<Named, { version?: string }>): Promise<Answer> {
  const { deps, caller, params, query } = call;
  const known = (await versionsOf(call)).toSorted(leadingFirst).map(({ version }) => version);
  const version = query.version ?? known[0]!;
  if (!known.includes(version)) throw new Fault("not_found", `No version ${version} of tool ${params.name}.`);
  const row = await deps.database.tool.findFirstOrThrow({ where: { ...ownedBy(call), version }, orderBy: [...lastSeenFirst] });
  const statistics = await statisticsOf(deps.database, caller.tenant, [row.name]);
  return ok({ ...view(row), ...schemasOf(row), ...ofLate(row, statistics.get(row.name)!) });
}

async function versions(call: Call<Named, z.output<typeof pageQuery>>): Promise<Answer> {
  const known = await versionsOf(call);
  const { shown, page } = pageOfVersions(known, call.query);
  const where = { ...ownedBy(call), version: { in: shown } };
  const rows = await call.deps.database.tool.findMany({ where, orderBy: [...lastSeenFirst] });
  const contents = shown.flatMap((version) => rows.filter((row) => row.version === version).slice(0, limits.toolContentsMax));
  const listed = contents.toSorted(newestFirst).map((row) => ({ ...view(row), ...schemasOf(row) }));
  return ok({ name: call.params.name, latest: known.toSorted(leadingFirst)[0]!.version, versions: listed, page });
}

async function executions(call: Call<Named, z.output<typeof pageQuery> & { outcome?: string }>): Promise<Answer> {
  const { deps, caller, params, query } = call;
  const before = decodeCursor(query.cursor, Number.MAX_SAFE_INTEGER)?.[0];
  const rows = await deps.database.toolCall.findMany({
    where: {
      tenant: caller.tenant,
      tool: params.name,
      ...(query.outcome === undefined ? {} : { outcome: query.outcome === "error" ? { not: "ok" } : query.outcome }),
      ...(before === undefined ? {} : { id: { lt: BigInt(before) } }),
    },
    orderBy: { id: "desc" },
    take: query.limit + 1,
  });
  // One that never answered is in no catalogue; that it was called is known all the same.
  if (rows.length === 0) await versionsOf(call);
  return ok(pageOf(rows, query.limit, { item: execution, cursor: (row) => encodeCursor([Number(row.id), ""]) }));
}

/** Which there are. Fault `not_found`. */
async function versionsOf(call: Call<Named>): Promise<{ version: string }[]> {
  const rows = await call.deps.database.tool.findMany({ where: ownedBy(call), distinct: ["version"], select: { version: true } });
  if (rows.length === 0) throw new Fault("not_found", `No tool ${call.params.name}.`);
  return rows;
}

const ownedBy = ({ caller: { tenant }, params: { name } }: Call<Named>) => ({ tenant: { in: [everyTenant, tenant] }, name });

const view = ({ name, version, server, description, effect, idempotent, hash, publishedAt, seenAt }: ToolRow): JsonObject => ({
  name,
  version,
  server,
  description,
  effect,
  idempotent,
  hash,
  publishedAt: publishedAt.toISOString(),
  seenAt: seenAt.toISOString(),
});

const schemasOf = ({ input, output }: Row): JsonObject => ({ input: input as Json, output: output as Json });

const ofLate = (row: Pick<Row, "server" | "seenAt">, statistics: ToolStatistics): JsonObject => ({
  health: healthOf(row, statistics),
  statistics: { ...statistics },
});

function healthOf({ server, seenAt }: Pick<Row, "server" | "seenAt">, { successRate }: ToolStatistics): string {
  // Whether an MCP server is there is known when it is called.
  if (server === null && Date.now() - seenAt.getTime() > 3 * limits.toolSeenEveryMs) return "absent";
  if (successRate === null) return "unused";
  if (successRate < 0.5) return "failing";
  return successRate < 0.95 ? "degraded" : "ok";
}

const execution = (row: Prisma.ToolCallGetPayload<object>): JsonObject => ({
  id: String(row.id),
  version: row.version === "" ? null : row.version,
  runId: row.runId,
  step: row.path,
  startedAt: row.startedAt.toISOString(),
  durationMs: row.durationMs,
  outcome: row.outcome,
  detail: row.detail,
});
