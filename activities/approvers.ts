import { ASK_HUMAN, knownAs, unguarded, type Asking, type BriefTool } from "../contracts/agent-task.ts";
import type { Agent } from "../contracts/agents.ts";
import { Fault } from "../contracts/faults.ts";
import { allows } from "../contracts/policy.ts";
import { parseDuration } from "../language/duration.ts";

/** Who decides about a call or answers a question, and how long they may take. */
type Approvers = Pick<Asking, "assignees" | "expiresAfter" | "remindAfter">;

/**
 * The tools, with the people who are asked about their calls: a step may guard more than its agent does, and never less. Whatever they
 * name, the same people answer the agent's questions, about which nobody is asked. What is dangerous is asked about unless the agent says
 * otherwise, or the step that has none.
 */
export function asksAbout(tools: BriefTool[], ofStep: Asking | undefined, ofAgent: Agent["approval"]): BriefTool[] {
  const agents = ofAgent && {
    ...ofAgent,
    tools: ofAgent.tools ?? [],
    assignees: ofAgent.assignees ?? [],
    expiresAfter: ofAgent.expiresAfter ?? null,
  };
  const unasked = (ofAgent ?? ofStep)?.unasked ?? [];
  // The agent's own lists were held against all its tools when it was published; the step may have narrowed these.
  for (const entry of [...(ofStep?.tools ?? []), ...(ofAgent ? [] : unasked)])
    // A slip of the finger here would let calls pass that somebody wanted to see.
    if (!tools.some((tool) => allows([entry], knownAs(tool))))
      throw new Fault("tool_input", `\`approval\` names ${entry}, which is none of the agent's tools.`);
  return tools.map((tool) => {
    const isQuestion = tool.name === ASK_HUMAN;
    const isDangerous = tool.effect === "dangerous" && !allows(unasked, knownAs(tool));
    const isMeant = (asking: Asking): boolean => isQuestion || isDangerous || allows(asking.tools, knownAs(tool));
    const [own, steps] = [agents, ofStep].map((asking) => (asking && isMeant(asking) ? asking : undefined));
    if (!own && !steps && !isDangerous) return tool;
    const people = own && steps ? strictest(own, steps) : peopleOf(own ?? steps ?? unguarded);
    const isAgents = own && (own.assignees.length > 0 || people.assignees.length === 0);
    return { ...tool, asks: !isQuestion, ...people, ...(isAgents ? { isAgents } : {}) };
  });
}

/** Of what the step asks people about, what this agent has. */
export const fitting = (approval: Asking | undefined, tools: BriefTool[]): Asking | undefined =>
  approval && { ...approval, tools: approval.tools.filter((entry) => tools.some((tool) => allows([entry], knownAs(tool)))) };

/** Two ask about one call: the people of the first decide, or the other's where it names nobody; the shorter times count. */
export const strictest = (first: Approvers, second: Approvers): Approvers =>
  peopleOf({
    assignees: first.assignees.length > 0 ? first.assignees : second.assignees,
    expiresAfter: shorter(first.expiresAfter, second.expiresAfter),
    remindAfter: shorter(first.remindAfter, second.remindAfter),
  });

const peopleOf = ({ assignees, expiresAfter, remindAfter }: Approvers): Approvers => ({
  assignees,
  expiresAfter,
  ...(remindAfter === undefined || remindAfter === null ? {} : { remindAfter }),
});

function shorter(...times: (string | number | null | undefined)[]): string | number | null {
  const given = times.filter((time) => time !== null && time !== undefined);
  return given.toSorted((a, b) => parseDuration(a) - parseDuration(b))[0] ?? null;
}
