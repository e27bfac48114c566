import { Fault } from "../contracts/faults.ts";
import { ASK_HUMAN, type AgentOrder, type AskedCall, type ThinkFields } from "../contracts/agent-task.ts";
import type { Usage } from "../contracts/activities.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { allows, toolName } from "../contracts/policy.ts";
import { ask } from "./ask.ts";
import { callThink, callTool, refuseModels, texts } from "./calls.ts";
import { runChild } from "./child.ts";
import type { Here, HereOf, Outcome, StepOf } from "./context.ts";
import { Frame } from "./frame.ts";
import { runInside } from "./inside.ts";
import { runLoop } from "./loop.ts";
import type { Walk } from "./walk.ts";

/** A model with tools, turn by turn (`language/compile-agent.ts` says what a turn is), until it has an answer. */
export async function runAgent(walk: Walk, here: HereOf<"agent">): Promise<Outcome> {
  const { step, path, context } = here;
  const brief = await runInside(walk, here, "", step.briefing);
  const turns = { ...step, ...step.turns, type: "loop" } as unknown as StepOf<"loop">;
  const within = { ...context, frame: new Frame(context.frame, { brief }) };
  try {
    const { output } = await runLoop(walk, { ...here, step: turns, context: within });
    const { answer, usage } = output as { answer: Json; usage: unknown };
    return { output: answer, usage: usage as Usage };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "loop_limit" || error.problem.instance !== path) throw error;
    const detail = `Agent ${path} had no answer after ${step.turns.maxIterations} turns; raise \`maxTurns\`, or make its task smaller.`;
    throw new Fault("max_turns", detail, { instance: path });
  }
}

/** What the agent gets in each turn: versions, descriptions and schemas of its tools are settled here, once. */
export async function settleBrief(walk: Walk, here: HereOf<"brief">): Promise<Outcome> {
  const { step, path, context } = here;
  const models = await texts(walk, step.models, context.frame);
  refuseModels(walk, here, models);
  const given = (await walk.value(step.given, context.frame)) as { instructions: Json; prompt: Json };
  const order: AgentOrder = {
    models,
    instructions: textOf(given.instructions),
    prompt: textOf(given.prompt),
    tools: step.tools,
    asks: step.asks,
    ...(step.answerSchema ? { outputSchema: step.answerSchema } : {}),
  };
  return { output: { hash: await walk.brief(order, path), models } };
}

const textOf = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));

export async function think(walk: Walk, here: HereOf<"think">): Promise<Outcome> {
  const fields = (await walk.value(here.step.given, here.context.frame)) as unknown as ThinkFields;
  return callThink(walk, here, fields);
}

/** One call that the model asked for. What it gives, also a refusal, is told to the model. */
export async function answerCall(walk: Walk, here: HereOf<"call">): Promise<Outcome> {
  const { call, decision } = (await walk.value(here.step.given, here.context.frame)) as unknown as { call: AskedCall; decision: Json };
  if (call.problem !== undefined) throw new Fault("tool_input", call.problem, { instance: here.path });
  if (isObject(decision) && decision["approved"] !== true) return { output: refusal(decision) };
  if (call.name === ASK_HUMAN) return askHuman(walk, here, call);
  return call.workflow === undefined ? callOf(walk, here, call) : childOf(walk, here, call);
}

const refusal = ({ decision, comment }: JsonObject): Json => ({
  refused: `A person has not approved this call (${decision as string}).`,
  comment: comment ?? null,
});

function callOf(
  walk: Walk,
  here: HereOf<"call">,
  { tool = "", version, server, effect, isShort, arguments: args }: AskedCall,
): Promise<Outcome> {
  if (!allows(walk.options.plan.policy?.tools, toolName({ tool, server })))
    throw new Fault("policy", `\`policy.tools\` does not let ${toolName({ tool, server })} pass.`, { instance: here.path });
  const step = {
    ...here.step,
    type: "tool",
    tool,
    ...(version === undefined ? {} : { version }),
    ...(server === undefined ? {} : { server }),
    ...(effect === undefined ? {} : { effect }),
    ...(isShort ? { local: true } : {}),
    arguments: { lit: args },
  } as unknown as StepOf<"tool">;
  return callTool(walk, { ...here, step });
}

function childOf(walk: Walk, here: HereOf<"call">, { workflow = "", version, arguments: args }: AskedCall): Promise<Outcome> {
  const fields = { type: "workflow", workflow, version, input: { lit: args }, await: true, parentClosePolicy: "cancel" };
  return runChild(walk, { ...here, step: { ...here.step, ...fields } as unknown as StepOf<"workflow"> });
}

/** The question is an approval whose form is the answer. */
async function askHuman(walk: Walk, here: HereOf<"call">, { arguments: args }: AskedCall): Promise<Outcome> {
  const question = isObject(args) && typeof args["question"] === "string" ? args["question"] : JSON.stringify(args);
  const step = { ...here.step, type: "approval", title: { lit: question }, payload: { lit: args }, form: answerForm };
  const { output } = await ask(walk, { ...(here as Here<never>), step: step as unknown as StepOf<"approval"> });
  const { approved, data, comment, by } = output as JsonObject;
  const answer = isObject(data) ? data["answer"] : undefined;
  return { output: { answer: answer ?? comment ?? (approved === true ? "yes" : "no"), by: by ?? null } };
}

const answerForm = { type: "object", properties: { answer: { type: "string", title: "Answer" } }, required: ["answer"] };
