import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import {
  budgetBodySchema,
  budgetPageSchema,
  budgetPatchSchema,
  budgetSchema,
  runBudgetSchema,
  type BudgetPatch,
} from "../contracts/budget.schema.ts";
import { budgetScopes, budgetUnits, nothing, toldAs, type BudgetRef, type Caps } from "../contracts/budgets.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { capsOf, termsOf } from "../language/budget.ts";
import { findStep } from "../language/plan-steps.ts";
import { audit } from "../prisma/audit.ts";
import {
  budgetRoots,
  dayOf,
  findBudgets,
  isCapped,
  openBudgets,
  rowOf,
  stepBudgets,
  stepsOverBudget,
  type BudgetRow,
} from "../prisma/budgets.ts";
import type { Prisma } from "../prisma/client.ts";
import { Plans } from "../prisma/plans.ts";
import { decodeCursor, encodeCursor, pageOf } from "./cursor.ts";
import { pageQuery, runParams } from "./parameters.ts";
import { faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import { seeRun } from "./run-view.ts";
import { update } from "./temporal.ts";

const scopeParams = z.object({
  scope: z
    .string()
    .max(80)
    .regex(/^(tenant|agent:[A-Za-z0-9][A-Za-z0-9_.-]*)$/, "is `tenant` or `agent:{name}`")
    .meta({ description: "`tenant`, or `agent:{name}`.", example: "agent:researcher" }),
});

export const budgetRoutes = [
  route({
    id: "getRunBudget",
    method: "get",
    path: "/api/v2/runs/{id}/budget",
    summary: "The budgets that a run's calls fall under, and what is left of them",
    description: "Its own and those of its steps, those of the runs above it, and the tenant's.",
    tag: "Budgets",
    scope: "read",
    params: runParams,
    answers: { 200: { description: "The budgets.", schema: runBudgetSchema } },
    faults: ["not_found"],
    handle: ofRun,
  }),
  route({
    id: "changeRunBudget",
    method: "patch",
    path: "/api/v2/runs/{id}/budget",
    summary: "Change a run's budget; steps that wait for it go on",
    description: "Of the run, or with `step` of a step that has a budget. Retries and forks of the run share it.",
    tag: "Budgets",
    scope: "attend",
    params: runParams,
    body: budgetPatchSchema,
    answers: { 200: { description: "The budget.", schema: budgetSchema } },
    faults: ["not_found"],
    handle: change,
  }),
  route({
    id: "setBudget",
    method: "put",
    path: "/api/v2/budgets/{scope}",
    summary: "Set what a tenant or an agent may spend in a day (UTC)",
    description: "Calls that begin from then on count. Workers know of a new one within 2 s. Steps that wait for it go on.",
    tag: "Budgets",
    scope: "tenant",
    params: scopeParams,
    body: budgetBodySchema,
    answers: { 200: { description: "The budget.", schema: budgetSchema } },
    handle: set,
  }),
  route({
    id: "getBudget",
    method: "get",
    path: "/api/v2/budgets/{scope}",
    summary: "A tenant's or an agent's budget, and what is left of it today",
    tag: "Budgets",
    scope: "read",
    params: scopeParams,
    answers: { 200: { description: "The budget.", schema: budgetSchema } },
    faults: ["not_found"],
    handle: get,
  }),
  route({
    id: "listBudgets",
    method: "get",
    path: "/api/v2/budgets",
    summary: "The budgets of the tenant and of its agents",
    tag: "Budgets",
    scope: "read",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: budgetPageSchema } },
    handle: list,
  }),
  route({
    id: "removeBudget",
    method: "delete",
    path: "/api/v2/budgets/{scope}",
    summary: "Let a tenant or an agent spend without a cap of its own",
    description: "Steps that wait for it go on.",
    tag: "Budgets",
    scope: "tenant",
    params: scopeParams,
    answers: { 204: { description: "Removed." } },
    faults: ["not_found"],
    handle: remove,
  }),
];

async function ofRun(call: Call<{ id: string }>): Promise<Answer> {
  const { deps, caller } = call;
  const { tenant } = caller;
  const run = await seeRun(call, call.params.id);
  const chain = await runsUpwards(call, run.id);
  const refs = (await Promise.all(chain.map((each) => ownBudget(call, each)))).filter((ref) => ref !== undefined);
  const roots = chain.length > 0 ? chain.map(({ budgetRoot }) => budgetRoot) : [run.id];
  const known = await findBudgets(deps.database, tenant, [...roots.map(budgetScopes.run), budgetScopes.tenant]);
  const unused = refs.filter(({ scope }) => !known.some((row) => row.scope === scope)).map(freshRow);
  const steps = await stepBudgets(deps.database, tenant, roots[0]!);
  return ok({ runId: run.id, budgets: [...known, ...unused, ...steps].map(view) });
}

async function change(call: Call<{ id: string }, unknown, BudgetPatch>): Promise<Answer> {
  const { deps, caller, body, params, requestId } = call;
  const { tenant, principal } = caller;
  await seeRun(call, params.id);
  const [run] = await runsUpwards(call, params.id);
  if (!run) throw new Fault("unavailable", `Run ${params.id} has not begun yet; ask again in a second.`);
  const ref = await ownBudget(call, run, body.step);
  if (!ref) throw new Fault("not_found", await whereElse(call, body.step));
  const row = await deps.database.$transaction(async (transaction) => {
    await openBudgets(transaction, tenant, [ref]);
    // A lock, so that of two changes the later one sees the earlier.
    await transaction.$queryRaw`SELECT 1 FROM budgets WHERE tenant = ${tenant} AND scope = ${ref.scope} FOR UPDATE`;
    const kept = await transaction.budget.findUniqueOrThrow({ where: { tenant_scope: { tenant, scope: ref.scope } } });
    await audit(transaction, {
      tenant,
      actor: principal.name,
      action: "budget.changed",
      object: params.id,
      data: body as JsonObject,
      requestId,
    });
    return transaction.budget.update({
      where: { tenant_scope: { tenant, scope: ref.scope } },
      data: {
        caps: changed(kept.caps as Caps, body),
        onExceed: body.onExceed ?? kept.onExceed,
        setBy: principal.name,
        setAt: new Date(),
      },
    });
  });
  await letGoOn(call, ref.scope);
  return ok(view(rowOf(row as never)));
}

/** null takes a cap away; what is not named stays. */
function changed(caps: Caps, given: BudgetPatch): Caps {
  const kept = budgetUnits.filter((unit) => given[toldAs[unit].name] === undefined && caps[unit] !== undefined);
  return { ...Object.fromEntries(kept.map((unit) => [unit, caps[unit]])), ...givenCaps(given) };
}

function givenCaps(given: BudgetPatch): Caps {
  try {
    return capsOf(given);
  } catch (error) {
    throw error instanceof Fault ? faultOf("schema", error.message, [{ pointer: "/wallTime", message: error.message }]) : error;
  }
}

async function whereElse(call: Call<{ id: string }>, step: string | undefined): Promise<string> {
  if (step !== undefined) return `Step ${step} of run ${call.params.id} has no \`budget\` of its own.`;
  const above = (await runsUpwards(call, call.params.id)).slice(1);
  const owners = await Promise.all(above.map(async (run) => ((await ownBudget(call, run)) ? run.id : undefined)));
  const owner = owners.find((id) => id !== undefined);
  return owner === undefined
    ? `The definition of run ${call.params.id} has no \`budget\`.`
    : `Run ${call.params.id} has no budget of its own; it spends that of run ${owner}: change it there.`;
}

async function set(call: Call<{ scope: string }, unknown, z.output<typeof budgetBodySchema>>): Promise<Answer> {
  const { deps, caller, body, params, requestId } = call;
  const { tenant, principal } = caller;
  const { scope } = params;
  const { caps, onExceed } = termsOf(body);
  const data = { caps, onExceed, setBy: principal.name, setAt: new Date() };
  const row = await deps.database.$transaction(async (transaction) => {
    await audit(transaction, { tenant, actor: principal.name, action: "budget.set", object: scope, data: body as JsonObject, requestId });
    return transaction.budget.upsert({
      where: { tenant_scope: { tenant, scope } },
      create: { tenant, scope, day: dayOf(scope), ...data },
      update: data,
    });
  });
  await letGoOn(call, scope);
  return ok(view(rowOf(row as never)));
}

async function get({ deps, caller, params }: Call<{ scope: string }>): Promise<Answer> {
  const [row] = await findBudgets(deps.database, caller.tenant, [params.scope]);
  if (!row || Object.keys(row.caps).length === 0) throw new Fault("not_found", `No budget of ${params.scope} is set.`);
  return ok(view(row));
}

async function list({ deps, caller, query }: Call<unknown, z.output<typeof pageQuery>>): Promise<Answer> {
  const after = decodeCursor(query.cursor, 0)?.[1];
  const rows = await deps.database.budget.findMany({
    where: {
      tenant: caller.tenant,
      ...isCapped,
      OR: [{ scope: budgetScopes.tenant }, { scope: { startsWith: budgetScopes.agent("") } }],
      ...(after === undefined ? {} : { AND: { scope: { gt: after } } }),
    },
    orderBy: { scope: "asc" },
    take: query.limit + 1,
  });
  return ok(pageOf(rows, query.limit, { item: (row) => view(rowOf(row as never)), cursor: ({ scope }) => encodeCursor([0, scope]) }));
}

async function remove(call: Call<{ scope: string }>): Promise<Answer> {
  const { deps, caller, params, requestId } = call;
  const { tenant, principal } = caller;
  await deps.database.$transaction(async (transaction) => {
    // Its row stays for the calls that still have something set aside in it.
    const data = { caps: {}, setBy: principal.name, setAt: new Date() };
    const { count } = await transaction.budget.updateMany({ where: { tenant, scope: params.scope, ...isCapped }, data });
    if (count === 0) throw new Fault("not_found", `No budget of ${params.scope} is set.`);
    await audit(transaction, { tenant, actor: principal.name, action: "budget.removed", object: params.scope, data: {}, requestId });
  });
  await letGoOn(call, params.scope);
  return { status: 204 };
}

/**
 * Whoever waits for this budget tries again; when it still does not do, it waits again. The change stands: its answer waits for them
 * only so long. Who is not told by this process, reconcile tells.
 */
async function letGoOn({ deps, caller }: Call, scope: string): Promise<void> {
  const { tenant, principal } = caller;
  const untold = (error: unknown, step?: object): void =>
    deps.log.info({ err: error, scope, ...step }, "whoever waits for a budget was not told");
  const tell = ({ runId: run, path }: { runId: string; path: string }): Promise<unknown> => {
    const argument = { path, by: principal.name, action: "retry" as const };
    const told = update({ temporal: deps.temporal, tenant, run }, "attend", { updateId: randomUUID(), argument });
    return told.catch((error: unknown) => untold(error, { run, path }));
  };
  const tellAll = async (): Promise<void> => {
    const steps = await stepsOverBudget(deps.database, tenant, scope);
    for (let at = 0; at < steps.length; at += abroad) await Promise.all(steps.slice(at, at + abroad).map(tell));
  };
  await Promise.race([tellAll().catch(untold), sleep(toldWithinMs, undefined, { ref: false })]);
}

/** So many at the same time: the others that one process may ask are for requests. */
const abroad = limits.updatesUnderWayMax / 4;
const toldWithinMs = limits.updateDeadlineMs / 2;

type Row = Pick<Prisma.RunGetPayload<object>, "id" | "parentId" | "effectRoot" | "workflow" | "version" | "planHash">;
type Link = Row & { budgetRoot: string };

/** The run, its parent, and so on. Empty before the run's first record. */
async function runsUpwards({ deps, caller }: Call, id: string): Promise<Link[]> {
  const chain: Row[] = [];
  for (let next: string | null = id; next !== null && chain.length <= 2 * limits.childDepthMax;) {
    const row: Row | null = await deps.database.run.findFirst({
      where: { id: next, tenant: caller.tenant },
      select: { id: true, parentId: true, effectRoot: true, workflow: true, version: true, planHash: true },
    });
    if (!row) break;
    chain.push(row);
    next = row.parentId;
  }
  const roots = await budgetRoots(deps.database, chain);
  return chain.map((row) => ({ ...row, budgetRoot: roots.get(row.id)! }));
}

/** As its definition gives it. A part of a `foreach` has its parent's. */
async function ownBudget({ deps, caller }: Call, run: Link, step?: string): Promise<BudgetRef | undefined> {
  const { plan } = await new Plans(deps.database).frozen(caller.tenant, run);
  if (step === undefined) return plan.budget && { scope: budgetScopes.run(run.budgetRoot), ...plan.budget };
  const terms = findStep(plan, step)?.budget;
  return terms && { scope: budgetScopes.step(run.budgetRoot, step), ...terms };
}

const freshRow = (ref: BudgetRef): BudgetRow => ({ ...ref, day: null, spent: nothing, reserved: nothing, setBy: null, setAt: null });

function view({ scope, day, onExceed, caps, spent, reserved, setBy, setAt }: BudgetRow): JsonObject {
  const amounts = budgetUnits.map((unit): [string, Json] => {
    const { name, by } = toldAs[unit];
    const max = caps[unit];
    return [
      name,
      {
        max: max === undefined ? null : max / by,
        spent: spent[unit] / by,
        reserved: reserved[unit] / by,
        left: max === undefined ? null : Math.max(0, max - spent[unit] - reserved[unit]) / by,
      },
    ];
  });
  return {
    scope,
    day,
    onExceed,
    ...Object.fromEntries(amounts),
    setBy,
    setAt: setAt?.toISOString() ?? null,
  };
}
