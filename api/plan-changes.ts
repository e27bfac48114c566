import { randomUUID } from "node:crypto";
import { z } from "zod";
import { terminalStatuses } from "../contracts/events.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { queries } from "../contracts/messages.ts";
import {
  migrateAllSchema,
  migrateSchema,
  migrationReportSchema,
  patchPlanSchema,
  planChangeSchema,
  runPlanSchema,
  type Migrate,
  type MigrateAll,
  type PatchPlan,
} from "../contracts/plan-change.schema.ts";
import { readDefinitionValue, type Plan } from "../language/index.ts";
import type { PlanRefusal } from "../language/plan-change.ts";
import { patchDefinition, type PlanOperation } from "../language/surgery.ts";
import { audit } from "../prisma/audit.ts";
import type { FrozenPlan } from "../prisma/plans.ts";
import { plansOf } from "./begin.ts";
import { sha256 } from "../prisma/hash.ts";
import { runParams } from "./parameters.ts";
import { faultBehind, faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { hasEnded, seeRun } from "./run-view.ts";
import { reach, update } from "./temporal.ts";
import { unkeepable } from "./text.ts";

const tag = "Changing running runs";
const changed = { 200: { description: "Accepted, or what a dry run found.", schema: planChangeSchema } };

export const planChangeRoutes = [
  route({
    id: "getRunPlan",
    method: "get",
    path: "/api/v2/runs/{id}/plan",
    summary: "The definition that the run walks",
    tag,
    scope: "read",
    params: runParams,
    answers: { 200: { description: "With what was changed for this run.", schema: runPlanSchema } },
    faults: ["not_found"],
    handle: getPlan,
  }),
  route({
    id: "patchRunPlan",
    method: "patch",
    path: "/api/v2/runs/{id}/plan",
    summary: "Add, replace or remove steps that have not started",
    description: "Takes effect as soon as no call is in flight. The published version stays as it is.",
    tag,
    scope: "publish",
    idempotency: "table",
    params: runParams,
    body: patchPlanSchema,
    answers: changed,
    faults: ["not_found", "run_ended", "conflict", "definition_invalid", "plan_refused"],
    handle: patch,
  }),
  route({
    id: "migrateRun",
    method: "post",
    path: "/api/v2/runs/{id}/migrate",
    summary: "Go on with another version of the workflow",
    description: "What has ended or is open must stand unchanged in that version.",
    tag,
    scope: "publish",
    idempotency: "table",
    params: runParams,
    body: migrateSchema,
    answers: changed,
    faults: ["not_found", "run_ended", "plan_refused"],
    handle: migrate,
  }),
  route({
    id: "migrateRuns",
    method: "post",
    path: "/api/v2/workflows/{name}/migrate",
    summary: "Let all open runs that can go on with another version",
    description: `At most ${limits.migrateRunsMax} runs a request; \`next\` goes on. With \`dryRun\` nothing is changed.`,
    tag,
    scope: "publish",
    idempotency: "table",
    params: z.object({ name: z.string().min(1).max(255) }),
    body: migrateAllSchema,
    answers: { 200: { description: "Each run, with why it cannot.", schema: migrationReportSchema } },
    faults: ["not_found"],
    handle: migrateAll,
  }),
];

type OnRun<B = unknown> = Call<{ id: string }, unknown, B>;

async function getPlan(call: OnRun): Promise<Answer> {
  const { run, frozen } = await walked(call);
  const { workflow, version, planHash } = run;
  return ok({ workflow, version, planHash, definition: frozen.source });
}

async function patch(call: OnRun<PatchPlan>): Promise<Answer> {
  const { run, frozen } = await walked(call);
  if (call.body.planHash !== undefined && call.body.planHash !== run.planHash)
    throw new Fault("conflict", `The run walks plan ${run.planHash} by now; read it again.`);
  const source = patchDefinition(frozen.source, call.body.operations as PlanOperation[]);
  const read = readDefinitionValue(source, { hashOf: sha256 });
  if (!read.ok) throw faultOf("definition_invalid", "The changed definition has problems; `errors` lists all of them.", read.problems);
  const bad = unkeepable(source);
  if (bad) throw faultOf("definition_invalid", bad.message, [{ code: "wrong_value", path: bad.pointer, message: bad.message }]);
  const { principal, tenant } = call.caller;
  if (!call.body.dryRun) await plansOf(call.deps).keepPatched(tenant, { source, plan: read.plan, by: principal.name });
  return change(call, { run: run.id, plan: read.plan, kind: "patch", dryRun: call.body.dryRun });
}

async function migrate(call: OnRun<Migrate>): Promise<Answer> {
  const { run } = await walked(call);
  const plan = await plansOf(call.deps).load(call.caller.tenant, run.workflow, call.body.version);
  return change(call, { run: run.id, plan, kind: "migrate", dryRun: call.body.dryRun });
}

interface Wanted {
  run: string;
  plan: Plan;
  kind: "patch" | "migrate";
  dryRun: boolean;
}

async function change(call: Call, wanted: Wanted): Promise<Answer> {
  const { run, plan } = wanted;
  const refusals = await attempted(call, wanted);
  return ok({ runId: run, version: plan.version, planHash: plan.hash, accepted: refusals.length === 0, refusals: refusals as Json });
}

/** A dry run asks why not; otherwise the run is told, and throws why not. */
async function attempted(call: Call, wanted: Wanted): Promise<PlanRefusal[]> {
  if (wanted.dryRun) return refusalsOf(call, wanted);
  await ask(call, wanted);
  return [];
}

async function migrateAll(call: Call<{ name: string }, unknown, MigrateAll>): Promise<Answer> {
  const { deps, caller, body, params } = call;
  const plan = await plansOf(deps).load(caller.tenant, params.name, body.to);
  const rows = await deps.database.run.findMany({
    where: {
      tenant: caller.tenant,
      workflow: params.name,
      status: { notIn: [...terminalStatuses] },
      planHash: { not: plan.hash },
      ...(body.from === undefined ? {} : { version: body.from }),
      ...(body.startedBefore === undefined ? {} : { startedAt: { lt: new Date(body.startedBefore) } }),
      ...(body.cursor === undefined ? {} : { id: { gt: body.cursor } }),
    },
    orderBy: { id: "asc" },
    take: limits.migrateRunsMax,
    select: { id: true },
  });
  const runs: JsonObject[] = [];
  for (let at = 0; at < rows.length; at += abreast)
    runs.push(
      ...(await Promise.all(
        rows.slice(at, at + abreast).map(({ id }) => reportOn(call, { run: id, plan, kind: "migrate", dryRun: body.dryRun })),
      )),
    );
  const accepted = runs.filter((run) => run["accepted"]).length;
  const next = rows.length === limits.migrateRunsMax ? rows.at(-1)!.id : null;
  return ok({ runs, accepted, refused: runs.length - accepted, next });
}

/** How many workflows are spoken to at once. */
const abreast = 10;

async function reportOn(call: Call, wanted: Wanted): Promise<JsonObject> {
  const { run } = wanted;
  try {
    const refusals = await attempted(call, wanted);
    return { runId: run, accepted: refusals.length === 0, refusals: refusals as Json };
  } catch (error) {
    // One that ended meanwhile, or cannot answer, does not keep the others.
    const problem = faultBehind(error)?.problem;
    if (!problem) throw error;
    return { runId: run, accepted: false, refusals: problem["refusals"] ?? [], error: problem.detail };
  }
}

const addressOf = ({ deps, caller }: Call, run: string) => ({ temporal: deps.temporal, tenant: caller.tenant, run });

async function ask(call: Call, { run, plan, kind }: Wanted): Promise<void> {
  const updateId = sha256(`${run}\0${plan.hash}\0${call.idempotencyKey ?? randomUUID()}`);
  const argument = { plan: plan as unknown as Json, kind, by: call.caller.principal.name };
  await update(addressOf(call, run), "changePlan", { updateId, argument });
  const { deps, caller, requestId } = call;
  const data = { version: plan.version, planHash: plan.hash };
  await audit(deps.database, { tenant: caller.tenant, actor: caller.principal.name, action: `run.${kind}`, object: run, data, requestId });
}

const refusalsOf = (call: Call, { run, plan }: Wanted): Promise<PlanRefusal[]> =>
  reach(addressOf(call, run), (handle) => handle.query<PlanRefusal[], [Json]>(queries.planRefusals, plan as unknown as Json));

async function walked(
  call: OnRun,
): Promise<{ run: { id: string; workflow: string; version: string; planHash: string }; frozen: FrozenPlan }> {
  const seen = await seeRun(call, call.params.id);
  if (hasEnded(seen) && call.request.method !== "GET") throw new Fault("run_ended", `Run ${seen.id} has ended: ${seen.status}.`);
  const { tenant } = call.caller;
  const row = await call.deps.database.run.findFirst({
    where: { id: seen.id, tenant },
    select: { workflow: true, version: true, planHash: true },
  });
  if (!row) throw new Fault("unavailable", `Run ${seen.id} has not told its plan yet; ask again in a moment.`);
  return { run: { id: seen.id, ...row }, frozen: await plansOf(call.deps).frozen(tenant, row) };
}
