import { type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { leadingFirst } from "../contracts/semver.ts";
import { Prisma, type Database } from "./client.ts";
import { hashOf } from "./hash.ts";

/** What is known of a tool without having it. */
export interface ToolDescription {
  name: string;
  version: string;
  description: string;
  input: JsonSchema;
  output?: JsonSchema;
  effect: string;
  idempotent: boolean;
  short: boolean;
}

/** Owner of the tools that workers bring along: every tenant has them. */
export const everyTenant = "";

/**
 * Tell the catalogue what there is. What was there under the same name and version stays beside it: runs have used it. Gives the names of
 * those that are not what they ever were.
 */
export async function publishTools(
  database: Pick<Database, "tool">,
  tenant: string,
  tools: (ToolDescription & { server?: string })[],
): Promise<string[]> {
  const before = await database.tool.findMany({
    where: { tenant, name: { in: tools.map(({ name }) => name) } },
    select: { name: true, version: true, hash: true },
  });
  const known = new Set(before.flatMap(({ name, version, hash }) => [`${name} ${version}`, `${name} ${version} ${hash}`]));
  for (const tool of tools) {
    const { name, version, description, input, output, server, effect, idempotent, short } = tool;
    const hash = hashOfTool(tool);
    const row = {
      description,
      effect,
      idempotent,
      short,
      input: input as Prisma.InputJsonValue,
      output: output === undefined ? Prisma.DbNull : (output as Prisma.InputJsonValue),
      server: server ?? null,
      seenAt: new Date(),
    };
    const where = { tenant_name_version_hash: { tenant, name, version, hash } };
    await database.tool.upsert({ where, create: { tenant, name, version, hash, ...row }, update: row });
  }
  const isOther = (tool: ToolDescription): boolean =>
    known.has(`${tool.name} ${tool.version}`) && !known.has(`${tool.name} ${tool.version} ${hashOfTool(tool)}`);
  return tools.filter(isOther).map(({ name }) => name);
}

/** The workers are still there. */
export async function touchTools(database: Database, tenant: string, tools: ToolDescription[]): Promise<void> {
  const OR = tools.map((tool) => ({ name: tool.name, version: tool.version, hash: hashOfTool(tool) }));
  if (OR.length > 0) await database.tool.updateMany({ where: { tenant, OR }, data: { seenAt: new Date() } });
}

/** What a caller of the tool relies on, and what decides how often it is called. */
const hashOfTool = ({ name, description, input, output, effect, idempotent }: ToolDescription): string =>
  hashOf([name, description, input, output ?? null, effect, idempotent]);

/** Of several contents of a version the one that was there last. */
export const lastSeenFirst = [{ seenAt: "desc" }, { publishedAt: "desc" }] as const;

type Row = Prisma.ToolGetPayload<object>;
type NamesAfter = { after: string; server?: string | undefined; take: number };

/** Of each tool that a tenant has, by name, the highest release, without its schemas. Of the others no more is read than which they are. */
export async function newestTools(database: Database, tenant: string, { after, server, take }: NamesAfter): Promise<ToolRow[]> {
  const ofServer = server === undefined ? Prisma.empty : Prisma.sql`AND server = ${server}`;
  const named = await database.$queryRaw<{ tenant: string; name: string; versions: string[] }[]>`
    SELECT tenant, name, array_agg(DISTINCT version) AS versions FROM tools
    WHERE tenant IN (${everyTenant}, ${tenant}) AND name > ${after} ${ofServer} GROUP BY tenant, name ORDER BY name LIMIT ${take}`;
  if (named.length === 0) return [];
  const OR = named.map(({ versions, ...owned }) => ({ ...owned, version: leadingOf(versions) }));
  return database.tool.findMany({
    where: { OR },
    distinct: ["tenant", "name"],
    orderBy: [{ name: "asc" }, ...lastSeenFirst],
    omit: { input: true, output: true },
  });
}

export type ToolRow = Omit<Row, "input" | "output">;

const leadingOf = (versions: readonly string[]): string => versions.map((version) => ({ version })).toSorted(leadingFirst)[0]!.version;

/** The version that a run uses for a range: whoever asks first settles it for the run, its retries and its windows. */
export async function settleVersion(
  database: Database,
  pin: { tenant: string; root: string; tool: string; range: string },
  offered: string,
): Promise<string> {
  await database.toolPin.createMany({ data: [{ ...pin, version: offered }], skipDuplicates: true });
  const row = await database.toolPin.findUniqueOrThrow({ where: { tenant_root_tool_range: pin }, select: { version: true } });
  return row.version;
}

/** One call of a tool, as it went. */
export interface CallOfTool {
  tenant: string;
  tool: string;
  version: string;
  runId: string;
  path: string;
  startedAt: Date;
  durationMs: number;
  /** `ok`, or the code of the fault. */
  outcome: string;
  detail: string | null;
}

export async function recordCalls(database: Database, calls: CallOfTool[]): Promise<void> {
  await database.toolCall.createMany({ data: calls });
}

export async function forgetOldCalls(database: Database): Promise<void> {
  await database.toolCall.deleteMany({ where: { startedAt: { lt: new Date(Date.now() - limits.toolCallsKeepMs) } } });
}

export interface ToolStatistics {
  calls: number;
  /** null when nothing has been called. */
  successRate: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  lastError: JsonObject | null;
}

/**
 * How tools did for a tenant of late. What its callers did wrong (`tool_input`, `policy`) is not theirs. `policy` of an MCP server's is: it is
 * not as it was approved, or its secret is missing, for whoever calls it.
 */
export async function statisticsOf(database: Database, tenant: string, tools: string[]): Promise<Map<string, ToolStatistics>> {
  const since = new Date(Date.now() - limits.toolStatisticsMs);
  const [sums, errors] = await Promise.all([
    database.$queryRaw<Sums[]>`
      SELECT tool, count(*)::int AS calls, count(*) FILTER (WHERE outcome = 'ok')::int AS good,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95
      FROM tool_calls WHERE tenant = ${tenant} AND tool = ANY(${tools}) AND started_at > ${since}
        AND outcome <> 'tool_input' AND (outcome <> 'policy' OR position('/' in tool) > 0)
      GROUP BY tool`,
    database.$queryRaw<LastError[]>`
      SELECT DISTINCT ON (tool) tool, outcome, detail, started_at AS "startedAt", run_id AS "runId" FROM tool_calls
      WHERE tenant = ${tenant} AND tool = ANY(${tools}) AND started_at > ${since} AND outcome <> 'ok' ORDER BY tool, id DESC`,
  ]);
  const last = new Map(errors.map(({ tool, ...error }) => [tool, error]));
  const found = new Map(sums.map((row) => [row.tool, row]));
  return new Map(tools.map((tool) => [tool, statisticsFrom(found.get(tool), last.get(tool))]));
}

interface Sums {
  tool: string;
  calls: number;
  good: number;
  p50: number;
  p95: number;
}

interface LastError {
  tool: string;
  outcome: string;
  detail: string | null;
  startedAt: Date;
  runId: string;
}

const statisticsFrom = (sums: Sums | undefined, error: Omit<LastError, "tool"> | undefined): ToolStatistics => ({
  calls: sums?.calls ?? 0,
  successRate: sums ? sums.good / sums.calls : null,
  p50Ms: sums ? Math.round(sums.p50) : null,
  p95Ms: sums ? Math.round(sums.p95) : null,
  lastError: error ? ({ ...error, startedAt: error.startedAt.toISOString() } as unknown as Json as JsonObject) : null,
});
