import { limits } from "./limits.ts";
import { isAgentTool, isWorkflowTool, type GrantedTool } from "./agent-task.ts";
import type { Guardrail } from "./guardrails.ts";
import type { Manner } from "./model-calls.ts";
import { toolName } from "./policy.ts";

/** An agent as it is published; under its version it never changes. */
export interface Agent {
  name: string;
  version: string;
  title?: string;
  description?: string;
  tags?: string[];
  /** What it is to others, in a few words. */
  role?: string;
  capabilities?: Capability[];
  instructions: string;
  /** An alias or `provider/model`. */
  model?: string;
  fallbacks?: string[];
  reasoning?: Manner["reasoning"];
  maxOutputTokens?: number;
  tools?: GrantedTool[];
  limits?: AgentLimits;
  /** What a task begins with is fitted into so many tokens, and a longer conversation shortened. */
  contextTokens?: number;
  approval?: AgentApproval;
  memory?: AgentMemory;
  guardrails?: Guardrail[];
  /** Names of agents that it may hand its conversation over to. */
  handoffs?: string[];
}

export interface Capability {
  name: string;
  /** 1 to 5 */
  level: number;
}

export interface AgentLimits {
  maxTurns?: number;
  /** A duration, as in definitions. */
  timeout?: string | number;
  toolCalls?: number;
  parallelToolCalls?: number;
}

/** What it does with what it remembers beyond a conversation. */
export interface AgentMemory {
  /** Memories that a task begins with at most. */
  recall?: number;
  /** How long it remembers at most: a duration, as in definitions. */
  ttl?: string | number;
}

export const isMemoryTtl = (ms: number): boolean => ms >= limits.memoryTtlMinMs && ms <= limits.memoryTtlMaxMs;

/** Which calls of its tools people are asked about first, and who answers its questions. */
export interface AgentApproval {
  /** Names as a policy knows them: `server/tool`, a `*` at the end stands for the rest. */
  tools?: string[];
  /** Of its dangerous ones those that nobody is asked about. */
  unasked?: string[];
  assignees?: string[];
  /** A duration, as in definitions. */
  expiresAfter?: string | number;
  /** As above: each time this long has passed. */
  remindAfter?: string | number;
}

/** What a policy, and an approval, knows an agent's tool by. */
export function agentToolName(entry: GrantedTool): string {
  if (typeof entry === "string") return entry;
  return isAgentTool(entry) ? entry.agent : isWorkflowTool(entry) ? entry.workflow : toolName(entry);
}

/** Of an agent as a whole, whatever its version. Only an `active` one may begin a call. */
export const agentStates = ["active", "paused", "stopped", "retired"] as const;

export type AgentState = (typeof agentStates)[number];

export interface StateRequest {
  state: AgentState;
  /** Said by whoever knows that it was stopped: a mere resume must not undo a kill switch. */
  restart?: boolean;
}

/** Why an agent in a state may not come into another; nothing when it may, or is there already. */
export function stateRefusal(from: AgentState, { state: to, restart = false }: StateRequest): string | undefined {
  if (from === to || next[from].includes(to)) {
    const isRestart = from === "stopped" && to === "active";
    return isRestart && !restart ? "It was stopped; to let it go on all the same say `restart: true`." : undefined;
  }
  if (from === "retired") return "It is retired for good; publish an agent of another name.";
  return `From \`${from}\` it can only become ${next[from].map((state) => `\`${state}\``).join(" or ")}.`;
}

const next: Record<AgentState, readonly AgentState[]> = {
  active: ["paused", "stopped", "retired"],
  paused: ["active", "stopped", "retired"],
  stopped: ["active", "retired"],
  retired: [],
};
