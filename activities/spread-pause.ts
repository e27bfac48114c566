import { Context } from "@temporalio/activity";
import { WorkflowNotFoundError, type Client } from "@temporalio/client";
import { terminalStatuses } from "../contracts/events.ts";
import type { Held, Holds } from "../contracts/holds.ts";
import { workflowIdOf } from "../contracts/ids.ts";
import type { Activities } from "../contracts/activities.ts";
import { signals } from "../contracts/messages.ts";
import type { Database, Prisma } from "../prisma/client.ts";
import { allPauses } from "../prisma/pauses.ts";

/** Rows of a page; so many are told at once. */
const page = 200;
const abroad = 20;

interface Told {
  id: string;
  tenant: string;
}

/**
 * Tell every open run of a scope what its definition and tenant are paused for now. Page by page in the order of ids;
 * an attempt whose worker died goes on behind the last run that was told.
 */
export function createSpreadPause({ database, client }: { database: Database; client: Client }): Activities["spreadPause"] {
  return async (scope) => {
    const context = Context.current();
    let { after, told } = (context.info.heartbeatDetails ?? { after: "", told: 0 }) as { after: string; told: number };
    for (;;) {
      const rows = await database.run.findMany({
        where: { ...scope, status: { notIn: [...terminalStatuses] }, id: { gt: after } },
        orderBy: { id: "asc" },
        take: page,
        select: { id: true, tenant: true, workflow: true },
      });
      if (rows.length === 0) return told;
      // Read again for each page: what is said later counts.
      const holdsOf = await allPauses(database);
      for (let at = 0; at < rows.length; at += abroad) {
        const some = rows.slice(at, at + abroad);
        await Promise.all(some.map((row) => hears(client, row, holdsOf(row.tenant, row.workflow))));
        after = some.at(-1)!.id;
        told += some.length;
        context.heartbeat({ after, told });
      }
    }
  };
}

/** Gives false when the run has ended. */
export async function hears(client: Client, run: Pick<Told, "tenant" | "id">, holds: Holds): Promise<boolean> {
  try {
    await client.workflow.getHandle(workflowIdOf(run.tenant, run.id)).signal(signals.hold, holds);
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** Whether the run's record shows just these. */
export function isTold(run: { holds: Prisma.JsonValue }, { holds }: Holds): boolean {
  const recorded = ((run.holds ?? []) as unknown as Held[]).filter(({ source }) => source === "platform");
  const marks = (of: { reason: string; at: string }[]): string[] => of.map(({ reason, at }) => `${reason} ${at}`).toSorted();
  return marks(recorded).join() === marks(holds).join();
}
