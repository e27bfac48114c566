import { ASK_HUMAN, unguarded, type AskedCall, type Brief, type BriefTool, type ThinkFields } from "../contracts/agent-task.ts";
import type { GuardrailQuestion } from "../contracts/guardrails.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { usesReservedKey } from "../contracts/reference.ts";
import { strictest } from "./approvers.ts";
import type { ToolCall } from "./model-port.ts";

/** Arguments above this travel as references, so that what a turn gives is always small. */
export const inlineArgumentBytes = 2_048;

interface Asking {
  brief: Brief;
  fields: ThinkFields;
  /** By call: what a guardrail wants people to decide about it. */
  questions: readonly (GuardrailQuestion | null)[];
  /** A value, or its reference when it is larger. */
  keep: (value: Json, inlineMax: number) => Promise<Json>;
}

/** The calls that a model asks for, each with its target, or with why it cannot be made. */
export async function askedCalls(calls: readonly ToolCall[], asking: Asking): Promise<AskedCall[]> {
  const wishes = calls.slice(0, limits.agentCallsPerTurnMax);
  return onceHandedOver(await Promise.all(wishes.map((call, index) => askedCall(call, index, asking))));
}

async function askedCall(call: ToolCall, index: number, { brief, fields, questions, keep }: Asking): Promise<AskedCall> {
  const { id, name } = call;
  const tool = brief.tools.find((each) => each.name === name);
  const refused = (problem: string): AskedCall => ({ ...unguarded, id, name, arguments: null, problem });
  if (!tool)
    return refused(`There is no tool ${name.slice(0, 80)}. There is: ${brief.tools.map((each) => each.name).join(", ") || "none"}.`);
  const problem = problemOf(call, fields.toolCalls + index, brief) ?? (tool.handoff === undefined ? undefined : handoffProblem(fields));
  if (problem !== undefined) return refused(problem);
  const { description: _d, parameters: _p, isAgents: _a, ...target } = tool;
  const question = questions[index];
  const given = await keep(call.arguments, name === ASK_HUMAN ? limits.inlineBytesMax : inlineArgumentBytes);
  return { ...target, ...(question ? askedBy(tool, question) : {}), id, arguments: given };
}

/**
 * Whom the tool's approval names decide; those of the agent's rule, where that approval is only the step's. Who names nobody leaves it to
 * the other: no rule that a model can provoke opens a call to more people.
 */
function askedBy(tool: BriefTool, question: GuardrailQuestion): Partial<AskedCall> {
  const isRulesFirst = question.isAgents && !tool.isAgents;
  return { asks: true, why: question.title, ...(isRulesFirst ? strictest(question, tool) : strictest(tool, question)) };
}

const handoffProblem = ({ handovers = 0 }: ThinkFields): string | undefined =>
  handovers < limits.agentHandoversMax
    ? undefined
    : `The conversation was handed over ${handovers} times, and is not any more. Answer as well as you can.`;

/**
 * One agent has it: the first that was asked for. Nothing else is called beside it, since only the next turn reads the results: they would
 * pass the rules of the agent that takes over, and not those of the agent that asked.
 */
function onceHandedOver(calls: AskedCall[]): AskedCall[] {
  const first = calls.findIndex(({ handoff, problem }) => handoff !== undefined && problem === undefined);
  if (first < 0) return calls;
  return calls.map((call, index) => {
    if (index === first || call.problem !== undefined) return call;
    const problem = call.handoff === undefined ? alone : "The conversation goes to one agent at a time.";
    return { ...unguarded, id: call.id, name: call.name, arguments: null, problem };
  });
}

const alone = "Nothing else is called in the turn that hands the conversation over. Ask again.";

/** `made`: calls of the task before it. */
function problemOf(call: ToolCall, made: number, { toolCallsMax = Number.POSITIVE_INFINITY }: Brief): string | undefined {
  const { name, arguments: args, malformed } = call;
  if (made >= toolCallsMax) return `The task may make ${toolCallsMax} calls of tools, and has made them.`;
  if (malformed !== undefined) return `The arguments of ${name} are not JSON.`;
  if (usesReservedKey(args)) return `The arguments of ${name} hold a reserved key.`;
  return undefined;
}
