import { randomUUID } from "node:crypto";
import { Fault } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { queries, type PlanStanding } from "../contracts/messages.ts";
import {
  migrateSchema,
  patchPlanSchema,
  planChangeSchema,
  runPlanSchema,
  type Migrate,
  type PatchPlan,
} from "../contracts/plan-change.schema.ts";
import { readDefinitionValue } from "../language/index.ts";
import type { PlanRefusal } from "../language/plan-change.ts";
import { patchDefinition, type PlanOperation } from "../language/surgery.ts";
import { sha256 } from "../prisma/hash.ts";
import { addressOf, attempted, inputRefusals, type Planned, type Walked, type Wanted } from "./ask-plan.ts";
import { plansOf } from "./begin.ts";
import { runParams } from "./parameters.ts";
import { faultBehind, faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { hasEnded, seeRun } from "./run-view.ts";
import { reach } from "./temporal.ts";
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
];

type OnRun<B = unknown> = Call<{ id: string }, unknown, B>;

async function getPlan(call: OnRun): Promise<Answer> {
  const run = await walked(call);
  const { workflow, version, planHash } = run;
  const { source } = await plansOf(call.deps).frozen(call.caller.tenant, run);
  return ok({ workflow, version, planHash, definition: source });
}

/**
 * Made of what the run is to walk: with the changes that it has taken in and not made yet. Another that comes between is made room for, unless the
 * caller has said which plan they mean.
 */
async function patch(call: OnRun<PatchPlan>): Promise<Answer> {
  const run = await walked(call);
  const id = changeIdOf(call, run.id);
  for (let tries = 1; ; tries += 1) {
    const standing = await standingOf(call, run);
    const known = await taken(call, run.id, { id, standing });
    if (known) return accepted(run.id, known);
    try {
      return await patchOnce(call, { ...run, ...standing }, id);
    } catch (error) {
      const isOvertaken = faultBehind(error)?.code === "conflict" && call.body.planHash === undefined;
      if (!isOvertaken || tries === TRIES_MAX) throw error;
    }
  }
}

/** So many changes of others may come between before the caller is asked to come again. */
const TRIES_MAX = 5;

async function patchOnce(call: OnRun<PatchPlan>, run: Walked, id: string): Promise<Answer> {
  const { body, caller, deps } = call;
  if (body.planHash !== undefined && body.planHash !== run.planHash)
    throw new Fault("conflict", `The run walks plan ${run.planHash} by now, or is about to; read it again.`);
  const { source: before } = await plansOf(deps).frozen(caller.tenant, run);
  const source = patchDefinition(before, body.operations as PlanOperation[]);
  const read = readDefinitionValue(source, { hashOf: sha256 });
  if (!read.ok) throw faultOf("definition_invalid", "The changed definition has problems; `errors` lists all of them.", read.problems);
  const bad = unkeepable(source);
  if (bad) throw faultOf("definition_invalid", bad.message, [{ code: "wrong_value", path: bad.pointer, message: bad.message }]);
  if (!body.dryRun) await plansOf(deps).keepPatched(caller.tenant, { source, plan: read.plan, by: caller.principal.name });
  return change(call, { run: run.id, plan: read.plan, kind: "patch", dryRun: body.dryRun, id, of: run.planHash });
}

/** The same for a repetition; by the run's own id, whichever of its ids the address has. */
const changeIdOf = ({ idempotencyKey }: Call, run: string): string =>
  idempotencyKey === undefined ? randomUUID() : sha256(`${run}\0${idempotencyKey}`);

/** What the run is to walk; a run that has not begun is to walk what it was started with. */
async function standingOf(call: Call, run: Walked): Promise<PlanStanding> {
  const standing = await reach(addressOf(call, run.id), (handle) => handle.query<PlanStanding | null>(queries.plan));
  return standing ?? { ...run, pending: [] };
}

/** What became of a change that was asked for before, when nobody heard the answer. */
async function taken(
  call: Call,
  run: string,
  { id, standing: { pending } }: { id: string; standing: PlanStanding },
): Promise<Planned | undefined> {
  if (call.idempotencyKey === undefined) return undefined;
  const waits = pending.find((change) => change.id === id);
  if (waits) return waits;
  const [made] = await call.deps.database.$queryRaw<Planned[]>`
    SELECT data ->> 'version' AS version, data ->> 'planHash' AS "planHash" FROM events
    WHERE run_id = ${run} AND type = 'plan.changed' AND data ->> 'change' = ${id} LIMIT 1`;
  return made;
}

async function migrate(call: OnRun<Migrate>): Promise<Answer> {
  const run = await walked(call);
  const plan = await plansOf(call.deps).load(call.caller.tenant, run.workflow, call.body.version);
  const unfit = await inputRefusals(call, run, plan);
  return change(call, { run: run.id, plan, kind: "migrate", dryRun: call.body.dryRun, unfit });
}

async function change(call: Call, wanted: Wanted): Promise<Answer> {
  const { run, plan } = wanted;
  const refusals = await attempted(call, wanted);
  return accepted(run, { version: plan.version, planHash: plan.hash }, refusals);
}

const accepted = (runId: string, { version, planHash }: Planned, refusals: PlanRefusal[] = []): Answer =>
  ok({ runId, version, planHash, accepted: refusals.length === 0, refusals: refusals as Json });

async function walked(call: OnRun): Promise<Walked> {
  const seen = await seeRun(call, call.params.id);
  if (hasEnded(seen) && call.request.method !== "GET") throw new Fault("run_ended", `Run ${seen.id} has ended: ${seen.status}.`);
  const row = await call.deps.database.run.findFirst({
    where: { id: seen.id, tenant: call.caller.tenant },
    select: { workflow: true, version: true, planHash: true, isWindow: true, parentId: true },
  });
  if (!row) throw new Fault("unavailable", `Run ${seen.id} has not told its plan yet; ask again in a moment.`);
  const { isWindow, parentId, ...which } = row;
  if (isWindow && call.request.method !== "GET")
    throw new Fault("plan_refused", `Run ${seen.id} does items of a \`foreach\` for run ${parentId}; change the plan of that one.`);
  return { id: seen.id, ...which };
}
