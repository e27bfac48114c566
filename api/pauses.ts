import { z } from "zod";
import { emptySchema } from "../contracts/api.schema.ts";
import {
  autoPauseSchema,
  pausePageSchema,
  pauseSchema,
  pauseStateSchema,
  type AutoPauseBody,
  type PauseBody,
} from "../contracts/pause.schema.ts";
import { Fault } from "../contracts/faults.ts";
import { queues, spreadPauseId } from "../contracts/ids.ts";
import type { JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { workflowTypes, type PausedScope } from "../contracts/messages.ts";
import { parseDuration } from "../language/duration.ts";
import { audit } from "../prisma/audit.ts";
import type { Prisma } from "../prisma/client.ts";
import { changePause, wholeTenant } from "../prisma/pauses.ts";
import { decodeCursor, encodeCursor, pageOf } from "./cursor.ts";
import { pageQuery } from "./parameters.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const nameParams = z.object({ name: z.string().min(1).max(255) });
const tag = "Pausing";

type Named = { name: string };

const state = { 202: { description: "Recorded; open runs are being told.", schema: pauseStateSchema } };
const shared = { method: "post", tag, idempotency: "table", answers: state, bodyOptional: true } as const;
const ofWorkflow = { ...shared, scope: "pause", params: nameParams, faults: ["not_found"] } as const;
const autoPause = { tag, params: nameParams, path: "/api/v2/workflows/{name}/auto-pause" } as const;

export const pauseRoutes = [
  route({
    ...ofWorkflow,
    id: "pauseWorkflow",
    path: "/api/v2/workflows/{name}/pause",
    summary: "Pause all runs of a workflow, also those started from now on",
    body: pauseSchema,
    faults: ["not_found"],
    handle: (call) => change(call, { isPaused: true, workflow: call.params.name }),
  }),
  route({
    ...ofWorkflow,
    id: "resumeWorkflow",
    path: "/api/v2/workflows/{name}/resume",
    summary: "Let the runs of a workflow go on",
    body: emptySchema,
    faults: ["not_found"],
    handle: (call) => change(call, { isPaused: false, workflow: call.params.name }),
  }),
  route({
    ...shared,
    id: "pauseTenant",
    path: "/api/v2/pause",
    summary: "Pause all runs of the tenant, also those started from now on",
    scope: "tenant",
    body: pauseSchema,
    handle: (call) => change(call, { isPaused: true }),
  }),
  route({
    ...shared,
    id: "resumeTenant",
    path: "/api/v2/resume",
    summary: "Let the runs of the tenant go on",
    scope: "tenant",
    body: emptySchema,
    handle: (call) => change(call, { isPaused: false }),
  }),
  route({
    id: "listPauses",
    method: "get",
    path: "/api/v2/pauses",
    summary: "What is paused now: workflows by name, the tenant first",
    tag,
    scope: "read",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: pausePageSchema } },
    handle: list,
  }),
  route({
    ...autoPause,
    id: "setAutoPause",
    method: "put",
    summary: "Let a workflow pause itself when too many of its runs fail",
    description: "Looked at every 30 s. A person resumes it; only runs that end after that count again.",
    scope: "pause",
    body: autoPauseSchema,
    answers: { 200: { description: "In force.", schema: autoPauseSchema } },
    faults: ["not_found"],
    handle: setAutoPause,
  }),
  route({
    ...autoPause,
    id: "getAutoPause",
    method: "get",
    summary: "When a workflow pauses itself",
    scope: "read",
    answers: { 200: { description: "The rule.", schema: autoPauseSchema } },
    faults: ["not_found"],
    handle: getAutoPause,
  }),
  route({
    ...autoPause,
    id: "removeAutoPause",
    method: "delete",
    summary: "Let a workflow no longer pause itself",
    scope: "pause",
    answers: { 204: { description: "Gone." } },
    handle: removeAutoPause,
  }),
];

async function change(call: Call<unknown, unknown, Partial<PauseBody>>, { isPaused, workflow }: Change): Promise<Answer> {
  const { deps, caller, requestId, body } = call;
  const { tenant, principal } = caller;
  if (workflow !== undefined) await known(call, workflow);
  const scope: PausedScope = { tenant, ...(workflow === undefined ? {} : { workflow }) };
  await changePause(deps.database, { ...scope, ...body, isPaused, by: principal.name, requestId });
  await spread(call, scope);
  const where = { tenant_workflow: { tenant, workflow: workflow ?? wholeTenant } };
  const row = await deps.database.pause.findUnique({ where });
  return { status: 202, body: row ? view(row) : never(workflow) };
}

interface Change {
  isPaused: boolean;
  workflow?: string;
}

/**
 * Tell the open runs. One that is at it begins anew, with what is said now. Should it never begin, the next round of
 * reconcile tells them one by one.
 */
async function spread({ deps }: Call, scope: PausedScope): Promise<void> {
  await deps.temporal.withDeadline(Date.now() + limits.updateDeadlineMs, () =>
    deps.temporal.workflow.start(workflowTypes.spreadPause, {
      workflowId: spreadPauseId(scope),
      taskQueue: queues.runs,
      args: [scope],
      workflowIdConflictPolicy: "TERMINATE_EXISTING",
    }),
  );
}

async function known({ deps, caller }: Call, name: string): Promise<void> {
  const row = await deps.database.definition.findFirst({ where: { tenant: caller.tenant, name }, select: { name: true } });
  if (!row) throw new Fault("not_found", `No workflow ${name}.`);
}

async function list({ deps, caller, query }: Call<unknown, z.output<typeof pageQuery>>): Promise<Answer> {
  const after = decodeCursor(query.cursor, 0)?.[1];
  const rows = await deps.database.pause.findMany({
    where: { tenant: caller.tenant, isPaused: true, ...(after === undefined ? {} : { workflow: { gt: after } }) },
    orderBy: { workflow: "asc" },
    take: query.limit + 1,
  });
  return ok(pageOf(rows, query.limit, { item: view, cursor: (row) => encodeCursor([0, row.workflow]) }));
}

async function setAutoPause(call: Call<Named, unknown, AutoPauseBody>): Promise<Answer> {
  const { deps, caller, params, body, requestId } = call;
  const { tenant, principal } = caller;
  const { failureRate, minimumRuns } = body;
  await known(call, params.name);
  const windowMs = windowOf(body.window);
  const rule = { failureRate, windowMs, minimumRuns, setBy: principal.name, setAt: new Date() };
  const id = { tenant, workflow: params.name };
  await deps.database.$transaction(async (transaction) => {
    await transaction.autoPause.upsert({ where: { tenant_workflow: id }, create: { ...id, ...rule }, update: rule });
    await audit(transaction, { tenant, actor: principal.name, action: "autoPause.set", object: params.name, data: body, requestId });
  });
  return ok({ failureRate, window: `${windowMs}ms`, minimumRuns });
}

async function getAutoPause({ deps, caller, params }: Call<Named>): Promise<Answer> {
  const where = { tenant_workflow: { tenant: caller.tenant, workflow: params.name } };
  const row = await deps.database.autoPause.findUnique({ where });
  if (!row) throw new Fault("not_found", `Workflow ${params.name} does not pause itself.`);
  return ok({ failureRate: row.failureRate, window: `${row.windowMs}ms`, minimumRuns: row.minimumRuns });
}

async function removeAutoPause(call: Call<Named>): Promise<Answer> {
  const { deps, caller, params, requestId } = call;
  const { tenant, principal } = caller;
  await known(call, params.name);
  const entry = { tenant, actor: principal.name, action: "autoPause.removed", object: params.name, data: {}, requestId };
  await deps.database.$transaction(async (transaction) => {
    const { count } = await transaction.autoPause.deleteMany({ where: { tenant, workflow: params.name } });
    if (count > 0) await audit(transaction, entry);
  });
  return { status: 204 };
}

function windowOf(text: string): number {
  const ms = durationOf(text);
  if (ms !== undefined && ms > 0 && ms <= limits.autoPauseWindowMs) return ms;
  const days = limits.autoPauseWindowMs / 86_400_000;
  throw new Fault("schema", `\`window\` must be a duration such as 15m or PT1H of at most ${days} days; it is ${JSON.stringify(text)}.`);
}

function durationOf(text: string): number | undefined {
  try {
    return parseDuration(text);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

const view = ({ workflow, isPaused, timers, why, changedBy, changedAt }: Prisma.PauseGetPayload<object>): JsonObject => ({
  workflow: workflow === wholeTenant ? null : workflow,
  paused: isPaused,
  timers,
  why,
  by: changedBy,
  at: changedAt.toISOString(),
});

const never = (workflow: string | undefined): JsonObject => ({
  workflow: workflow ?? null,
  paused: false,
  timers: "run",
  why: null,
  by: null,
  at: null,
});
