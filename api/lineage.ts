import { forkRunSchema, previewSchema, retryRunSchema, runSummarySchema, type ForkRun, type RetryRun } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import { canonicalJson, type Json, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Origin } from "../contracts/messages.ts";
import type { Plan } from "../language/plan.ts";
import { keep as kept, resolve } from "../prisma/blobs.ts";
import { budgetRoots } from "../prisma/budgets.ts";
import type { Prisma } from "../prisma/client.ts";
import { UNTOLD } from "../prisma/plans.ts";
import { claimRetry, isAtWork, refuseSecondRetry } from "./one-retry.ts";
import { checkPaths, preview } from "./preview.ts";
import { runParams } from "./parameters.ts";
import { ok, route, type Answer, type Call, type RouteAnswer } from "./route.ts";
import { jsonOf, rootOf, seeRun } from "./run-view.ts";
import { beginPrepared, checkInput, plansOf, runIdFor, type Prepared } from "./begin.ts";
import { startOnce } from "./start.ts";
import { describeRun } from "./temporal.ts";

const common = {
  method: "post",
  tag: "Runs",
  scope: "start",
  params: runParams,
  bodyOptional: true,
  idempotency: "handler",
  answers: {
    200: { description: "With `dryRun`: what would happen.", schema: previewSchema },
    202: { description: "Started.", schema: runSummarySchema, headers: ["Location"] },
  } as Record<number, RouteAnswer>,
} as const;

/** New runs that go on from old ones. */
export const lineageRoutes = [
  route({
    ...common,
    id: "retryRun",
    path: "/api/v2/runs/{id}/retry",
    summary: "Try a run that ended badly again, as a new run",
    description: "What had finished is taken over and costs nothing; what had failed or not begun runs, with the same idempotency keys.",
    body: retryRunSchema,
    faults: ["not_found", "not_retryable", "conflict", "idempotency_mismatch"],
    handle: retry,
  }),
  route({
    ...common,
    id: "forkRun",
    path: "/api/v2/runs/{id}/fork",
    summary: "Branch off from a run, with changes",
    description:
      "What does not depend on a change is taken over. What runs again has idempotency keys of its own; what tools have done outside with " +
      "the same arguments is not done again unless `reexecuteEffects`.",
    body: forkRunSchema,
    faults: ["not_found", "not_retryable", "idempotency_mismatch", "input_invalid", "reserved_key"],
    handle: fork,
  }),
];

type Row = Prisma.RunGetPayload<object>;
type LineageCall<B = unknown> = Call<{ id: string }, unknown, B>;

function retry(call: LineageCall<RetryRun>): Promise<Answer> {
  return goOn(call, "retry", async () => {
    const row = await recorded(call);
    await refuseRetry(call, row);
    const { plan } = await plansOf(call.deps).frozen(row.tenant, row);
    const origin: Origin = { run: row.id, kind: "retry" };
    const effectRoot = rootOf(row);
    return { plan, input: jsonOf(row.input), origin, effectRoot, ...(await budgetsOf(call, row, effectRoot)) };
  });
}

function fork(call: LineageCall<ForkRun>): Promise<Answer> {
  return goOn(call, "fork", async () => {
    const row = await recorded(call);
    const plans = plansOf(call.deps);
    const { plan: before } = await plans.frozen(row.tenant, row);
    const plan = call.body.version === undefined ? before : await plans.load(row.tenant, row.workflow, call.body.version);
    const input = await inputOf(call, row, plan);
    const isOther = canonicalJson(input) !== canonicalJson(jsonOf(row.input));
    const origin = await originOf(call, row, {
      plan,
      isAllOther: isOther || canonicalJson(plan.vars as Json) !== canonicalJson(before.vars as Json),
    });
    return { plan, input, origin, ...(await budgetsOf(call, row)) };
  });
}

/** What was spent stays spent, whatever is changed. `effectRoot`: of the run's keys, whose budgets they are where nothing else is said. */
async function budgetsOf({ deps }: LineageCall, row: Row, effectRoot?: string): Promise<Pick<Prepared, "budgetRoot">> {
  const budgetRoot = (await budgetRoots(deps.database, [row])).get(row.id)!;
  return budgetRoot === effectRoot ? {} : { budgetRoot };
}

interface GoOn extends Prepared {
  origin: Origin;
}

async function goOn(call: LineageCall<RetryRun>, kind: Origin["kind"], prepare: () => Promise<GoOn>): Promise<Answer> {
  const { params, caller, body, idempotencyKey } = call;
  if (body.dryRun) {
    const { plan, origin } = await prepare();
    return ok({ ...(await preview(call, origin, plan)) });
  }
  return startOnce(call, {
    // Of the run's id, whichever of its ids the address has.
    id: runIdFor(caller.tenant, idempotencyKey === undefined ? undefined : [kind, params.id, idempotencyKey]),
    request: [kind, params.id, body as Json],
    begin: async (base) => {
      const prepared = await prepare();
      const { effectRoot: root, origin } = prepared;
      // Before the claim, which is free again when nothing has begun for longer than a start can take.
      const priority = await priorityOf(call, origin.run);
      if (root !== undefined) await claimRetry(call, { of: params.id, root, run: base.id });
      return beginPrepared(call.deps, { ...base, ...priority }, prepared);
    },
  });
}

/** What its origin was started with; Temporal knows it as long as it knows that run. */
async function priorityOf(
  { deps, caller }: Call,
  run: string,
): Promise<Pick<Parameters<typeof beginPrepared>[1], "priority" | "fairnessKey">> {
  const description = await describeRun({ temporal: deps.temporal, tenant: caller.tenant, run });
  const { priorityKey, fairnessKey } = description?.raw.workflowExecutionInfo?.priority ?? {};
  return { ...(priorityKey ? { priority: priorityKey } : {}), ...(fairnessKey ? { fairnessKey } : {}) };
}

/** The run with what its log says; only what was recorded can be gone on from. */
async function recorded(call: LineageCall): Promise<Row> {
  const { id } = await seeRun(call, call.params.id);
  const row = await call.deps.database.run.findFirst({ where: { id, tenant: call.caller.tenant } });
  if (!row) throw new Fault("not_retryable", `Run ${id} has recorded nothing yet; ask again in a moment, or start a new run.`);
  if (row.endedAt && row.endedAt.getTime() < Date.now() - limits.runGoesOnMs)
    throw new Fault("not_retryable", `Run ${id} ended too long ago: what it has done outside may be forgotten. Start a new run.`);
  if (row.planHash === UNTOLD) throw new Fault("not_retryable", `Run ${id} was ended before it recorded anything; start a new run.`);
  return row;
}

async function refuseRetry(call: Call, row: Row): Promise<void> {
  if (row.status === "completed")
    throw new Fault("not_retryable", `Run ${row.id} has completed, nothing in it failed; fork it to run steps again.`);
  if (await isAtWork(call, row))
    throw new Fault("not_retryable", `Run ${row.id} has not ended (${row.status}); cancel it first, or fork it.`);
  await refuseSecondRetry(call, row);
}

async function inputOf({ deps, caller, body }: LineageCall<ForkRun>, row: Row, plan: Plan): Promise<Json> {
  if (body.input === undefined && body.version === undefined) return jsonOf(row.input);
  const input = body.input === undefined ? await resolve(deps.database, caller.tenant, jsonOf(row.input)) : (body.input as Json);
  checkInput(plan, input);
  return body.input === undefined ? jsonOf(row.input) : kept(deps.database, caller.tenant, input);
}

async function originOf(call: LineageCall<ForkRun>, row: Row, { plan, isAllOther }: { plan: Plan; isAllOther: boolean }): Promise<Origin> {
  const { from, vars = {}, steps = {}, reexecuteEffects } = call.body;
  const [keptVars, keptSteps] = await Promise.all([keepAll(call, vars as JsonObject), keepAll(call, steps as JsonObject)]);
  const all = plan.body.steps.map(({ id }) => id);
  const again = from !== undefined ? [from] : isAllOther || Object.keys(vars).length > 0 ? all : [];
  const origin: Origin = {
    run: row.id,
    kind: "fork",
    from: again,
    vars: keptVars,
    steps: keptSteps,
    ...(reexecuteEffects ? { reexecuteEffects } : {}),
  };
  await checkPaths(call, origin, plan);
  return origin;
}

async function keepAll({ deps, caller }: Call, values: JsonObject): Promise<JsonObject> {
  const entries = Object.entries(values).map(async ([name, value]) => [name, await kept(deps.database, caller.tenant, value)] as const);
  return Object.fromEntries(await Promise.all(entries));
}
