import type { Preview } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { Origin } from "../contracts/messages.ts";
import { keep, originOfChild, ownOutputs } from "../language/ledger.ts";
import type { Plan } from "../language/plan.ts";
import { findStep } from "../language/plan-steps.ts";
import { isPlace, nearestPath, prefixesOf } from "../language/step-path.ts";
import { childrenOf, recordedSteps } from "../prisma/run-log.ts";
import type { Call } from "./route.ts";
import { plansOf } from "./begin.ts";

/** What a run that goes on from `origin` would reuse and run, its children included. */
export async function preview(call: Call, origin: Origin, plan: Plan): Promise<Preview> {
  const { database } = call.deps;
  const [before, steps] = await Promise.all([planOf(call, origin.run), recordedSteps(database, origin.run)]);
  const { entries, run, children } = keep({ plan, before, steps, origin });
  const known = children.length > 0 ? await childrenOf(database, origin.run) : new Map<string, string>();
  const childRuns: Preview["childRuns"] = [];
  for (const step of children) {
    const of = await recordedChild(call, known.get(step));
    if (of === undefined) continue;
    const { childRuns: deeper, ...child } = await preview(call, originOfChild(origin, step, of), await planOf(call, of));
    childRuns.push({ step, of, ...child }, ...deeper.map((inner) => ({ ...inner, step: `${step}/${inner.step}` })));
  }
  return { reuse: [...entries.map(({ path }) => path), ...Object.keys(ownOutputs(origin))], run, childRuns };
}

/** Fault `not_found` for a path that names nothing the run could go on from, with the path that was probably meant. */
export async function checkPaths(call: Call, { run, from = [], steps = {} }: Origin, plan: Plan): Promise<void> {
  const given = Object.keys(steps);
  if (from.length + given.length === 0) return;
  const logged = new Set((await recordedSteps(call.deps.database, run)).flatMap(({ path }) => [path, ...prefixesOf(path)]));
  for (const path of [...from, ...given]) {
    const [own = "", ...rest] = path.split("/");
    const isKnown = given.includes(path) && rest.length === 0 ? findStep(plan, own) !== undefined : isPlace(plan, own);
    if (!isKnown) throw unknownPath(run, path, nearestPath(plan, own));
    const missing = prefixesOf(`${own}.`).find((prefix) => prefix.endsWith("]") && !logged.has(prefix));
    if (missing !== undefined) throw new Fault("not_found", `Run ${run} has no ${missing}: it has not begun; name one that has.`);
    if (rest.length > 0) await checkChild(call, { run, step: own, path: rest.join("/") }, findStep(plan, own)?.type === "workflow");
  }
}

async function checkChild(
  call: Call,
  { run, step, path }: { run: string; step: string; path: string },
  isWorkflow: boolean,
): Promise<void> {
  const children = await childrenOf(call.deps.database, run);
  const child = isWorkflow ? await recordedChild(call, children.get(step)) : undefined;
  if (!child) throw new Fault("not_found", `Step ${step} of run ${run} has started no child run; name a step of the run itself.`);
  await checkPaths(call, { run: child, kind: "fork", from: [path] }, await planOf(call, child));
}

const unknownPath = (run: string, path: string, nearest: string | undefined): Fault =>
  new Fault("not_found", `Run ${run} has no step ${path}${nearest === undefined ? "." : `; did you mean ${nearest}?`}`, {
    extra: nearest === undefined ? {} : { nearest },
  });

async function recordedChild({ deps, caller }: Call, id: string | undefined): Promise<string | undefined> {
  if (id === undefined) return undefined;
  const row = await deps.database.run.findFirst({ where: { id, tenant: caller.tenant }, select: { id: true } });
  return row?.id;
}

async function planOf({ deps, caller }: Call, id: string): Promise<Plan> {
  const run = await deps.database.run.findFirstOrThrow({ where: { id, tenant: caller.tenant } });
  return (await plansOf(deps).frozen(caller.tenant, run)).plan;
}
