import { Context } from "@temporalio/activity";
import type { Database, Prisma } from "../prisma/client.ts";
import { changePause } from "../prisma/pauses.ts";
import type { Notices } from "./notices.ts";
import { sweep, type Beat } from "./sweep.ts";

/** Who pauses, where no person does. */
const actor = "auto-pause";

/**
 * Pause each definition of whose latest runs too many failed; its open runs are told by reconcile. A person resumes it; only runs that end after that count again.
 */
export function createAutoPause(database: Database, notices: Notices): (beat: Beat) => Promise<void> {
  return async (beat) => {
    const rules = await database.autoPause.findMany({ orderBy: [{ tenant: "asc" }, { workflow: "asc" }] });
    const work = async (rule: Rule): Promise<void> => {
      await keep(database, rule);
      await tell(database, notices, rule);
    };
    const skip = ({ tenant, workflow }: Rule, error: unknown): void =>
      Context.current().log.warn("an auto-pause was not looked after, or not told", { tenant, workflow, error });
    await sweep(rules, { beat, work, skip });
  };
}

/** Also in a later round: the one that paused may not have come so far. */
async function tell(database: Database, notices: Notices, { tenant, workflow }: Rule): Promise<void> {
  const pause = await database.pause.findUnique({ where: { tenant_workflow: { tenant, workflow } } });
  if (!pause?.isPaused || pause.changedBy !== actor || Date.now() - pause.changedAt.getTime() > toldWithinMs) return;
  await notices.ofPause({ tenant, workflow, at: pause.changedAt, why: pause.why ?? "" });
}

/** Several rounds; longer, and Temporal might have forgotten that it was told. */
const toldWithinMs = 10 * 60_000;

type Rule = Prisma.AutoPauseGetPayload<object>;

async function keep(database: Database, rule: Rule): Promise<void> {
  const { tenant, workflow, failureRate, windowMs, minimumRuns } = rule;
  const pause = await database.pause.findUnique({ where: { tenant_workflow: { tenant, workflow } } });
  if (pause?.isPaused) return;
  const since = new Date(Math.max(Date.now() - windowMs, rule.setAt.getTime(), pause?.changedAt.getTime() ?? 0));
  const ended = await database.run.groupBy({
    by: ["status"],
    where: { tenant, workflow, isWindow: false, endedAt: { gt: since } },
    _count: true,
  });
  const count = (of: typeof ended): number => of.reduce((sum, { _count }) => sum + _count, 0);
  const [all, failed] = [count(ended), count(ended.filter(({ status }) => status === "failed" || status === "timed_out"))];
  if (all < minimumRuns || failed === 0 || failed / all < failureRate) return;
  const why = `${failed} of the last ${all} runs failed; the limit is ${failureRate * 100} % of at least ${minimumRuns}.`;
  await changePause(database, { tenant, workflow, isPaused: true, by: actor, why });
}
