import { Fault } from "../contracts/faults.ts";
import type { Database } from "../prisma/client.ts";
import { refuseInactive } from "./agent-state.ts";
import type { Budgets, Spender } from "./budgets.ts";
import { patiently } from "./patience.ts";
import type { WorkContext } from "./work.ts";

interface Asked {
  database: Database;
  budgets: Budgets;
}

interface Beginning extends Pick<Spender, "agent"> {
  /** As its budgets name it. */
  label: string;
  isRead: boolean;
  /** It was begun before: then no agent's state is asked. */
  isAgain: boolean;
}

/**
 * Whether a call that is no model's may begin, by its agents' state and its budgets, and until when. Whoever cannot be asked lets nothing through: what
 * was not begun must not look like what may have happened. What is cut may have, unless it only reads.
 */
export async function admit(
  { database, budgets }: Asked,
  context: WorkContext,
  { label, agent, isRead, isAgain }: Beginning,
): Promise<Pick<WorkContext, "until">> {
  try {
    const { until } = await patiently(Date.now() + context.timeoutMs, async () => {
      const agents = [...(agent === undefined ? [] : [agent]), ...(context.agents ?? [])];
      if (!isAgain) await refuseInactive(database, context.tenant, ...agents);
      return budgets.spendToolCall({ ...context, agent }, label);
    });
    if (!until || isRead) return until ? { until } : {};
    return { until: { ...until, problem: { ...until.problem, mayHaveHappened: true } } };
  } catch (error) {
    throw error instanceof Fault ? error : new Fault("unavailable", "The record does not answer.", { cause: error });
  }
}
