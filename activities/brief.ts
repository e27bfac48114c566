import {
  ASK_HUMAN,
  GIVE_ANSWER,
  HAND_OVER,
  isAgentTool,
  isWorkflowTool,
  type AgentOrder,
  type Brief,
  type BriefTool,
  type GrantedAgent,
  type GrantedTool,
  knownAs,
  type MemoryScope,
  type Settled,
  toolTime,
  unguarded,
} from "../contracts/agent-task.ts";
import type { BriefedStep } from "../contracts/activities.ts";
import { agentToolName, type Agent } from "../contracts/agents.ts";
import { Fault, faults } from "../contracts/faults.ts";
import { judges, type GuardOrder, type Guardrail } from "../contracts/guardrails.ts";
import { effectKey } from "../contracts/ids.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import type { Manner } from "../contracts/model-calls.ts";
import { toolName } from "../contracts/policy.ts";
import type { Definition } from "../contracts/definition.schema.ts";
import { compile } from "../language/compile.ts";
import { parseDuration } from "../language/duration.ts";
import { loadAgent } from "../prisma/agents.ts";
import { resolve } from "../prisma/blobs.ts";
import { hashOf } from "../prisma/hash.ts";
import type { Plans } from "../prisma/plans.ts";
import { refuseInactive } from "./agent-state.ts";
import { asksAbout, fitting } from "./approvers.ts";
import { isMemoryTool, memoryParameters } from "./memory-tools.ts";
import { briefing, memoryScope, openingOf, type OpeningDeps } from "./opening.ts";
import { modelName } from "./model-port.ts";
import type { DescribeTool } from "./tool-finder.ts";
import { Transcripts } from "./transcripts.ts";

interface Deps extends OpeningDeps {
  describeTools: () => DescribeTool;
  plans: Plans;
}

interface Asked {
  tenant: string;
  /** Root of its keys. */
  run: string;
  step: BriefedStep;
  order: AgentOrder;
}

interface Task extends Asked {
  describe: DescribeTool;
}

/**
 * Settle what an agent may use, once for its task, and store it: a tool that changes under way, another version of the agent or of
 * a workflow, is nothing to a task that has begun.
 *
 * Faults: `not_found` (no such agent or workflow), `agent_state` (it is not active), `tool_input` (no such tool), `policy` (the step names
 * a tool that its agent has not), `conflict` (two of one name), `limit` (the task is larger than its window).
 */
export function createBrief(deps: Deps): (asked: Asked) => Promise<Settled> {
  return async (asked) => {
    const task: Task = { ...asked, describe: deps.describeTools() };
    const { tenant, run, step, order } = task;
    const before = await handedOver(deps, task);
    const [agent, { instructions, prompt, messages }] = await Promise.all([agentOf(deps, task), textsOf(deps, task)]);
    // A conversation that goes on has begun: nothing is remembered of its task again.
    const asking: AgentOrder = before ? { ...order, memory: { ...before.memory, recall: 0 } } : order;
    const scope = memoryScope(asking, agent);
    const handoffs = await Promise.all(handoffsOf(order, agent).map((name) => handoffTool(deps, task, name)));
    const granted = await Promise.all(grantedTo(order, agent).map((each) => settle(deps, task, { granted: each, scope })));
    const tools = [...granted, ...handoffs];
    refuseNamesakes(tools);
    const added = before ? before.guard?.rules.slice(before.guard.ofAgent ?? 0) : order.guardrails;
    const rules = await rulesOf(task, [...(agent?.guardrails ?? []), ...(added ?? [])]);
    const approval = before ? fitting(before.approval, tools) : order.approval;
    const outputSchema = before ? before.outputSchema : order.outputSchema;
    const { limits: own = {} } = agent ?? {};
    const wanted = before ? before.wanted : order.manner;
    const manner = mannerOf(wanted, agent);
    const brief: Brief = {
      ...(agent ? { agent: agent.name } : {}),
      owner: order.owner,
      instructions: [agent?.instructions ?? "", instructions].filter((text) => text !== "").join("\n\n"),
      prompt,
      ...(messages ? { messages } : {}),
      tools: asksAbout(tools, approval, agent && (agent.approval ?? {})),
      ...(rules.length > 0 ? { guard: guardOf(task, agent, rules) } : {}),
      ...(own.toolCalls === undefined ? {} : { toolCallsMax: own.toolCalls }),
      ...((before?.approval ?? order.approval) ? { approval: before?.approval ?? order.approval! } : {}),
      ...(manner ? { manner } : {}),
      ...(wanted ? { wanted } : {}),
      ...(outputSchema ? { outputSchema } : {}),
      ...(order.thread ? { thread: { ...order.thread, owner: order.owner } } : {}),
      ...(asking.memory ? { memory: memoryWord(asking.memory) } : {}),
    };
    const models = order.models.length > 0 ? order.models : [agent?.model ?? "default", ...(agent?.fallbacks ?? [])];
    const asker = { ...briefing(tenant, step.runId), ...step, idempotencyKey: effectKey(run, step.path) };
    const { opening, report, contextTokens, mayHold } = await openingOf(deps, { ...task, asker, order: asking, agent, brief, models });
    const begun: Brief = { ...brief, ...(opening.length === 0 ? {} : { opening }), ...(before ? begunWith(before) : {}) };
    return {
      hash: await new Transcripts(deps.database, tenant).keep(begun as unknown as JsonObject),
      agent: agent?.name ?? null,
      models,
      maxTurns: own.maxTurns ?? null,
      concurrency: own.parallelToolCalls ?? null,
      timeoutMs: own.timeout === undefined ? null : parseDuration(own.timeout),
      contextTokens,
      ...(mayHold ? { context: report } : {}),
      ...(rules.length > 0 ? { judges: judges(rules) } : {}),
    };
  };
}

/** Where the step says nothing, the agent does; of two bounds the tighter. */
function mannerOf(step: Manner = {}, agent: Manner = {}): Manner | undefined {
  const reasoning = step.reasoning ?? agent.reasoning;
  const bounds = [step.maxOutputTokens, agent.maxOutputTokens].filter((bound) => bound !== undefined);
  if (reasoning === undefined && bounds.length === 0) return undefined;
  return { ...(reasoning ? { reasoning } : {}), ...(bounds.length > 0 ? { maxOutputTokens: Math.min(...bounds) } : {}) };
}

async function agentOf({ database }: Deps, { tenant, order }: Task): Promise<Agent | undefined> {
  if (order.agent === undefined) return undefined;
  const { definition } = await loadAgent(database, tenant, order.agent, order.version);
  await refuseInactive(database, tenant, order.agent);
  return definition;
}

/** What holds for a conversation that is handed over. Fault `policy` when the one who hands it over may not do so. */
async function handedOver({ database }: Deps, { tenant, order }: Task): Promise<Brief | undefined> {
  if (order.handedOver === undefined) return undefined;
  const brief = (await new Transcripts(database, tenant).load(order.handedOver)) as unknown as Brief;
  if (brief.tools.some(({ handoff }) => handoff === order.agent)) return brief;
  throw new Fault("policy", `${brief.agent ?? "The agent"} may not hand its conversation over to ${order.agent ?? "nobody"}.`);
}

const memoryWord = ({ subject, ttlMs }: NonNullable<AgentOrder["memory"]>): NonNullable<Brief["memory"]> => ({
  ...(subject === undefined ? {} : { subject }),
  ...(ttlMs === undefined ? {} : { ttlMs }),
});

/** Whoever has the conversation by now, its task, what came before it and its thread are the same. */
const begunWith = ({ prompt, opening, thread }: Brief): Partial<Brief> => ({
  prompt,
  ...(opening ? { opening } : {}),
  ...(thread ? { thread } : {}),
});

/** Of those that the agent names, those that the step does. */
function handoffsOf({ handoffs }: AgentOrder, agent: Agent | undefined): string[] {
  if (!agent) return handoffs ?? [];
  const own = agent.handoffs ?? [];
  const other = handoffs?.find((name) => !own.includes(name));
  if (other === undefined) return handoffs ?? own;
  throw new Fault(
    "policy",
    `Agent ${agent.name} may not hand over to ${other}; leave it out of \`handoffs\`, or publish the agent with it.`,
  );
}

async function handoffTool({ database }: Deps, { tenant }: Task, name: string): Promise<BriefTool> {
  const { definition } = await loadAgent(database, tenant, name);
  const about = definition.description ?? definition.role;
  return {
    ...unguarded,
    name: modelName(`${HAND_OVER}${name}`),
    description: `Hands this conversation over to the agent ${name}, for good${about === undefined ? "." : `: ${about}`}`,
    parameters: { type: "object", properties: { reason: { type: "string", description: "Why, in one sentence." } } },
    handoff: name,
  };
}

interface Texts {
  instructions: string;
  prompt: string;
  messages?: NonNullable<Brief["messages"]>;
}

/** What was given as a stored value is its text all the same. What a conversation says as the system belongs to the instructions. */
async function textsOf({ database }: Deps, { tenant, order }: Task): Promise<Texts> {
  const { instructions, prompt, messages } = order;
  const given = await resolve(database, tenant, { instructions, prompt, contents: messages?.map(({ content }) => content) ?? [] });
  const texts = given as { instructions: Json; prompt: Json; contents: Json[] };
  const said = messages?.map(({ role }, index) => ({ role, content: textOf(texts.contents[index] ?? "") }));
  const system = said?.filter(({ role }) => role === "system").map(({ content }) => content) ?? [];
  return {
    instructions: [textOf(texts.instructions), ...system].filter((text) => text !== "").join("\n\n"),
    prompt: textOf(texts.prompt),
    ...(said ? { messages: said.flatMap(({ role, content }) => (role === "system" ? [] : [{ role, content }])) } : {}),
  };
}

const textOf = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));

/** The agent's first: a step adds rules and takes none away. What judges is settled like any tool. */
const rulesOf = (task: Task, rules: Guardrail[]): Promise<Guardrail[]> =>
  Promise.all(
    rules.map(async (rule) => {
      if (rule.type !== "custom") return rule;
      const fields = { tool: rule.tool, ...(rule.version === undefined ? {} : { version: rule.version }) };
      return { ...rule, version: (await toolOf(task, fields)).version };
    }),
  );

const guardOf = ({ order: { owner, policy: { hosts } = {} } }: Task, agent: Agent | undefined, rules: Guardrail[]): GuardOrder => ({
  rules,
  agent: owner,
  ...(agent ? { ofAgent: agent.guardrails?.length ?? 0 } : {}),
  ...(hosts ? { hosts } : {}),
});

/** Of what the agent may use, what the step names, in the agent's versions; nothing when neither says anything. */
function grantedTo({ tools }: AgentOrder, agent: Agent | undefined): GrantedTool[] {
  if (!agent) return tools ?? [];
  const own = agent.tools ?? [];
  if (!tools) return own;
  return tools.map((granted) => {
    const found = own.find((each) => keyOf(each) === keyOf(granted));
    if (found !== undefined) return narrowed(found, granted);
    throw new Fault(
      "policy",
      `Agent ${agent.name} has no tool ${agentToolName(granted)}; leave it out of \`tools\`, or publish the agent with it.`,
    );
  });
}

/** The agent's version goes before the step's, and of two times the shorter. */
function narrowed(own: GrantedTool, wanted: GrantedTool): GrantedTool {
  const named = typeof own === "object" && own.version !== undefined ? own : wanted;
  const times = [own, wanted].flatMap((each) => toolTime(each) ?? []);
  if (times.length === 0 || isWorkflowTool(named) || isAgentTool(named)) return named;
  const timeout = Math.min(...times.map(parseDuration));
  return { ...(typeof named === "string" ? { tool: named } : named), timeout };
}

const keyOf = (granted: GrantedTool): string =>
  `${isWorkflowTool(granted) ? "workflow" : isAgentTool(granted) ? "agent" : "tool"} ${agentToolName(granted)}`;

async function settle(deps: Deps, task: Task, { granted, scope }: { granted: GrantedTool; scope: MemoryScope }): Promise<BriefTool> {
  if (granted === ASK_HUMAN) return human;
  if (isWorkflowTool(granted)) return workflowTool(deps, task.tenant, granted);
  if (isAgentTool(granted)) return agentTool(deps, task, granted);
  const wanted: Extract<GrantedTool, { tool: string }> = typeof granted === "string" ? { tool: granted } : granted;
  const { tool: name, version, server } = wanted;
  const fields = { tool: name, ...(version === undefined ? {} : { version }), ...(server === undefined ? {} : { server }) };
  const tool = await toolOf(task, fields);
  const memory = server === undefined && isMemoryTool(name) ? scope : undefined;
  const time = wanted.timeout ?? tool.timeout;
  return {
    ...unguarded,
    name: modelName(toolName({ tool: name, server })),
    description: tool.description,
    parameters: memory ? memoryParameters(tool.input, memory) : tool.input,
    ...fields,
    version: tool.version,
    effect: tool.effect,
    ...(time === undefined ? {} : { timeoutMs: parseDuration(time) }),
    ...(tool.short ? { isShort: true as const } : {}),
    ...(memory ? { memory } : {}),
  };
}

/** What it says of itself. A server that does not answer ends the task. */
async function toolOf({ tenant, run, step, order, describe }: Task, fields: Parameters<DescribeTool>[0]): ReturnType<DescribeTool> {
  const context = {
    ...briefing(tenant, step.runId),
    idempotencyKey: `${run}:`,
    path: step.path,
    ...(order.policy?.hosts ? { hosts: order.policy.hosts } : {}),
  };
  try {
    return await describe(fields, context);
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

/** A run of its own, as a workflow's: of a plan that is its task and nothing else, under the policy of the definition that asks. */
async function agentTool({ database, plans }: Deps, { tenant, order }: Task, { agent, version, as }: GrantedAgent): Promise<BriefTool> {
  const { definition, ...found } = await loadAgent(database, tenant, agent, version);
  const task: Definition = {
    name: `agent.${agent}`,
    version: found.version,
    title: `A task of the agent ${agent}`,
    input: asksForTask,
    ...(order.policy ? { policy: order.policy } : {}),
    steps: [{ id: "task", type: "agent", agent, version: found.version, prompt: "${input.prompt}" }],
    output: "${steps.task.output}",
  };
  const source = task as unknown as JsonObject;
  const plan = compile(task, hashOf(source));
  await plans.keepPatched(tenant, { source, plan, by: `agent ${order.agent ?? "of a definition"}` });
  return {
    ...unguarded,
    name: modelName(as ?? agent),
    description: definition.description ?? definition.role ?? `Gives the agent ${agent} a task.`,
    parameters: asksForTask,
    agent,
    workflow: plan.name,
    version: plan.version,
    planHash: plan.hash,
  };
}

const asksForTask: JsonSchema = {
  type: "object",
  properties: {
    prompt: { type: "string", minLength: 1, description: "Its task, with all it must know: it sees nothing of this conversation." },
  },
  required: ["prompt"],
  additionalProperties: false,
};

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
