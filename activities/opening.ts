import { Context } from "@temporalio/activity";
import type { AgentOrder, Brief, ContextReport, MemoryScope } from "../contracts/agent-task.ts";
import type { Agent } from "../contracts/agents.ts";
import { defaults, limits } from "../contracts/limits.ts";
import { parseDuration } from "../language/duration.ts";
import type { Database } from "../prisma/client.ts";
import { assemble } from "./context.ts";
import { recalled } from "./memory-tools.ts";
import type { Asker, Embeddings } from "./embeddings.ts";
import { smallestWindow, type Models } from "./models.ts";
import { estimateInputTokens } from "./model-port.ts";
import { systemOf } from "./conversation.ts";
import { specsOf } from "./think.ts";
import type { Threads } from "./threads.ts";

export interface OpeningDeps {
  database: Database;
  embeddings: Embeddings;
  models: Pick<Models, "window">;
  threads: Threads;
}

export interface Beginning {
  tenant: string;
  /** Root of the task's keys. */
  run: string;
  /** On whose account it is found out what its prompt means. */
  asker: Asker;
  order: AgentOrder;
  agent: Agent | undefined;
  brief: Brief;
  models: string[];
}

interface Opening {
  opening: string[];
  report: ContextReport;
  /** A longer conversation is shortened. */
  contextTokens: number;
  mayHold: boolean;
}

/** What the model is given before the task: what is remembered of it, and what was said before. The report is only of interest when there may be some. */
export async function openingOf(
  { embeddings, models, threads }: OpeningDeps,
  { tenant, run, asker, order, agent, brief, models: names }: Beginning,
): Promise<Opening> {
  const { owner, subject } = memoryScope(order, agent);
  const recall = order.memory?.recall ?? agent?.memory?.recall ?? (order.memory || agent?.memory ? defaults.memoriesRecalled : 0);
  const filter = { tenant, agent: owner, subject, andGeneral: true as const };
  const memories = recall === 0 ? [] : await embeddings.search(filter, { text: brief.prompt, max: recall }, asker);
  const thread = brief.thread ? await threads.before(brief.thread, briefing(tenant, run)) : [];
  const window = smallestWindow(models, names);
  const wanted = contextTokensOf(order, agent);
  // As it will be with something to read.
  const fixed = { messages: systemOf({ ...brief, opening: [] }), tools: specsOf(brief) };
  const context = assemble({
    window: Math.min(wanted, window),
    system: fixed.messages,
    tools: fixed.tools,
    task: brief.prompt,
    memories: memories.map(recalled),
    thread: thread.map(({ asked, answered, at }) => ({ asked, answered, at: at.toISOString() })),
  });
  const contextTokens = Math.min(wanted, conversationTokens(window - estimateInputTokens(fixed)));
  return { ...context, contextTokens, mayHold: recall > 0 || brief.thread !== undefined };
}

/** The step's word goes before its agent's. Whoever takes a conversation over may want less, and gets no more than it had. */
function contextTokensOf({ contextTokens, handedOver }: AgentOrder, agent: Agent | undefined): number {
  if (handedOver === undefined) return contextTokens ?? agent?.contextTokens ?? defaults.agentContextTokens;
  return Math.min(contextTokens ?? defaults.agentContextTokens, agent?.contextTokens ?? Number.POSITIVE_INFINITY);
}

/**
 * How long a conversation may be that one turn more still fits into a window beside it: an answer, and results of half its length.
 * Where the answer alone would be most of the window, half of it.
 */
const conversationTokens = (window: number): number =>
  Math.max(limits.agentContextTokensMin, Math.floor((window - Math.min(answerTokens, window / 4)) / 1.5));

/** With the words around results. */
const answerTokens = defaults.budgetOutputTokens + 616;

/** What an agent's memory tools may touch: the step's word, within its agent's. */
export function memoryScope({ owner, memory = {} }: AgentOrder, agent: Agent | undefined): MemoryScope {
  const { subject, ttlMs } = memory;
  const own = agent?.memory?.ttl;
  const given = [...(ttlMs === undefined ? [] : [ttlMs]), ...(own === undefined ? [] : [parseDuration(own)])];
  const most = given.length === 0 ? defaults.memoryTtlMs : limits.memoryTtlMaxMs;
  return { owner, ...(subject === undefined ? {} : { subject }), ttlMs: Math.min(most, ...given) };
}

/** What an activity that is no step's work knows of its run. */
export const briefing = (tenant: string, run: string) => ({
  tenant,
  runId: run,
  attempt: 1,
  signal: Context.current().cancellationSignal,
  timeoutMs: limits.mcpBeginMs,
});
