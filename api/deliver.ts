import type { JsonObject } from "../contracts/json.ts";
import type { Deps } from "./deps.ts";

/** An event of a tenant, as expressions see it. */
export interface HappenedEvent extends JsonObject {
  event: string;
  id: string;
  /** ISO 8601 */
  at: string;
}

/**
 * Hand an event to the runs that wait for it by correlation; gives how many got it. Safe to repeat: the id counts once.
 * Runs can be waited with only by id so far (`POST /runs/{id}/signals`), so that none is found.
 */
export async function deliverToWaiting(_deps: Deps, _tenant: string, _event: HappenedEvent): Promise<number> {
  return 0;
}
