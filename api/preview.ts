import type { Preview } from "../contracts/api.schema.ts";
import { packCounts, type Counts } from "../contracts/counts.ts";
import { Fault } from "../contracts/faults.ts";
import { isWindow } from "../contracts/ids.ts";
import type { Origin } from "../contracts/messages.ts";
import { keep, originOfChild, ownOutputs } from "../language/ledger.ts";
import type { Plan } from "../language/plan.ts";
import { findStep } from "../language/plan-steps.ts";
import { isPlace, nearestPath, prefixesOf } from "../language/step-path.ts";
import type { Prisma } from "../prisma/client.ts";
import { logOf } from "../prisma/run-log.ts";
import type { Call } from "./route.ts";
import { plansOf } from "./begin.ts";

type Row = Prisma.RunGetPayload<object>;

/** What a run that goes on from `origin` would reuse and run, its children included. */
export async function preview(call: Call, origin: Origin, plan: Plan, undone?: Counts): Promise<Preview> {
  const old = await runOf(call, origin.run);
  const log = await logOf(call.deps.database, old, undone);
  const { entries, run, children } = keep({ plan, before: await planOf(call, old), origin, ...log });
  const childRuns: Preview["childRuns"] = [];
  for (const step of children) {
    const of = log.children.get(step);
    const child = of === undefined ? null : await call.deps.database.run.findFirst({ where: { id: of, tenant: call.caller.tenant } });
    if (!child) continue;
    const innerOrigin = originOfChild(origin, step, child.id, children);
    const inner = isWindow(step)
      ? await preview(call, innerOrigin, plan, origin.kind === "retry" ? packCounts(log.undone) : undefined)
      : await preview(call, innerOrigin, await planOf(call, child));
    const { childRuns: deeper, ...own } = inner;
    childRuns.push({ step, of: child.id, ...own }, ...deeper.map((each) => ({ ...each, step: `${step}/${each.step}` })));
  }
  return { reuse: [...entries.map(({ path }) => path), ...Object.keys(ownOutputs(origin))], run, childRuns };
}

/** Fault `not_found` for a path that names nothing the run could go on from, with the path that was probably meant. */
export async function checkPaths(call: Call, { run, from = [], steps = {} }: Origin, plan: Plan): Promise<void> {
  const given = Object.keys(steps);
  if (from.length + given.length === 0) return;
  const log = await logOf(call.deps.database, await runOf(call, run));
  const logged = new Set(log.steps.flatMap(({ path }) => [path, ...prefixesOf(path)]));
  for (const path of [...from, ...given]) {
    const [own = "", ...rest] = path.split("/");
    const isKnown = given.includes(path) && rest.length === 0 ? findStep(plan, own) !== undefined : isPlace(plan, own);
    if (!isKnown) throw unknownPath(run, path, nearestPath(plan, own));
    const missing = prefixesOf(`${own}.`).find((prefix) => prefix.endsWith("]") && !logged.has(prefix));
    if (missing !== undefined) throw new Fault("not_found", `Run ${run} has no ${missing}: it has not begun; name one that has.`);
    if (rest.length === 0) continue;
    const child = findStep(plan, own)?.type === "workflow" ? log.children.get(own) : undefined;
    if (!child) throw new Fault("not_found", `Step ${own} of run ${run} has started no child run; name a step of the run itself.`);
    await checkPaths(call, { run: child, kind: "fork", from: [rest.join("/")] }, await planOf(call, await runOf(call, child)));
  }
}

const unknownPath = (run: string, path: string, nearest: string | undefined): Fault =>
  new Fault("not_found", `Run ${run} has no step ${path}${nearest === undefined ? "." : `; did you mean ${nearest}?`}`, {
    extra: nearest === undefined ? {} : { nearest },
  });

async function runOf({ deps, caller }: Call, id: string): Promise<Row> {
  const run = await deps.database.run.findFirst({ where: { id, tenant: caller.tenant } });
  if (!run) throw new Fault("not_found", `Run ${id} has recorded nothing yet; ask again in a moment.`);
  return run;
}

const planOf = async ({ deps, caller }: Call, run: Row): Promise<Plan> => (await plansOf(deps).frozen(caller.tenant, run)).plan;
