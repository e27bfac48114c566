import { Fault } from "../contracts/faults.ts";
import { lockWorkflowId } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { lockQuery, type LockState } from "../contracts/locks.ts";
import { fill } from "../language/expression/evaluate.ts";
import type { Plan } from "../language/plan.ts";
import type { Deps } from "./deps.ts";
import { describeRun } from "./temporal.ts";

/** Longer than any answer of a worker that is there. */
const PATIENCE_MS = 1_000;
/** So many holders are looked at; where more are allowed the run itself asks. */
const HOLDERS_MAX = 20;

/**
 * Fault `concurrency` when the definition says `reject` and no place is free, before anything is started.
 * Best effort: the lock itself is asked by the run, and what it says counts.
 */
export async function refuseWhenFull(deps: Deps, { tenant, input }: { tenant: string; input: Json }, plan: Plan): Promise<void> {
  const { concurrency } = plan;
  if (concurrency?.onLimit !== "reject") return;
  const key = fill(concurrency.key, { name: (name) => (name === "input" ? input : undefined), step: () => undefined });
  const lock = typeof key === "object" ? undefined : lockWorkflowId(tenant, "run", String(key));
  const holders = lock === undefined ? [] : await holdersOf(deps, lock);
  if (holders.length < concurrency.limit || holders.length > HOLDERS_MAX) return;
  const areUnderWay = await Promise.all(holders.map((run) => isUnderWay(deps, tenant, run)));
  if (areUnderWay.filter(Boolean).length < concurrency.limit) return;
  throw new Fault(
    "concurrency",
    `${holders.length} of ${concurrency.limit} runs of this \`concurrency.key\` are under way; start again when one has ended.`,
  );
}

async function holdersOf({ temporal, log }: Deps, lock: string): Promise<string[]> {
  try {
    const ask = (): Promise<LockState> => temporal.workflow.getHandle(lock).query<LockState>(lockQuery);
    return (await temporal.withDeadline(Date.now() + PATIENCE_MS, ask)).holders.map(({ run }) => run);
  } catch (error) {
    log.debug({ err: error, lock }, "a lock did not answer");
    return [];
  }
}

async function isUnderWay({ temporal }: Deps, tenant: string, run: string): Promise<boolean> {
  const description = await describeRun({ temporal, tenant, run });
  return description !== undefined && description.closeTime === undefined;
}
