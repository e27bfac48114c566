import { terminalStatuses } from "../contracts/events.ts";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { isUnderWay } from "../contracts/run-end.ts";
import type { Prisma } from "../prisma/client.ts";
import type { Call } from "./route.ts";
import { findRun, hasEnded, rootOf } from "./run-view.ts";
import { describeRun } from "./temporal.ts";

type Row = Prisma.RunGetPayload<object>;

/** As Temporal has it: of a run that was terminated from outside the record learns within a minute. */
export async function isAtWork({ deps, caller }: Call, run: { id: string; status: string }): Promise<boolean> {
  if (hasEnded(run)) return false;
  const description = await describeRun({ temporal: deps.temporal, tenant: caller.tenant, run: run.id });
  return description !== undefined && isUnderWay(description.status);
}

/**
 * Fault `not_retryable` while another retry is at work. It sends the same idempotency keys: what one has asked for and not yet been
 * told, the other would ask for as well.
 */
export async function refuseSecondRetry(call: Call, row: Row): Promise<void> {
  const others = await call.deps.database.run.findMany({
    where: {
      tenant: row.tenant,
      status: { notIn: [...terminalStatuses] },
      OR: [{ retryOf: row.id }, { effectRoot: rootOf(row), retryOf: { not: null }, parentId: null }],
    },
    select: { id: true, status: true },
  });
  for (const other of others) if (await isAtWork(call, other)) throw atWork(row.id, other.id);
}

/**
 * Of the retries that are begun at the same moment, one is: the others would find it recorded only later. Fault `conflict` for
 * them; `not_retryable` where it is at work by now.
 */
export async function claimRetry(call: Call, { of, root, run }: { of: string; root: string; run: string }): Promise<void> {
  const { database } = call.deps;
  const { tenant } = call.caller;
  const slot = { tenant, route: "retry", key: root };
  await database.idempotencyKey.createMany({ data: [{ ...slot, requestHash: run }], skipDuplicates: true });
  const { requestHash: holder, createdAt } = await database.idempotencyKey.findUniqueOrThrow({ where: { tenant_route_key: slot } });
  if (holder === run) return;
  const held = await findRun(call.deps, tenant, holder);
  if (held && (await isAtWork(call, held))) throw atWork(of, holder);
  // Longer than a start can take: it has failed.
  const isFree = held !== undefined || createdAt.getTime() < Date.now() - 2 * limits.updateDeadlineMs;
  const mine = { requestHash: run, createdAt: new Date() };
  const { count } = isFree
    ? await database.idempotencyKey.updateMany({ where: { ...slot, requestHash: holder, createdAt }, data: mine })
    : { count: 0 };
  if (count === 0) throw new Fault("conflict", `Another retry of run ${of} is being started; ask again in a second.`);
}

const atWork = (run: string, other: string): Fault =>
  new Fault("not_retryable", `Run ${other} is a retry of run ${run} and has not ended; wait for it, cancel it, or fork the run.`, {
    extra: { openRetry: other },
  });
