import type { Json } from "../contracts/json.ts";
import { signals, type ExternalEvent } from "../contracts/messages.ts";
import { Fault } from "../contracts/faults.ts";
import { keep } from "../prisma/blobs.ts";
import { deliverTo } from "../prisma/listens.ts";
import type { Deps } from "./deps.ts";
import { reach } from "./temporal.ts";

/** Hand an event to the runs that wait for it by correlation; gives how many got it. Safe to repeat: the id counts once. */
export async function deliverToWaiting(
  { database, temporal }: Pick<Deps, "database" | "temporal">,
  tenant: string,
  { event, id, at, data = null }: { event: string; id: string; at: string; data?: Json },
): Promise<number> {
  const sent: ExternalEvent = { event, id, at: Date.parse(at), data: await keep(database, tenant, data) };
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
