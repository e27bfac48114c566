import type { Json, JsonObject } from "../contracts/json.ts";
import type { Plan, ScheduleTrigger, Trigger } from "../language/plan.ts";
import type { Database, Prisma } from "../prisma/client.ts";
import type { Deps } from "./deps.ts";
import { deleteSchedule, putSchedule } from "./schedule-options.ts";

type Transaction = Parameters<Parameters<Database["$transaction"]>[0]>[0];

/** One publication at a time per workflow, so that the newest version is what everyone takes for it. */
export async function lockWorkflow(transaction: Transaction, tenant: string, workflow: string): Promise<void> {
  await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${tenant}/${workflow}`}, 0))`;
}

/** The triggers of the newest version take the place of those before it. Schedules follow by `syncSchedules`. */
export async function replaceTriggers(transaction: Transaction, tenant: string, plan: Plan): Promise<void> {
  const workflow = plan.name;
  const before = { tenant, workflow };
  await transaction.trigger.deleteMany({ where: { ...before, type: { not: "schedule" } } });
  await transaction.trigger.updateMany({ where: before, data: { removed: true, synced: false } });
  for (const row of rowsOf(tenant, plan)) {
    const { type, ordinal } = row;
    const where = { tenant_workflow_type_ordinal: { tenant, workflow, type, ordinal } };
    await transaction.trigger.upsert({ where, create: row, update: { ...row, removed: false } });
  }
}

function rowsOf(tenant: string, plan: Plan): Prisma.TriggerUncheckedCreateInput[] {
  const counts = new Map<string, number>();
  return (plan.triggers ?? []).map((trigger) => {
    const { type } = trigger;
    const ordinal = counts.get(type) ?? 0;
    counts.set(type, ordinal + 1);
    const { name: workflow, version } = plan;
    return { tenant, workflow, type, ordinal, version, key: keyOf(trigger), trigger: trigger as object, synced: type !== "schedule" };
  });
}

const keyOf = (trigger: Trigger): string | null =>
  trigger.type === "schedule" ? null : trigger.type === "webhook" ? trigger.path : trigger.event;

/**
 * Let Temporal's Schedules be what the published triggers say. Whatever stopped this half-way, the next call goes on:
 * a row is marked only after Temporal has taken it. One that it does not take keeps none behind it waiting.
 */
export async function syncSchedules(deps: Deps, of: { tenant?: string; workflow?: string } = {}): Promise<void> {
  for (let row = await nextUnsynced(deps, of); row; row = await nextUnsynced(deps, of, row)) {
    const { tenant, workflow, ordinal } = row;
    await syncOne(deps, row).catch((error: unknown) =>
      deps.log.warn({ err: error, tenant, workflow, ordinal }, "Temporal has not taken a schedule; it is told again"),
    );
  }
}

interface Place {
  tenant: string;
  workflow: string;
  ordinal: number;
}

const first: Place = { tenant: "", workflow: "", ordinal: 0 };

async function nextUnsynced({ database }: Deps, of: { tenant?: string; workflow?: string }, after = first): Promise<Place | undefined> {
  const { tenant = null, workflow = null } = of;
  const [row] = await database.$queryRaw<Place[]>`
    SELECT tenant, workflow, ordinal FROM triggers
    WHERE NOT synced AND (${tenant}::text IS NULL OR (tenant = ${tenant} AND workflow = ${workflow}))
      AND (tenant, workflow, ordinal) > (${after.tenant}, ${after.workflow}, ${after.ordinal}::int)
    ORDER BY tenant, workflow, ordinal LIMIT 1`;
  return row;
}

/** Holds its row until Temporal has answered, so that a version published meanwhile comes after it and not before. */
async function syncOne(deps: Deps, { tenant, workflow, ordinal }: Place): Promise<void> {
  await deps.database.$transaction(
    async (transaction) => {
      const [row] = await transaction.$queryRaw<{ trigger: Json; removed: boolean }[]>`
        SELECT trigger, removed FROM triggers
        WHERE tenant = ${tenant} AND workflow = ${workflow} AND type = 'schedule' AND ordinal = ${ordinal} AND NOT synced
        FOR UPDATE SKIP LOCKED`;
      if (!row) return;
      const id = triggerScheduleId(workflow, ordinal);
      const where = { tenant_workflow_type_ordinal: { tenant, workflow, type: "schedule", ordinal } };
      if (row.removed) {
        await deleteSchedule(deps, tenant, id);
        await transaction.trigger.delete({ where });
        return;
      }
      // Written from a Plan when it was published.
      const schedule = row.trigger as unknown as ScheduleTrigger;
      await putSchedule(deps, { tenant, id, workflow, input: schedule.input, schedule });
      await transaction.trigger.update({ where, data: { synced: true } });
    },
    { timeout: 20_000 },
  );
}

/** No id that the API gives or takes has a dot in it. */
const triggerScheduleId = (workflow: string, ordinal: number): string => `${workflow}.schedule${ordinal}`;

/** The triggers of a tenant's newest versions that something from outside can set off. */
export async function triggersFor<Type extends "webhook" | "event">(
  { database }: Pick<Deps, "database">,
  { tenant, type, key, atMost }: { tenant: string; type: Type; key: string; atMost: number },
): Promise<{ workflow: string; trigger: Extract<Trigger, { type: Type }> }[]> {
  const rows = await database.trigger.findMany({
    where: { tenant, type, key },
    orderBy: [{ workflow: "asc" }, { ordinal: "asc" }],
    take: atMost,
  });
  return rows.map(({ workflow, trigger }) => ({ workflow, trigger: trigger as JsonObject as unknown as Extract<Trigger, { type: Type }> }));
}
