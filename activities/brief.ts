import {
  ASK_HUMAN,
  GIVE_ANSWER,
  isWorkflowTool,
  type AgentOrder,
  type Asking,
  type Brief,
  type BriefTool,
  type GrantedTool,
  type MemoryScope,
  type Settled,
  unguarded,
} from "../contracts/agent-task.ts";
import { agentToolName, type Agent } from "../contracts/agents.ts";
import { Fault, faults } from "../contracts/faults.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import { allows, toolName } from "../contracts/policy.ts";
import { parseDuration } from "../language/duration.ts";
import { loadAgent } from "../prisma/agents.ts";
import { resolve } from "../prisma/blobs.ts";
import type { Plans } from "../prisma/plans.ts";
import { refuseInactive } from "./agent-state.ts";
import { isMemoryTool, memoryParameters } from "./memory-tools.ts";
import { briefing, memoryScope, openingOf, type OpeningDeps } from "./opening.ts";
import type { FindTool } from "./tool-finder.ts";
import type { Tool } from "./tool-registry.ts";
import { Transcripts } from "./transcripts.ts";

interface Deps extends OpeningDeps {
  find: FindTool;
  plans: Plans;
}

interface Task {
  tenant: string;
  /** Root of its keys. */
  run: string;
  order: AgentOrder;
}

/**
 * Settle what an agent may use, once for its task, and store it: a tool that changes under way, another version of the agent or of
 * a workflow, is nothing to a task that has begun.
 *
 * Faults: `not_found` (no such agent or workflow), `agent_state` (it is not active), `tool_input` (no such tool), `policy` (the step names
 * a tool that its agent has not), `conflict` (two of one name), `limit` (the task is larger than its window).
 */
export function createBrief(deps: Deps): (task: Task) => Promise<Settled> {
  return async (task) => {
    const { tenant, order } = task;
    const [agent, { instructions, prompt }] = await Promise.all([agentOf(deps, task), textsOf(deps, task)]);
    const scope = memoryScope(order, agent);
    const tools = await Promise.all(grantedTo(order, agent).map((granted) => settle(deps, task, { granted, scope })));
    refuseNamesakes(tools);
    const guarded = [order.approval, agent?.approval && askingOf(agent.approval)].reduce<BriefTool[]>(guard, tools);
    const { limits: own = {} } = agent ?? {};
    const brief: Brief = {
      ...(agent ? { agent: agent.name } : {}),
      instructions: [agent?.instructions ?? "", instructions].filter((text) => text !== "").join("\n\n"),
      prompt,
      tools: guarded,
      ...(own.toolCalls === undefined ? {} : { toolCallsMax: own.toolCalls }),
      ...(order.outputSchema ? { outputSchema: order.outputSchema } : {}),
      ...(order.thread ? { thread: { ...order.thread, owner: order.owner } } : {}),
    };
    const models = order.models.length > 0 ? order.models : [agent?.model ?? "default", ...(agent?.fallbacks ?? [])];
    const { opening, report, mayHold } = await openingOf(deps, { ...task, agent, brief, models });
    const begun: Brief = opening.length === 0 ? brief : { ...brief, opening };
    return {
      hash: await new Transcripts(deps.database, tenant).keep(begun as unknown as JsonObject),
      agent: agent?.name ?? null,
      models,
      maxTurns: own.maxTurns ?? null,
      concurrency: own.parallelToolCalls ?? null,
      timeoutMs: own.timeout === undefined ? null : parseDuration(own.timeout),
      contextTokens: report.window,
      ...(mayHold ? { context: report } : {}),
    };
  };
}

async function agentOf({ database }: Deps, { tenant, order }: Task): Promise<Agent | undefined> {
  if (order.agent === undefined) return undefined;
  const { definition } = await loadAgent(database, tenant, order.agent, order.version);
  await refuseInactive(database, tenant, order.agent);
  return definition;
}

/** What was given as a stored value is its text all the same. */
async function textsOf({ database }: Deps, { tenant, order }: Task): Promise<{ instructions: string; prompt: string }> {
  const { instructions, prompt } = order;
  const given = (await resolve(database, tenant, { instructions, prompt })) as { instructions: Json; prompt: Json };
  const textOf = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));
  return { instructions: textOf(given.instructions), prompt: textOf(given.prompt) };
}

/** Of what the agent may use, what the step names, in the agent's versions; nothing when neither says anything. */
function grantedTo({ tools }: AgentOrder, agent: Agent | undefined): GrantedTool[] {
  if (!agent) return tools ?? [];
  const own = agent.tools ?? [];
  if (!tools) return own;
  return tools.map((granted) => {
    const found = own.find((each) => keyOf(each) === keyOf(granted));
    if (found !== undefined) return typeof found === "object" && found.version !== undefined ? found : granted;
    throw new Fault(
      "policy",
      `Agent ${agent.name} has no tool ${nameOf(granted)}; leave it out of \`tools\`, or publish the agent with it.`,
    );
  });
}

const nameOf = (granted: GrantedTool): string => (isWorkflowTool(granted) ? granted.workflow : agentToolName(granted));

const keyOf = (granted: GrantedTool): string => `${isWorkflowTool(granted) ? "workflow" : "tool"} ${nameOf(granted)}`;

async function settle(deps: Deps, task: Task, { granted, scope }: { granted: GrantedTool; scope: MemoryScope }): Promise<BriefTool> {
  if (granted === ASK_HUMAN) return human;
  if (isWorkflowTool(granted)) return workflowTool(deps, task.tenant, granted);
  const { tool: name, version, server } = typeof granted === "string" ? { tool: granted, version: undefined, server: undefined } : granted;
  const fields = { tool: name, ...(version === undefined ? {} : { version }), ...(server === undefined ? {} : { server }) };
  const tool = await toolOf(deps, task, fields);
  const memory = server === undefined && isMemoryTool(name) ? scope : undefined;
  return {
    ...unguarded,
    name: modelName(toolName({ tool: name, server })),
    description: tool.description,
    parameters: memory ? memoryParameters(tool.input, memory) : tool.input,
    ...fields,
    version: tool.version,
    effect: tool.effect,
    ...(tool.short ? { isShort: true as const } : {}),
    ...(memory ? { memory } : {}),
  };
}

/** Only what it says of itself is wanted: a connection that was opened for it is closed. A server that does not answer ends the task. */
async function toolOf({ find }: Deps, { tenant, run, order }: Task, fields: Parameters<FindTool>[0]): Promise<Tool> {
  const context = {
    ...briefing(tenant, run),
    idempotencyKey: `${run}:`,
    path: "",
    ...(order.hosts ? { hosts: order.hosts } : {}),
  };
  try {
    const tool = await find(fields, context);
    await tool.close?.();
    return tool;
  } catch (error) {
    if (!(error instanceof Fault) || !faults[error.code].retryable) throw error;
    throw new Fault("tool_input", `${toolName(fields)} cannot be had for the agent: ${error.message}`);
  }
}

async function workflowTool(
  { plans }: Deps,
  tenant: string,
  { workflow, version, as }: Extract<GrantedTool, { workflow: string }>,
): Promise<BriefTool> {
  const plan = await plans.load(tenant, workflow, version);
  return {
    ...unguarded,
    name: modelName(as ?? workflow),
    description: plan.title ?? `Runs the workflow ${workflow}.`,
    parameters: plan.input ?? { type: "object" },
    workflow,
    version: plan.version,
  };
}

const human: BriefTool = {
  ...unguarded,
  name: ASK_HUMAN,
  description: "Ask a person, when only a person can know or decide. It may take long.",
  parameters: {
    type: "object",
    properties: { question: { type: "string", description: "The question, with all that is needed to answer it." } },
    required: ["question"],
  } as JsonSchema,
};

const askingOf = ({ tools, assignees = [], expiresAfter }: NonNullable<Agent["approval"]>): Asking => ({
  tools,
  assignees,
  expiresAfter: expiresAfter ?? null,
});

/** The later word counts: a step may guard more than its agent does, and never less. */
function guard(tools: BriefTool[], asking: Asking | undefined): BriefTool[] {
  if (!asking) return tools;
  for (const entry of asking.tools)
    // A slip of the finger here would let calls pass that somebody wanted to see.
    if (!tools.some((tool) => allows([entry], knownAs(tool))))
      throw new Fault("tool_input", `\`approval.tools\` names ${entry}, which is none of the agent's tools.`);
  const { assignees, expiresAfter } = asking;
  return tools.map((tool) => (allows(asking.tools, knownAs(tool)) ? { ...tool, asks: true, assignees, expiresAfter } : tool));
}

/** What an `approval` knows it by. */
const knownAs = ({ name, tool, server, workflow }: BriefTool): string =>
  workflow ?? (tool === undefined ? name : toolName({ tool, server }));

/** Providers take letters, digits, `_` and `-`, 64 of them. */
const modelName = (name: string): string => name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64);

function refuseNamesakes(tools: BriefTool[]): void {
  const taken = tools.find((tool) => tool !== human && (tool.name === ASK_HUMAN || tool.name === GIVE_ANSWER));
  if (taken)
    throw new Fault(
      "conflict",
      `${knownAs(taken)} would be called ${taken.name} by the model, which stands for something else; name it by \`as\`, or leave it out.`,
    );
  const [twice] = tools.map(({ name }) => name).filter((name, index, all) => all.indexOf(name) !== index);
  if (twice !== undefined)
    throw new Fault("conflict", `Two tools of the agent are called ${twice} by the model; name one of them by \`as\`, or leave it out.`);
}
