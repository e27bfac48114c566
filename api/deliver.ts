import { Fault } from "../contracts/faults.ts";
import type { JsonObject } from "../contracts/json.ts";
import { signals, type ExternalEvent } from "../contracts/messages.ts";
import { keep } from "../prisma/blobs.ts";
import { deliverTo } from "../prisma/listens.ts";
import type { Deps } from "./deps.ts";
import { reach } from "./temporal.ts";

/** An event of a tenant, as expressions see it. */
export interface HappenedEvent extends JsonObject {
  event: string;
  id: string;
  /** ISO 8601 */
  at: string;
}

/**
 * Hand an event to the runs that wait for it by correlation; gives how many got it. Safe to repeat: the id counts once.
 */
export async function deliverToWaiting({ database, temporal }: Deps, tenant: string, happened: HappenedEvent): Promise<number> {
  const { event, id, at, data = null } = happened;
  const sent: ExternalEvent = { event, id, at: Date.parse(at), data: await keep(database, tenant, data), toAll: true };
  const send = async (run: string): Promise<boolean> => {
    try {
      await reach({ temporal, tenant, run }, (handle) => handle.signal(signals.deliver, sent));
      return true;
    } catch (error) {
      if (error instanceof Fault && (error.code === "run_ended" || error.code === "not_found")) return false;
      throw error;
    }
  };
  return deliverTo(database, { tenant, event }, { send });
}
