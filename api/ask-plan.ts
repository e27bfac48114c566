import { randomUUID } from "node:crypto";
import { canonicalJson, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { queries, type UpdateArguments } from "../contracts/messages.ts";
import { validateValue, type Plan } from "../language/index.ts";
import { refuse, type PlanRefusal } from "../language/plan-change.ts";
import { resolve } from "../prisma/blobs.ts";
import { sha256 } from "../prisma/hash.ts";
import { plansOf } from "./begin.ts";
import type { Call } from "./route.ts";
import { jsonOf } from "./run-view.ts";
import { reach, update, type RunAddress } from "./temporal.ts";

export interface Planned {
  version: string;
  planHash: string;
}

export interface Walked extends Planned {
  id: string;
  workflow: string;
}

export interface Wanted extends Pick<UpdateArguments["changePlan"], "id" | "of"> {
  run: string;
  plan: Plan;
  kind: "patch" | "migrate";
  dryRun: boolean;
  /** Why not, as far as the run itself need not be asked. */
  unfit?: PlanRefusal[];
  answerBy?: number;
}

/** A dry run asks why not; otherwise the run is told, and throws why not. */
export async function attempted(call: Call, wanted: Wanted): Promise<PlanRefusal[]> {
  const { unfit = [], dryRun } = wanted;
  if (dryRun || unfit.length > 0) {
    const refusals = [...unfit, ...(await refusalsOf(call, wanted))].slice(0, limits.refusalsMax);
    if (!dryRun) refuse(refusals);
    return refusals;
  }
  await ask(call, wanted);
  return [];
}

/** Where the run's input does not fit what the other version asks for. */
export async function inputRefusals({ deps, caller }: Call, run: Walked, plan: Plan): Promise<PlanRefusal[]> {
  if (plan.input === undefined) return [];
  // What was changed for single runs has the input of their version.
  const before = await plansOf(deps).load(caller.tenant, run.workflow, run.version);
  if (canonicalJson((before.input ?? null) as Json) === canonicalJson(plan.input as Json)) return [];
  const row = await deps.database.run.findUniqueOrThrow({ where: { id: run.id }, select: { input: true } });
  const input = await resolve(deps.database, caller.tenant, jsonOf(row.input));
  const why = ({ pointer, message }: { pointer: string; message: string }): string => (pointer === "" ? message : `${pointer}: ${message}`);
  return validateValue(plan.input, input).map((mismatch) => ({ path: "input", why: why(mismatch) }));
}

async function ask(call: Call, { run, plan, kind, id, of, answerBy }: Wanted): Promise<void> {
  const updateId = sha256(`${run}\0${plan.hash}\0${call.idempotencyKey ?? randomUUID()}`);
  const argument = {
    plan: plan as unknown as Json,
    kind,
    by: call.caller.principal.name,
    requestId: call.requestId,
    ...(id === undefined ? {} : { id }),
    ...(of === undefined ? {} : { of }),
  };
  await update(addressOf(call, run, answerBy), "changePlan", { updateId, argument });
}

const refusalsOf = (call: Call, { run, plan, answerBy }: Wanted): Promise<PlanRefusal[]> =>
  reach(addressOf(call, run, answerBy), (handle) => handle.query<PlanRefusal[], [Json]>(queries.planRefusals, plan as unknown as Json));

export const addressOf = ({ deps, caller }: Call, run: string, answerBy?: number): RunAddress => ({
  temporal: deps.temporal,
  tenant: caller.tenant,
  run,
  ...(answerBy === undefined ? {} : { answerBy }),
});
