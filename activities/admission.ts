import { Fault } from "../contracts/faults.ts";
import type { Until } from "./budgets.ts";
import { patiently } from "./patience.ts";
import type { WorkContext } from "./work.ts";

/**
 * Whether a call that is no model's may begin, by those who are asked, and until when. Whoever cannot be asked lets nothing through: what
 * was not begun must not look like what may have happened. What is cut may have, unless it only reads.
 */
export async function admit(
  { timeoutMs }: WorkContext,
  isRead: boolean,
  ask: () => Promise<{ until?: Until }>,
): Promise<Pick<WorkContext, "until">> {
  try {
    const { until } = await patiently(Date.now() + timeoutMs, ask);
    if (!until || isRead) return until ? { until } : {};
    return { until: { ...until, problem: { ...until.problem, mayHaveHappened: true } } };
  } catch (error) {
    throw error instanceof Fault ? error : new Fault("unavailable", "The record does not answer.", { cause: error });
  }
}
