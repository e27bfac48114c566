import { z } from "zod";
import { terminalStatuses } from "../contracts/events.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { migrateAllSchema, migrationReportSchema, type MigrateAll } from "../contracts/plan-change.schema.ts";
import type { Plan } from "../language/index.ts";
import { UNTOLD } from "../prisma/plans.ts";
import { attempted, inputRefusals, type Walked } from "./ask-plan.ts";
import { plansOf } from "./begin.ts";
import { faultBehind } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

export const migrateRunsRoutes = [
  route({
    id: "migrateRuns",
    method: "post",
    path: "/api/v2/workflows/{name}/migrate",
    summary: "Let all open runs that can go on with another version",
    description: `As many as there is time for, at most ${limits.migrateRunsMax} runs a request; \`next\` goes on. With \`dryRun\` nothing is changed.`,
    tag: "Changing running runs",
    scope: "publish",
    idempotency: "table",
    params: z.object({ name: z.string().min(1).max(255) }),
    body: migrateAllSchema,
    answers: { 200: { description: "Each run, with why it cannot.", schema: migrationReportSchema } },
    faults: ["not_found"],
    handle: migrateAll,
  }),
];

type OnWorkflow = Call<{ name: string }, unknown, MigrateAll>;

/**
 * One page: in the order of ids, as far as the time goes. Whoever does not answer is in the report, and keeps nobody else: the request always
 * ends with its report, and `next` goes on.
 */
async function migrateAll(call: OnWorkflow): Promise<Answer> {
  const { deps, caller, body, params } = call;
  const until = Date.now() + limits.migratePageMs;
  const plan = await plansOf(deps).load(caller.tenant, params.name, body.to);
  const rows = await openRuns(call, plan);
  const runs: JsonObject[] = [];
  let begun = 0;
  const report = async (): Promise<void> => {
    do {
      const index = begun;
      begun += 1;
      if (index < rows.length) runs[index] = await reportOn(call, rows[index]!, plan);
    } while (begun < rows.length && Date.now() < until);
  };
  await Promise.all(Array.from({ length: Math.min(abreast, rows.length) }, report));
  const accepted = runs.filter((run) => run["accepted"]).length;
  const isAll = runs.length === rows.length && rows.length < limits.migrateRunsMax;
  return ok({ runs, accepted, refused: runs.length - accepted, next: isAll ? null : rows[runs.length - 1]!.id });
}

/** Without windows: they walk the plan of the run they are part of. */
function openRuns({ deps, caller, body, params }: OnWorkflow, plan: Plan): Promise<Walked[]> {
  return deps.database.run.findMany({
    where: {
      tenant: caller.tenant,
      workflow: params.name,
      isWindow: false,
      status: { notIn: [...terminalStatuses] },
      planHash: { notIn: [plan.hash, UNTOLD] },
      ...(body.from === undefined ? {} : { version: body.from }),
      ...(body.startedBefore === undefined ? {} : { startedAt: { lt: new Date(body.startedBefore) } }),
      ...(body.cursor === undefined ? {} : { id: { gt: body.cursor } }),
    },
    orderBy: { id: "asc" },
    take: limits.migrateRunsMax,
    select: { id: true, workflow: true, version: true, planHash: true },
  });
}

/** How many workflows are spoken to at once. */
const abreast = 10;

async function reportOn(call: Call<unknown, unknown, MigrateAll>, run: Walked, plan: Plan): Promise<JsonObject> {
  const { id: runId } = run;
  try {
    const unfit = await inputRefusals(call, run, plan);
    const wanted = {
      run: runId,
      plan,
      kind: "migrate",
      dryRun: call.body.dryRun,
      unfit,
      answerBy: Date.now() + limits.migrateAnswerMs,
    } as const;
    const refusals = await attempted(call, wanted);
    return { runId, accepted: refusals.length === 0, refusals: refusals as Json };
  } catch (error) {
    // One that ended meanwhile, or cannot answer, does not keep the others.
    const problem = faultBehind(error)?.problem;
    if (!problem) throw error;
    return { runId, accepted: false, refusals: problem["refusals"] ?? [], error: problem.detail };
  }
}
