import { knownAs, type Asking, type BriefTool } from "../contracts/agent-task.ts";
import type { Agent } from "../contracts/agents.ts";
import { Fault } from "../contracts/faults.ts";
import { allows } from "../contracts/policy.ts";
import { parseDuration } from "../language/duration.ts";

/** Who decides about a call, and how long they may take. */
type Approvers = Pick<Asking, "assignees" | "expiresAfter">;

/** The tools, with the people who are asked about their calls: a step may guard more than its agent does, and never less. */
export function asksAbout(tools: BriefTool[], ofStep: Asking | undefined, ofAgent: Agent["approval"]): BriefTool[] {
  const agents = ofAgent && { ...ofAgent, assignees: ofAgent.assignees ?? [], expiresAfter: ofAgent.expiresAfter ?? null };
  for (const entry of [...(ofStep?.tools ?? []), ...(agents?.tools ?? [])])
    // A slip of the finger here would let calls pass that somebody wanted to see.
    if (!tools.some((tool) => allows([entry], knownAs(tool))))
      throw new Fault("tool_input", `\`approval.tools\` names ${entry}, which is none of the agent's tools.`);
  return tools.map((tool) => {
    const [own, steps] = [agents, ofStep].map((asking) => (asking && allows(asking.tools, knownAs(tool)) ? asking : undefined));
    if (!own && !steps) return tool;
    const { assignees, expiresAfter } = own && steps ? strictest(own, steps) : (own ?? steps)!;
    const isAgents = own && (own.assignees.length > 0 || assignees.length === 0);
    return { ...tool, asks: true, assignees, expiresAfter, ...(isAgents ? { isAgents } : {}) };
  });
}

/** Of what the step asks people about, what this agent has. */
export function fitting(approval: Asking | undefined, tools: BriefTool[]): Asking | undefined {
  const named = approval?.tools.filter((entry) => tools.some((tool) => allows([entry], knownAs(tool)))) ?? [];
  return approval && named.length > 0 ? { ...approval, tools: named } : undefined;
}

/** Two ask about one call: the people of the first decide, or the other's where it names nobody; the shorter time counts. */
export function strictest(first: Approvers, second: Approvers): Approvers {
  const times = [first.expiresAfter, second.expiresAfter].filter((time) => time !== null);
  const [expiresAfter = null] = times.toSorted((a, b) => parseDuration(a) - parseDuration(b));
  return { assignees: first.assignees.length > 0 ? first.assignees : second.assignees, expiresAfter };
}
