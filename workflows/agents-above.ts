import type { Walk } from "./walk.ts";

/**
 * The agents on whose behalf a step works: those whose models have asked for its run, or for one above. What undoes something goes on
 * without them: a kill switch is not to leave things half done.
 */
export const agentsAbove = (agents: readonly string[] | undefined, path: string): readonly string[] =>
  agents === undefined || path.includes(".compensate.") ? [] : agents;

/** Before what no activity of ours asks about by itself. Fault `agent_state`. */
export async function admitAbove(walk: Walk, path: string): Promise<void> {
  for (const agent of agentsAbove(walk.options.agents, path)) await walk.outside(() => walk.port.admit(agent, path));
}
