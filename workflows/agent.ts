import { Fault, type Problem } from "../contracts/faults.ts";
import {
  ownerOf,
  type AgentOrder,
  type Approved,
  type AskedCall,
  type Asking,
  type Settled,
  type ThinkFields,
  type ThreadOrder,
} from "../contracts/agent-task.ts";
import type { Usage } from "../contracts/activities.ts";
import { isObject, isStorable, type Json, type JsonObject } from "../contracts/json.ts";
import { defaults, limits } from "../contracts/limits.ts";
import { allows, toolName } from "../contracts/policy.ts";
import type { Block, Step, Template } from "../language/plan.ts";
import { admitAbove } from "./agents-above.ts";
import { ask } from "./ask.ts";
import { callThink, callTool, refuseModels, texts } from "./calls.ts";
import { runChild } from "./child.ts";
import type { Context, Here, HereOf, Outcome, StepOf } from "./context.ts";
import { Frame } from "./frame.ts";
import { runInside } from "./inside.ts";
import { runLoop } from "./loop.ts";
import { TaskTime } from "./task-time.ts";
import type { Walk } from "./walk.ts";

/** A model with tools, turn by turn (`language/compile-agent.ts` says what a turn is), until it has an answer. */
export async function runAgent(walk: Walk, here: HereOf<"agent">): Promise<Outcome> {
  const { step, path, context } = here;
  const settled = (await walk.loaded(await runInside(walk, here, "", step.briefing), path)) as unknown as Settled;
  const brief: Settled & Bounds = { ...settled, ...boundsOf(step, settled) };
  const frame = new Frame(context.frame, { brief: brief as unknown as Json });
  const turns = (around: Context): Promise<Outcome> =>
    runLoop(walk, { ...here, step: turnsOf(step, brief), context: { ...around, frame } }, turnOf(step));
  try {
    const outcome = await withinItsTime(walk, here, brief, turns);
    // A turn with a long answer is a reference.
    const last = new Frame(frame, { last: outcome.output });
    const part = (name: string): Promise<Json> => walk.value({ expr: ["get", ["name", "last"], name] }, last);
    const mayAsk = step.turns.body.steps.some(({ id }) => id === "approve");
    const decision = mayAsk ? decisionAbout(await part("refused"), path) : null;
    const answer = await part("answer");
    // Its turn has added nothing, since people had yet to let it pass.
    if (decision && hasThread(step)) await addExchange(walk, path, { brief: brief.hash, transcript: await part("transcript"), answer });
    return { output: answer, usage: (await part("usage")) as unknown as Usage };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "loop_limit" || error.problem.instance !== path) throw error;
    const detail = `Agent ${path} had no answer after ${brief.maxTurns} turns; raise \`maxTurns\`, or make its task smaller.`;
    throw new Fault("max_turns", detail, { instance: path });
  }
}

/** People have not let pass what a guardrail had asked them about. */
interface RefusedTurn {
  problem: Problem | null;
  decision: JsonObject | null;
}

/** None when nobody was asked. Throws when it was no. */
function decisionAbout(refused: Json, instance: string): JsonObject | null {
  const { problem, decision } = refused as unknown as RefusedTurn;
  if (!problem) return decision;
  const { decision: decided, comment } = decision ?? {};
  const said = typeof comment === "string" ? `: ${comment}` : "";
  throw Fault.of({ ...problem, detail: `${problem.detail} People have not let it pass (${decided as string}${said}).`, instance });
}

const hasThread = ({ briefing }: StepOf<"agent">): boolean =>
  briefing.steps.some((each) => each.type === "brief" && each.thread !== undefined);

const addExchange = (walk: Walk, path: string, approved: { [Part in keyof Approved]: Json }): Promise<void> =>
  walk.outside(() => walk.port.exchange(approved as Approved, path));

interface Bounds {
  maxTurns: number;
  concurrency: number;
  contextTokens: number;
}

/** What the step says, within what a published agent may. */
const boundsOf = ({ maxTurns, concurrency, contextTokens }: StepOf<"agent">, agent: Settled): Bounds => ({
  maxTurns: Math.min(maxTurns ?? agent.maxTurns ?? defaults.agentTurns, agent.maxTurns ?? Number.POSITIVE_INFINITY),
  concurrency: Math.min(concurrency ?? agent.concurrency ?? defaults.agentCallsAtOnce, agent.concurrency ?? Number.POSITIVE_INFINITY),
  contextTokens: Math.min(
    contextTokens ?? agent.contextTokens ?? defaults.agentContextTokens,
    agent.contextTokens ?? Number.POSITIVE_INFINITY,
  ),
});

const turnsOf = (step: StepOf<"agent">, { maxTurns }: Bounds): StepOf<"loop"> =>
  ({ ...step, ...step.turns, type: "loop", maxIterations: maxTurns }) as unknown as StepOf<"loop">;

/** Whoever has the conversation by now may make so many calls at the same time. */
const turnOf =
  (step: StepOf<"agent">) =>
  async (walk: Walk, here: Here<Step>): Promise<Block> => {
    const { body } = step.turns;
    const { concurrency } = boundsOf(step, await currentBrief(walk, here));
    return { ...body, steps: body.steps.map((each) => (each.type === "foreach" ? { ...each, concurrency } : each)) };
  };

async function withinItsTime<T>(
  walk: Walk,
  { step, path, context }: HereOf<"agent">,
  settled: Settled,
  work: (around: Context) => Promise<T>,
): Promise<T> {
  const ms = taskMs(step, settled);
  if (ms === null) return work(context);
  const task = new TaskTime(walk, path, ms);
  return task.within(context.scope, (scope) => work({ ...context, scope, task }));
}

/** What the step says, within what a published agent may; the platform's where neither says anything. */
function taskMs({ time }: StepOf<"agent">, { timeoutMs }: Settled): number | null {
  if (!time || timeoutMs === null) return time?.ms ?? timeoutMs;
  return time.isUnsaid ? timeoutMs : Math.min(time.ms, timeoutMs);
}

/** What the agent gets in each turn: versions, descriptions and schemas of its tools are settled here, once. */
export async function settleBrief(walk: Walk, here: HereOf<"brief">): Promise<Outcome> {
  const { step, path, context } = here;
  const { agent, version, tools, approval, answerSchema, contextTokens } = step;
  const task = path.slice(0, path.lastIndexOf("."));
  const { policy } = walk.options.plan;
  const valueOf = async (template: Template): Promise<Json> => walk.shrink(await walk.value(template, context.frame), path);
  const order: AgentOrder = {
    ...(agent === undefined ? {} : { agent }),
    ...(version === undefined ? {} : { version }),
    models: await texts(walk, step.models, context.frame),
    instructions: await valueOf(step.instructions),
    prompt: await valueOf(step.prompt),
    ...(policy ? { policy } : {}),
    ...(tools ? { tools } : {}),
    ...(step.guardrails ? { guardrails: step.guardrails } : {}),
    ...(step.handoffs ? { handoffs: step.handoffs } : {}),
    ...(step.messages
      ? { messages: await Promise.all(step.messages.map(async ({ role, content }) => ({ role, content: await valueOf(content) }))) }
      : {}),
    ...(approval
      ? {
          approval: {
            tools: approval.tools,
            ...(approval.unasked ? { unasked: approval.unasked } : {}),
            assignees: (await valueOf(approval.assignees)) as string[],
            expiresAfter: (await valueOf(approval.expiresAfter)) as Asking["expiresAfter"],
            ...(approval.remindAfter ? { remindAfter: (await valueOf(approval.remindAfter)) as NonNullable<Asking["remindAfter"]> } : {}),
          },
        }
      : {}),
    ...(step.manner ? { manner: step.manner } : {}),
    ...(answerSchema ? { outputSchema: answerSchema } : {}),
    owner: ownerOf(agent, walk.options.plan.name, task),
    ...(contextTokens === undefined ? {} : { contextTokens }),
    ...(step.thread === undefined ? {} : { thread: await threadOf(walk, here, step.thread, task) }),
    ...(step.memory ? { memory: await memoryOf(walk, here, step.memory) } : {}),
  };
  return { output: (await settled(walk, here, order)) as unknown as Json };
}

async function settled(walk: Walk, here: HereOf<"brief" | "call">, order: AgentOrder): Promise<Settled> {
  const brief = await walk.outside(() => walk.port.brief(order, { path: here.path, budgets: here.context.budgets }));
  const { models = [], tools: judging = [] } = brief.judges ?? {};
  refuseModels(walk, here, [...brief.models, ...models]);
  for (const tool of judging) refuseTool(walk, here, { tool });
  return brief;
}

/** Who has the conversation, as the turn's frame knows it. */
async function currentBrief(walk: Walk, { path, context }: Here<Step>): Promise<Settled> {
  const last = await walk.loaded(await walk.value({ expr: ["name", "last"] }, context.frame), path);
  const taken = isObject(last) ? (last["brief"] as unknown as Settled | null | undefined) : undefined;
  return taken ?? ((await walk.value({ expr: ["name", "brief"] }, context.frame)) as unknown as Settled);
}

/** The other agent goes on with the conversation. That it may be asked, the brief of the one who asks says. */
async function handOver(walk: Walk, here: HereOf<"call">, call: AskedCall): Promise<Outcome> {
  const { path, attempt, context } = here;
  const { policy } = walk.options.plan;
  const { hash, agent: from, contextTokens = defaults.agentContextTokens } = await currentBrief(walk, here);
  const to = call.handoff!;
  const order: AgentOrder = {
    agent: to,
    handedOver: hash,
    models: [],
    instructions: "",
    prompt: "",
    owner: to,
    contextTokens,
    ...(policy ? { policy } : {}),
  };
  const brief = await settled(walk, here, order);
  const reason = isObject(call.arguments) ? (call.arguments["reason"] ?? null) : null;
  walk.tell("agent.handed_over", { path, lane: context.lane, attempt }, { from, to, reason });
  return { output: { handedOver: to, brief: brief as unknown as Json } };
}

type Brief = HereOf<"brief">;

async function threadOf(walk: Walk, { context }: Brief, template: Template, path: string): Promise<ThreadOrder> {
  const name = nameIn(await walk.value(template, context.frame), { path, field: "thread", charactersMax: limits.threadNameMax });
  return { name, key: walk.effectKey(path), path };
}

async function memoryOf(
  walk: Walk,
  { path, context }: Brief,
  { subject, recall, ttlMs }: NonNullable<Brief["step"]["memory"]>,
): Promise<NonNullable<AgentOrder["memory"]>> {
  const about = subject && (await walk.value(subject, context.frame));
  return {
    ...(about === undefined ? {} : { subject: nameIn(about, { path, field: "memory.subject", charactersMax: limits.memorySubjectMax }) }),
    ...(recall === undefined ? {} : { recall }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
  };
}

/** Whoever forgets to give one must not end up in a conversation, or among memories, of everybody. */
function nameIn(value: Json, { path, field, charactersMax }: { path: string; field: string; charactersMax: number }): string {
  const name = typeof value === "number" ? String(value) : value;
  if (typeof name === "string" && name !== "" && name.length <= charactersMax && isStorable(name)) return name;
  throw new Fault("expression", `\`${field}\` of ${path} must be text of 1 to ${charactersMax} characters.`, { instance: path });
}

export async function think(walk: Walk, here: HereOf<"think">): Promise<Outcome> {
  const fields = (await walk.value(here.step.given, here.context.frame)) as unknown as ThinkFields;
  const { models, judges } = await currentBrief(walk, here);
  return callThink(walk, here, { fields, models: models.length, judges: judges ? judges.models.length + judges.tools.length : 0 });
}

/** One call that the model asked for. What it gives, also a refusal, is told to the model. */
export async function answerCall(walk: Walk, here: HereOf<"call">): Promise<Outcome> {
  const { agent, call, decision } = (await walk.value(here.step.given, here.context.frame)) as unknown as Given;
  if (call.problem !== undefined) throw new Fault("tool_input", call.problem, { instance: here.path });
  if (isObject(decision) && decision["approved"] !== true) return { output: refusal(decision) };
  // Of a tool the activity asks.
  if (call.tool === undefined && !isBegun(walk, here)) {
    if (agent !== null) await walk.outside(() => walk.port.admit(agent, here.path));
    await admitAbove(walk, here.path);
  }
  if (call.handoff !== undefined) return handOver(walk, here, call);
  if (call.workflow !== undefined) return childOf(walk, here, call, agent);
  return call.tool === undefined ? askHuman(walk, here, call) : callOf(walk, here, call, agent);
}

interface Given {
  agent: string | null;
  call: AskedCall;
  decision: Json;
}

/** An execution before this one has asked, or has started the child. */
function isBegun({ ledger }: Walk, { path }: HereOf<"call">): boolean {
  const place = ledger.place(path);
  return place?.["child"] !== undefined || place?.["asked"] !== undefined;
}

const refusal = ({ decision, comment }: JsonObject): Json => ({
  refused: `A person has not approved this call (${decision as string}).`,
  comment: comment ?? null,
});

function callOf(walk: Walk, here: HereOf<"call">, call: AskedCall, agent: string | null): Promise<Outcome> {
  const { tool = "", version, server, effect, timeoutMs, isShort, memory, arguments: args } = call;
  refuseTool(walk, here, { tool, server });
  const step = {
    ...here.step,
    type: "tool",
    tool,
    ...(version === undefined ? {} : { version }),
    ...(server === undefined ? {} : { server }),
    ...(effect === undefined ? {} : { effect }),
    ...(timeoutMs === undefined ? {} : { timeoutMs, totalTimeoutMs: Math.max(here.step.totalTimeoutMs, timeoutMs) }),
    ...(agent === null ? {} : { agent }),
    ...(isShort ? { local: true } : {}),
    ...(memory ? { memory } : {}),
    arguments: { lit: args },
  } as unknown as StepOf<"tool">;
  return callTool(walk, { ...here, step });
}

/** What its agent was published with could not be held against the policy when the definition was. */
function refuseTool(walk: Walk, { path }: HereOf<"call" | "brief">, tool: Parameters<typeof toolName>[0]): void {
  if (allows(walk.options.plan.policy?.tools, toolName(tool))) return;
  throw new Fault("policy", `\`policy.tools\` does not let ${toolName(tool)} pass.`, { instance: path });
}

function childOf(
  walk: Walk,
  here: HereOf<"call">,
  { workflow = "", version, planHash, agent, arguments: args }: AskedCall,
  asker: string | null,
): Promise<Outcome> {
  if (agent !== undefined && walk.options.depth >= limits.agentDepthMax)
    throw new Fault(
      "limit",
      `This run is ${walk.options.depth} deep, workflows and messages that led to it included; agents ask each other up to ${limits.agentDepthMax} deep, and ${agent} would be one more.`,
      {
        instance: here.path,
      },
    );
  here.context.task?.delegates();
  const fields = { type: "workflow", workflow, version, planHash, input: { lit: args }, await: true, parentClosePolicy: "cancel" };
  return runChild(walk, { ...here, step: { ...here.step, ...fields } as unknown as StepOf<"workflow"> }, asker);
}

/** The question is an approval whose form is the answer. */
async function askHuman(walk: Walk, here: HereOf<"call">, { arguments: args, ...people }: AskedCall): Promise<Outcome> {
  const question = isObject(args) && typeof args["question"] === "string" ? args["question"] : JSON.stringify(args);
  const title = question.slice(0, limits.errorDetailMax);
  const step = {
    ...here.step,
    type: "approval",
    title: { lit: title },
    payload: { lit: args },
    form: answerForm,
    assignees: { lit: people.assignees },
    expiresAfter: { lit: people.expiresAfter },
    remindAfter: { lit: people.remindAfter ?? null },
  };
  const { output } = await ask(walk, { ...(here as Here<never>), step: step as unknown as StepOf<"approval"> });
  const { decision, approved, data, comment, by } = output as JsonObject;
  if (decision === "expired") return { output: { unanswered: "Nobody has answered in the time that they had.", by: null } };
  const answer = isObject(data) ? data["answer"] : undefined;
  return { output: { answer: answer ?? comment ?? (approved === true ? "yes" : "no"), by: by ?? null } };
}

const answerForm = { type: "object", properties: { answer: { type: "string", title: "Answer" } }, required: ["answer"] };
