import { z } from "zod";
import {
  definitionPageSchema,
  definitionVersionSchema,
  definitionVersionsSchema,
  publishedSchema,
  validationSchema,
  type Detail,
} from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { leadingFirst, newestFirst } from "../contracts/semver.ts";
import { languageJsonSchema, readDefinition } from "../language/index.ts";
import { Prisma } from "../prisma/client.ts";
import { decodeCursor, encodeCursor, pageOf, pageOfVersions } from "./cursor.ts";
import { sha256 } from "../prisma/hash.ts";
import { pageQuery } from "./parameters.ts";
import { isUniqueViolation } from "./postgres.ts";
import { faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call, type DefinitionText } from "./route.ts";
import { lockWorkflow, replaceTriggers, syncSchedules } from "./triggers.ts";
import { unkeepable } from "./text.ts";

const nameParams = z.object({ name: z.string().min(1).max(255) });
type Named = z.output<typeof nameParams>;
const versionParams = nameParams.extend({ version: z.string().min(1).max(255) });
const tag = "Workflows";

export const definitionRoutes = [
  route({
    id: "publishWorkflow",
    method: "post",
    path: "/api/v2/workflows",
    summary: "Publish a version of a workflow",
    description: "The same definition again answers 200. A version never changes.",
    tag,
    scope: "publish",
    text: true,
    idempotency: "table",
    answers: {
      200: { description: "This very definition was published before.", schema: publishedSchema, headers: ["Location"] },
      201: { description: "Published.", schema: publishedSchema, headers: ["Location"] },
    },
    faults: ["version_exists", "definition_invalid"],
    handle: publish,
  }),
  route({
    id: "validateWorkflow",
    method: "post",
    path: "/api/v2/workflows/validate",
    summary: "Check a definition without publishing it",
    tag,
    scope: "read",
    text: true,
    answers: { 200: { description: "Every problem at once.", schema: validationSchema } },
    handle: validate,
  }),
  route({
    id: "listWorkflows",
    method: "get",
    path: "/api/v2/workflows",
    summary: "The newest version of each workflow, by name",
    tag,
    scope: "read",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: definitionPageSchema } },
    handle: list,
  }),
  route({
    id: "getWorkflow",
    method: "get",
    path: "/api/v2/workflows/{name}",
    summary: "All versions of a workflow",
    tag,
    scope: "read",
    params: nameParams,
    query: pageQuery,
    answers: { 200: { description: "Highest version first.", schema: definitionVersionsSchema } },
    faults: ["not_found"],
    handle: versionsOf,
  }),
  route({
    id: "getWorkflowVersion",
    method: "get",
    path: "/api/v2/workflows/{name}/versions/{version}",
    summary: "One version with its definition",
    tag,
    scope: "read",
    params: versionParams,
    answers: { 200: { description: "The version.", schema: definitionVersionSchema } },
    faults: ["not_found"],
    handle: getVersion,
  }),
  route({
    id: "getWorkflowJsonSchema",
    method: "get",
    path: "/api/v2/workflow.schema.json",
    summary: "The JSON Schema of definitions, for editors",
    tag,
    scope: "open",
    answers: { 200: { description: "JSON Schema 2020-12.", schema: z.record(z.string(), z.unknown()) } },
    handle: async () => ok(languageJsonSchema() as JsonObject),
  }),
];

async function publish(call: Call): Promise<Answer> {
  const read = check(call);
  if (!read.ok) throw faultOf("definition_invalid", "The definition has problems; `errors` lists all of them.", read.problems);
  const { definition, plan } = read;
  const { tenant, principal } = call.caller;
  const answer = { name: plan.name, version: plan.version, hash: plan.hash };
  const headers = { Location: `/api/v2/workflows/${encodeURIComponent(plan.name)}/versions/${encodeURIComponent(plan.version)}` };
  const row = { tenant, ...answer, source: definition as object, plan: plan as object, publishedBy: principal.name, ...labels(definition) };
  try {
    await call.deps.database.$transaction(async (transaction) => {
      await lockWorkflow(transaction, tenant, plan.name);
      const ofName = { tenant, name: plan.name, latest: true };
      const before = await transaction.definition.findFirst({ where: ofName, select: { version: true } });
      const latest = before === null || leadingFirst(plan, before) < 0;
      if (latest) await transaction.definition.updateMany({ where: ofName, data: { latest: false } });
      await transaction.definition.create({ data: { ...row, latest }, select: { name: true } });
      if (latest) await replaceTriggers(transaction, tenant, plan);
    });
    await syncSoon(call, plan.name);
    return { status: 201, body: answer, headers };
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
  }
  const where = { tenant_name_version: { tenant, name: plan.name, version: plan.version } };
  const present = await call.deps.database.definition.findUniqueOrThrow({ where, select: { hash: true } });
  if (present.hash === plan.hash) {
    await syncSoon(call, plan.name);
    return { status: 200, body: answer, headers };
  }
  throw new Fault("version_exists", `${plan.name} ${plan.version} is published with other content; publish under a new version.`);
}

// Published it is; should Temporal be away, the API's sweep brings the schedules along.
async function syncSoon({ deps, caller: { tenant } }: Call, workflow: string): Promise<void> {
  const sync = (): Promise<void> => syncSchedules(deps, { tenant, workflow });
  await deps.temporal
    .withDeadline(Date.now() + limits.updateDeadlineMs, sync)
    .catch((error: unknown) => deps.log.warn({ err: error, workflow }, "schedules follow later"));
}

async function validate(call: Call): Promise<Answer> {
  const read = check(call);
  const problems = read.ok ? [] : read.problems;
  return ok({ valid: read.ok, problems: problems as unknown as Json });
}

async function list({ deps, caller, query }: Call<unknown, z.output<typeof pageQuery>>): Promise<Answer> {
  const after = decodeCursor(query.cursor, 0)?.[1] ?? "";
  const rows = await deps.database.definition.findMany({
    where: { tenant: caller.tenant, latest: true, name: { gt: after } },
    orderBy: { name: "asc" },
    take: query.limit + 1,
    omit: { source: true, plan: true },
  });
  return ok(pageOf(rows, query.limit, { item: view, cursor: (row) => encodeCursor([0, row.name]) }));
}

async function versionsOf({ deps, caller, params, query }: Call<Named, z.output<typeof pageQuery>>): Promise<Answer> {
  const { definition } = deps.database;
  const where = { tenant: caller.tenant, name: params.name };
  const latest = await definition.findFirst({ where: { ...where, latest: true }, select: { version: true } });
  if (!latest) throw new Fault("not_found", `No workflow ${params.name}.`);
  const { shown, page } = pageOfVersions(await definition.findMany({ where, select: { version: true } }), query);
  const rows = await definition.findMany({ where: { ...where, version: { in: shown } }, omit: { source: true, plan: true } });
  return ok({ name: params.name, latest: latest.version, versions: rows.toSorted(newestFirst).map(view), page });
}

async function getVersion({ deps, caller, params }: Call<z.output<typeof versionParams>>): Promise<Answer> {
  const where = { tenant_name_version: { tenant: caller.tenant, ...params } };
  const row = await deps.database.definition.findUnique({ where });
  if (!row) throw new Fault("not_found", `No version ${params.version} of workflow ${params.name}.`);
  // Written from a Plan when it was published.
  const { input = null, outputSchema = null } = row.plan as JsonObject;
  return ok({ ...view(row), definition: row.source as Json, input, output: outputSchema });
}

type Checked = { ok: true; definition: JsonObject; plan: Plan } | { ok: false; problems: Detail[] };
type Plan = Extract<ReturnType<typeof readDefinition>, { ok: true }>["plan"];

function check({ body }: Call): Checked {
  const { text, format } = body as DefinitionText;
  const read = readDefinition(text, format, { hashOf: sha256 });
  if (!read.ok) return read;
  const definition = read.definition as unknown as JsonObject;
  const bad = unkeepable(definition) ?? reservedName(read.plan.name);
  if (bad) return { ok: false, problems: [{ code: "wrong_value", path: bad.pointer, message: bad.message }] };
  return { ok: true, definition, plan: read.plan };
}

// `/workflows/validate` is an address of its own.
const reservedName = (name: string) =>
  name === "validate" ? { pointer: "name", message: "The name `validate` is taken by the API; choose another." } : undefined;

const labels = (definition: JsonObject) => ({ title: textOf(definition["title"]), description: textOf(definition["description"]) });
const textOf = (value: Json | undefined): string | null => (typeof value === "string" ? value : null);

type Row = Prisma.DefinitionGetPayload<{ omit: { source: true; plan: true } }>;

const view = ({ name, version, title, description, hash, publishedBy, publishedAt }: Row): JsonObject => ({
  name,
  version,
  title,
  description,
  hash,
  publishedBy,
  publishedAt: publishedAt.toISOString(),
});
