import type { GuardOrder, Guardrail, GuardrailQuestion, Judges } from "./guardrails.ts";
import type { Json, JsonSchema } from "./json.ts";
import type { Manner } from "./model-calls.ts";
import { toolName, type Policy } from "./policy.ts";

/** What an agent may call, as its step or the published agent says it. `timeout`: of one call, a duration. */
export type GrantedTool =
  | string
  | { tool: string; version?: string | undefined; server?: string | undefined; timeout?: string | number | undefined }
  | { workflow: string; version?: string | undefined; as?: string | undefined }
  | GrantedAgent;

/** Another agent as a tool: a task of its own, with its own instructions, tools and limits. */
export interface GrantedAgent {
  agent: string;
  version?: string | undefined;
  as?: string | undefined;
}

export const isWorkflowTool = (granted: GrantedTool): granted is Extract<GrantedTool, { workflow: string }> =>
  typeof granted === "object" && "workflow" in granted;

export const isAgentTool = (granted: GrantedTool): granted is GrantedAgent => typeof granted === "object" && "agent" in granted;

/** What is said of the time that one of its calls may take. */
export const toolTime = (granted: GrantedTool): string | number | undefined =>
  typeof granted === "object" && "tool" in granted ? granted.timeout : undefined;

/** The name under which a person is asked. */
export const ASK_HUMAN = "ask_human";

/** The name under which an agent whose answer is a value gives it. */
export const GIVE_ANSWER = "give_answer";

/**
 * Whose memories, threads and calls of models a step's are: those of the published agent, otherwise the step's own, in all items and iterations. No name of
 * an agent holds a slash; steps of one id may stand in several scopes.
 */
export const ownerOf = (agent: string | undefined, workflow: string, path: string): string =>
  agent ?? `${workflow}/${path.replace(/\[\d+\]/g, "")}`;

/** What a call of a memory tool may touch. */
export interface MemoryScope {
  owner: string;
  /** Absent: all that the owner remembers. */
  subject?: string;
  /** How long it remembers at most. */
  ttlMs: number;
}

/** The conversation that a task goes on with. */
export interface ThreadOrder {
  name: string;
  /** Under which its exchange is added, once; as of an effect. */
  key: string;
  /** The agent's step. */
  path: string;
}

/** What a task has begun with, in tokens and numbers. */
export interface ContextReport {
  window: number;
  /** Instructions, tools and task. */
  fixed: number;
  /** Kept for the answer. */
  answer: number;
  memories: { found: number; given: number; tokens: number };
  thread: { exchanges: number; whole: number; shortened: number; tokens: number };
}
/** The names under which a conversation is handed over begin so. */
export const HAND_OVER = "hand_over_to_";

/** What an agent step is about, as the walk knows it. */
export interface AgentOrder {
  /** Hash of the brief of the agent that hands its conversation over: what the step asks for holds on, what that agent may does not. */
  handedOver?: string;
  /** A published agent: what the step does not say, it says. */
  agent?: string;
  version?: string;
  /** None: the agent's, or the default one. */
  models: string[];
  /** Texts, or references to them. */
  instructions: Json;
  prompt: Json;
  /** The definition's. */
  policy?: Policy;
  /** Absent: the agent's; otherwise some of them. */
  tools?: GrantedTool[];
  approval?: Asking;
  /** Agents that it may hand its conversation over to; absent: those its agent names. */
  handoffs?: string[];
  guardrails?: Guardrail[];
  /** The whole conversation to begin with, in place of `prompt`. */
  messages?: { role: "system" | "user" | "assistant"; content: Json }[];
  manner?: Manner;
  outputSchema?: JsonSchema;
  owner: string;
  /** The step's; absent: the agent's, or the default. Of a conversation that is handed over what holds so far. */
  contextTokens?: number;
  thread?: ThreadOrder;
  memory?: { subject?: string; ttlMs?: number; recall?: number };
}

/** Tools whose calls a person must approve, beside the dangerous ones; a `*` at the end stands for the rest. The same people answer `ask_human`. */
export interface Asking {
  tools: string[];
  /** Of the dangerous ones of a step without an agent those that nobody is asked about. */
  unasked?: string[];
  assignees: string[];
  /** A duration as in definitions; null = no end. */
  expiresAfter: string | number | null;
  /** As above; without it, or null, nobody is reminded. */
  remindAfter?: string | number | null;
}

/** What the walk must know of it. */
export interface Settled {
  /** Of the brief. */
  hash: string;
  agent: string | null;
  models: string[];
  /** Limits of a published agent; null = none. */
  maxTurns: number | null;
  concurrency: number | null;
  timeoutMs: number | null;
  /** What the step says, or less when a model takes less: one turn more still fits beside it. */
  contextTokens?: number;
  /** Of a task with memories or a thread. */
  context?: ContextReport;
  /** What its guardrails ask and call. */
  judges?: Judges;
}

/** What the model gets in each turn, settled once for the task and stored: the walk knows its hash. */
export interface Brief {
  agent?: string;
  /** Whose calls of models are its: the agent's, or those of the step that describes its own. */
  owner?: string;
  instructions: string;
  prompt: string;
  /** The whole conversation to begin with, in place of `prompt`. */
  messages?: { role: "user" | "assistant"; content: string }[];
  tools: BriefTool[];
  /** Calls of tools in the whole task. */
  toolCallsMax?: number;
  /** What the step asks people about, whoever has the conversation. */
  approval?: Asking;
  guard?: GuardOrder;
  manner?: Manner;
  /** What the step says of it, whoever has the conversation. */
  wanted?: Manner;
  outputSchema?: JsonSchema;
  /** Data that comes before the task, a message each. */
  opening?: string[];
  thread?: ThreadOrder & { owner: string };
  /** What the step says of memory: it holds for whoever the conversation is handed over to. */
  memory?: Pick<NonNullable<AgentOrder["memory"]>, "subject" | "ttlMs">;
}

export interface BriefTool extends Target {
  /** What the model knows it by. */
  name: string;
  description: string;
  parameters: JsonSchema;
  /** Its approval is the agent's own: no step may have others decide instead. */
  isAgents?: true;
}

/** What is called when the model says the name. */
export interface Target {
  tool?: string;
  version?: string;
  server?: string;
  workflow?: string;
  /** Of another agent: the plan of its task, which nobody has published. */
  planHash?: string;
  agent?: string;
  /** The agent that has the conversation from then on. */
  handoff?: string;
  effect?: "read" | "write" | "dangerous";
  /** Of one call, where the tool or whoever granted it says so. */
  timeoutMs?: number;
  /** Answers at once: it may run beside the walk. */
  isShort?: true;
  /** Of a memory tool. */
  memory?: MemoryScope;
  /** A person must approve the call. */
  asks: boolean;
  /** Who decides, or answers a question, and how long they may take. */
  assignees: string[];
  expiresAfter: string | number | null;
  remindAfter?: string | number | null;
}

/** What an approval or a guardrail knows a tool by. */
export const knownAs = ({ name, tool, server, workflow, agent, handoff }: Target & { name: string }): string =>
  handoff ?? agent ?? workflow ?? (tool === undefined ? name : toolName({ tool, server }));

export const unguarded: Pick<Target, "asks" | "assignees" | "expiresAfter"> = { asks: false, assignees: [], expiresAfter: null };

/** The activity `think`: one model call. */
export interface ThinkFields {
  /** Hash of the brief. */
  brief: string;
  models: string[];
  repairs: number;
  stream?: true;
  /** Replace what lies behind by a summary, and nothing else. */
  shorten?: true;
  /** The results of a turn may take half of it. */
  contextTokens: number;
  /** Calls of tools before this turn. */
  toolCalls: number;
  /** How often the conversation was handed over. */
  handovers?: number;
  /** Hash of the conversation before this turn; null in the first. */
  transcript: string | null;
  /** What the calls of the turn before gave, in their order. */
  results: CallResult[];
}

/** `error` is the problem of a call that failed. */
export type CallResult = { output: Json } | { error: Json };

/** What a turn came to. */
export interface Thought {
  /** Hash of the conversation so far. */
  transcript: string;
  /** Its length: estimated, and what its model's provider has counted above that. */
  tokens: number;
  /** No model of the agent takes so much: the next turn begins with less. */
  isTooLong?: true;
  /** None when it is done. */
  calls: AskedCall[];
  /** Which of them hands the conversation over. */
  handoff?: number;
  isDone: boolean;
  answer: Json;
  /** People decide about what was to be asked, or about the answer, before anything becomes of it. */
  asks?: GuardrailQuestion;
}

/** An answer that people have let pass: hashes of the brief and of the conversation, and the answer or its reference. */
export interface Approved {
  brief: string;
  transcript: string;
  answer: Json;
}

/** A call that the model asks for. */
export interface AskedCall extends Target {
  id: string;
  name: string;
  arguments: Json;
  /** Why people are asked, when a guardrail says so. */
  why?: string;
  /** Why it cannot be made: told to the model in place of a result. */
  problem?: string;
}
