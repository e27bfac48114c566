import { Fault } from "../contracts/faults.ts";
import type { Database } from "../prisma/client.ts";
import { stateOf } from "../prisma/agents.ts";
import type { Work } from "./step.ts";

/**
 * An agent that is not active begins no call, nor does what it has had started. Fault `agent_state`. A step that describes its own agent
 * (`ownerOf`) has no such state.
 */
export async function refuseInactive(database: Database, tenant: string, ...agents: readonly string[]): Promise<void> {
  for (const agent of agents.filter((name) => !name.includes("/"))) {
    const state = await stateOf(database, tenant, agent);
    if (state !== "active") throw new Fault("agent_state", `Agent ${agent} is ${state}; it begins no call until it is active again.`);
  }
}

/** Work that asks so itself before each attempt: a step's call of a model. */
export const onBehalf =
  <Fields>(database: Database, work: Work<Fields>): Work<Fields> =>
  async (fields, options, context) => {
    await context.patiently(() => refuseInactive(database, context.tenant, ...(context.agents ?? [])));
    return work(fields, options, context);
  };
