import { z } from "zod";
import {
  agentPageSchema,
  agentSchema,
  agentStatePageSchema,
  agentStateSchema,
  agentVersionSchema,
  agentWithStateSchema,
  changeAgentStateSchema,
  publishedAgentSchema,
  type ChangeAgentState,
} from "../contracts/agent.schema.ts";
import { toolTime } from "../contracts/agent-task.ts";
import { agentStates, type Agent } from "../contracts/agents.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { guardrailFindings } from "../language/check-guardrails.ts";
import { changeAgentState, currentOf, definitionOf, publishAgent, withState, type AgentRow, type AgentStateRow } from "../prisma/agents.ts";
import { Prisma } from "../prisma/client.ts";
import { decodeCursor, encodeCursor, pageOf, pageOfVersions, placeMax } from "./cursor.ts";
import { pageQuery } from "./parameters.ts";
import { faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { notSpans } from "./spans.ts";

const nameParams = z.object({ name: z.string().min(1).max(255) });
const versionParams = nameParams.extend({ version: z.string().min(1).max(255) });
const listQuery = pageQuery
  .extend({
    capability: z.string().min(1).max(64).optional().meta({ description: "Only those that can do it." }),
    minLevel: z.coerce.number().int().min(1).max(5).optional().meta({ description: "And so well at least; with `capability`." }),
    state: z.enum(agentStates).optional(),
    tag: z.string().min(1).max(256).optional(),
    text: z.string().min(1).max(256).optional().meta({ description: "Stands in name, title, description or role, in either case." }),
  })
  .refine(({ capability, minLevel }) => minLevel === undefined || capability !== undefined, {
    path: ["minLevel"],
    error: "`minLevel` is about `capability`: give one, or leave it out.",
  });
type ListQuery = z.output<typeof listQuery>;
type Named = { name: string };

const common = { tag: "Agents", scope: "read" } as const;
const ofAgent = { ...common, params: nameParams, faults: ["not_found" as const] };

export const agentRoutes = [
  route({
    ...common,
    id: "publishAgent",
    method: "post",
    path: "/api/v2/agents",
    summary: "Publish a version of an agent",
    description: "The same agent again answers 200. A version never changes; the first one makes the agent `active`.",
    scope: "publish",
    body: agentSchema,
    idempotency: "table",
    answers: {
      200: { description: "This very agent was published before.", schema: publishedAgentSchema, headers: ["Location"] },
      201: { description: "Published.", schema: publishedAgentSchema, headers: ["Location"] },
    },
    faults: ["version_exists", "agent_state"],
    handle: publish,
  }),
  route({
    ...common,
    id: "listAgents",
    method: "get",
    path: "/api/v2/agents",
    summary: "The highest version of each agent, by name",
    query: listQuery,
    answers: { 200: { description: "A page.", schema: agentPageSchema } },
    handle: list,
  }),
  route({
    ...ofAgent,
    id: "getAgent",
    method: "get",
    path: "/api/v2/agents/{name}",
    summary: "The highest version of an agent, its state and its versions",
    query: pageQuery,
    answers: { 200: { description: "The agent.", schema: agentWithStateSchema } },
    handle: get,
  }),
  route({
    ...ofAgent,
    id: "getAgentVersion",
    method: "get",
    path: "/api/v2/agents/{name}/versions/{version}",
    summary: "One version with its definition",
    params: versionParams,
    answers: { 200: { description: "The version.", schema: agentVersionSchema } },
    handle: getVersion,
  }),
  route({
    ...ofAgent,
    id: "changeAgentState",
    method: "post",
    path: "/api/v2/agents/{name}/state",
    summary: "Pause, resume, stop, restart or retire an agent, in all its versions",
    description: "`stopped` is the kill switch. The state it is in already answers 200 and changes nothing.",
    scope: "pause",
    body: changeAgentStateSchema,
    idempotency: "table",
    answers: { 200: { description: "The state it is in now.", schema: agentStateSchema } },
    faults: ["not_found", "agent_state", "revision_stale"],
    handle: changeState,
  }),
  route({
    ...ofAgent,
    id: "listAgentStates",
    method: "get",
    path: "/api/v2/agents/{name}/states",
    summary: "All states of an agent, newest first",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: agentStatePageSchema } },
    handle: states,
  }),
];

async function publish({ deps, caller, body, requestId }: Call<unknown, unknown, Agent>): Promise<Answer> {
  refuseUnfit(body);
  const { tenant, principal } = caller;
  const { row, state, isNew } = await publishAgent(deps.database, body, { tenant, by: principal.name, requestId });
  const headers = { Location: `/api/v2/agents/${encodeURIComponent(row.name)}/versions/${encodeURIComponent(row.version)}` };
  return { status: isNew ? 201 : 200, body: { ...versionView(row), state }, headers };
}

async function list({ deps, caller, query }: Call<unknown, ListQuery>): Promise<Answer> {
  const { capability, minLevel = 1, state, tag, text, limit } = query;
  const after = decodeCursor(query.cursor, 0)?.[1];
  const wanted = JSON.stringify({ name: capability ?? "", level: minLevel });
  const conditions = [
    Prisma.sql`agents.tenant = ${caller.tenant} AND latest`,
    ...(after === undefined ? [] : [Prisma.sql`agents.name > ${after}`]),
    ...(state === undefined ? [] : [Prisma.sql`now_is.state = ${state}`]),
    ...(tag === undefined ? [] : [Prisma.sql`definition->'tags' @> to_jsonb(${tag}::text)`]),
    ...(text === undefined ? [] : [Prisma.sql`position(lower(${text}) IN lower(${searched})) > 0`]),
    ...(capability === undefined ? [] : [Prisma.sql`jsonb_path_exists(definition, ${capable}::jsonpath, ${wanted}::jsonb)`]),
  ];
  const rows = await deps.database.$queryRaw<ListRow[]>`
    SELECT agents.name, version, hash, published_by AS "publishedBy", published_at AS "publishedAt", definition - 'instructions' AS definition,
      now_is.state, now_is.revision
    FROM agents CROSS JOIN LATERAL (
      SELECT state, revision FROM agent_states WHERE tenant = agents.tenant AND name = agents.name ORDER BY revision DESC LIMIT 1
    ) AS now_is
    WHERE ${Prisma.join(conditions, " AND ")} ORDER BY agents.name LIMIT ${limit + 1}`;
  return ok(pageOf(rows, limit, { item: listView, cursor: (row) => encodeCursor([0, row.name]) }));
}

const searched = Prisma.sql`concat_ws(' ', agents.name, definition->>'title', definition->>'description', definition->>'role')`;
const capable = "$.capabilities[*] ? (@.name == $name && @.level >= $level)";

async function get({ deps, caller, params, query }: Call<Named, z.output<typeof pageQuery>>): Promise<Answer> {
  const where = { tenant: caller.tenant, name: params.name };
  const current = await currentOf(deps.database, caller.tenant, params.name);
  const { shown: versions, page } = pageOfVersions(await deps.database.agent.findMany({ where, select: { version: true } }), query);
  const row = await deps.database.agent.findFirstOrThrow({ where: { ...where, latest: true } });
  return ok({ ...stateView(current), ...versionView(row), definition: json(row), versions, page });
}

async function getVersion({ deps, caller, params }: Call<z.output<typeof versionParams>>): Promise<Answer> {
  const { tenant } = caller;
  await currentOf(deps.database, tenant, params.name);
  const row = await deps.database.agent.findUnique({ where: { tenant_name_version: { tenant, ...params } } });
  if (!row) throw new Fault("not_found", `No version ${params.version} of agent ${params.name}.`);
  return ok({ ...versionView(row), definition: json(row) });
}

async function changeState({ deps, caller, params, body, requestId }: Call<Named, unknown, ChangeAgentState>): Promise<Answer> {
  const { tenant, principal } = caller;
  const { restart = false, ...change } = body;
  return ok(
    stateView(await changeAgentState(deps.database, { ...change, restart, tenant, name: params.name, by: principal.name, requestId })),
  );
}

async function states({ deps, caller, params, query }: Call<Named, z.output<typeof pageQuery>>): Promise<Answer> {
  const { tenant } = caller;
  await currentOf(deps.database, tenant, params.name);
  const before = decodeCursor(query.cursor, placeMax.seq)?.[0];
  const rows = await deps.database.agentState.findMany({
    where: { tenant, name: params.name, ...(before === undefined ? {} : { revision: { lt: before } }) },
    orderBy: { revision: "desc" },
    take: query.limit + 1,
  });
  const item = (row: (typeof rows)[number]): JsonObject => stateView(withState(row));
  return ok(pageOf(rows, query.limit, { item, cursor: ({ revision }) => encodeCursor([revision, ""]) }));
}

/** What the schema cannot say. */
function refuseUnfit({ limits, approval, memory, tools = [], guardrails = [] }: Agent): void {
  const errors = notSpans([
    ["/limits/timeout", limits?.timeout],
    ["/approval/expiresAfter", approval?.expiresAfter],
    ["/approval/remindAfter", approval?.remindAfter],
    ["/memory/ttl", memory?.ttl],
    ...tools.map((tool, index) => [`/tools/${index}/timeout`, toolTime(tool)] as const),
  ]);
  const ofRules = guardrailFindings(guardrails, { hasTools: true }).map(({ code, path, message }) => ({
    pointer: `/guardrails/${path.join("/")}`,
    code,
    message,
  }));
  if (errors.length + ofRules.length > 0) throw faultOf("schema", "The body is not as it should be.", [...errors, ...ofRules]);
}

type Version = Omit<AgentRow, "tenant" | "definition" | "latest">;

const versionView = ({ name, version, hash, publishedBy, publishedAt }: Version): JsonObject => ({
  name,
  version,
  hash,
  publishedBy,
  publishedAt: publishedAt.toISOString(),
});

const stateView = ({ name, state, revision, why, changedBy, changedAt }: AgentStateRow): JsonObject => ({
  name,
  state,
  revision,
  why,
  changedBy,
  changedAt: changedAt.toISOString(),
});

const json = ({ definition }: AgentRow): Json => definition as Json;

interface ListRow extends Version {
  definition: Prisma.JsonValue;
  state: string;
  revision: number;
}

const listView = (row: ListRow): JsonObject => {
  const { title = null, description = null, role = null, tags = [], capabilities = [] } = definitionOf(row);
  return { ...versionView(row), title, description, role, tags, capabilities: capabilities as unknown as Json, ...nowIs(row) };
};

const nowIs = ({ state, revision }: ListRow): JsonObject => ({ state, revision });
