import type { StepOf } from "../contracts/definition.schema.ts";
import type { JsonObject } from "../contracts/json.ts";
import { defaults as platformDefaults, limits } from "../contracts/limits.ts";
import { callOptions } from "./compile-lasting.ts";
import type { Compiling } from "./compile-scopes.ts";
import { conditionOf, conversationOf, mannerOf, modelsOf, optional, templateOf } from "./compile-values.ts";
import { parseDuration } from "./duration.ts";
import type { Block, CallOptions, LoopFields, Step, StepFields } from "./plan.ts";

/**
 * An agent is a loop of steps as people could write it: a model call (`think`), then what it asks for, at the same time (`act`).
 * So retries, forks, pauses, approvals and long histories find nothing in it that they do not know.
 */
export const agentFields = (step: StepOf<"agent">, compiling: Compiling): StepFields => ({
  type: "agent",
  briefing: { steps: [stepOf("brief", [], briefFields(step, compiling))] },
  turns: turnsOf(
    {
      ...step,
      // What a published agent brings along is not known yet.
      isGuarded: step.agent !== undefined || (step.guardrails ?? []).length > 0 || step.handoffs !== undefined,
      mayHandOver: step.agent !== undefined || step.handoffs !== undefined,
      asking: callOptions({ ...sharedBy(step), type: "llm", prompt: "" }, compiling),
      repairs: platformDefaults.modelRepairs,
    },
    compiling,
  ),
  time: step.timeout === undefined ? { ms: platformDefaults.agentTimeoutMs, isUnsaid: true } : { ms: parseDuration(step.timeout) },
  // Beside what is settled: a run that goes on with more of it goes on with the turns it has.
  ...(step.maxTurns === undefined ? {} : { maxTurns: step.maxTurns }),
  ...(step.concurrency === undefined ? {} : { concurrency: step.concurrency }),
  ...(step.contextTokens === undefined ? {} : { contextTokens: step.contextTokens }),
});

/** An `llm` step whose guardrails ask people: an agent without tools, which has places to wait at. */
export const askingFields = (step: StepOf<"llm">, compiling: Compiling): StepFields => ({
  type: "agent",
  briefing: {
    steps: [
      stepOf("brief", [], {
        type: "brief",
        models: modelsOf(step, compiling.defaults),
        instructions: templateOf(""),
        prompt: templateOf(""),
        messages: conversationOf(step),
        guardrails: step.guardrails!,
        ...mannerOf(step),
        contextTokens: limits.agentContextTokensMax,
        ...(step.outputSchema ? { answerSchema: step.outputSchema } : {}),
      }),
    ],
  },
  turns: turnsOf(
    {
      ...step,
      isGuarded: true,
      mayHandOver: false,
      asking: callOptions(step, compiling),
      repairs: step.repairs ?? platformDefaults.modelRepairs,
    },
    compiling,
  ),
  // One that asks about the question, and one that answers it.
  maxTurns: 2,
  contextTokens: limits.agentContextTokensMax,
});

const sharedBy = ({ id, priority, fairnessKey }: Pick<Turns, "id" | "priority" | "fairnessKey">) => ({ id, priority, fairnessKey });

/** What the turns of a task have of its step. */
interface Turns extends Pick<StepOf<"agent">, "id" | "priority" | "fairnessKey" | "stream"> {
  isGuarded: boolean;
  mayHandOver: boolean;
  /** How its models are asked. */
  asking: CallOptions;
  repairs: number;
}

const stepOf = (id: string, needs: string[], fields: StepFields & Partial<Step>): Step => ({
  id,
  needs,
  export: [],
  catch: [],
  onError: "fail",
  ...fields,
});

function briefFields(step: StepOf<"agent">, { defaults }: Compiling): StepFields {
  const { agent, version, approval, tools, guardrails, handoffs, outputSchema, contextTokens, thread, memory } = step;
  const model = step.model ?? (agent === undefined ? (defaults.model ?? "default") : undefined);
  const { tools: asked = [], unasked, assignees = [], expiresAfter = null, remindAfter } = approval ?? {};
  const asking = approval && {
    tools: asked,
    ...(unasked ? { unasked } : {}),
    assignees: templateOf(assignees),
    expiresAfter: templateOf(expiresAfter),
    ...optional("remindAfter", remindAfter),
  };
  return {
    type: "brief",
    ...(agent === undefined ? {} : { agent }),
    ...(version === undefined ? {} : { version }),
    models: [...(model === undefined ? [] : [model]), ...(step.fallbacks ?? [])].map(templateOf),
    instructions: templateOf(step.instructions ?? ""),
    prompt: templateOf(step.prompt),
    ...(asking ? { approval: asking } : {}),
    ...(tools ? { tools } : {}),
    ...(guardrails?.length ? { guardrails } : {}),
    ...(handoffs ? { handoffs } : {}),
    ...mannerOf(step),
    ...(outputSchema ? { answerSchema: outputSchema } : {}),
    ...(contextTokens === undefined ? {} : { contextTokens }),
    ...optional("thread", thread),
    ...(memory ? { memory: memoryOf(memory) } : {}),
  };
}

const memoryOf = ({
  subject,
  recall,
  ttl,
}: NonNullable<StepOf<"agent">["memory"]>): NonNullable<(StepFields & { type: "brief" })["memory"]> => ({
  ...optional("subject", subject),
  ...(recall === undefined ? {} : { recall }),
  ...(ttl === undefined ? {} : { ttlMs: parseDuration(ttl) }),
});

function turnsOf(step: Turns, compiling: Compiling): LoopFields {
  const { isGuarded, mayHandOver, asking, repairs } = step;
  const brief = briefOf(step);
  const common = {
    brief: `\${${brief}.hash}`,
    models: `\${${brief}.models}`,
    contextTokens: `\${${brief}.contextTokens}`,
    repairs,
    ...(step.stream ? { stream: true } : {}),
    toolCalls: "${last == null ? 0 : last.usage.toolCalls}",
    ...(mayHandOver ? { handovers: "${last == null ? 0 : last.handovers}" } : {}),
  };
  const shorten = stepOf("shorten", [], {
    type: "think",
    if: conditionOf(`\${last != null && last.tokens > ${brief}.contextTokens}`),
    summary: templateOf("a summary of what lies behind"),
    given: templateOf({ ...common, shorten: true, transcript: "${last.transcript}", results: [] }),
    ...asking,
  });
  const transcript = "${last == null ? null : steps.shorten.status == 'skipped' ? last.transcript : steps.shorten.output.transcript}";
  const think = stepOf("think", ["shorten"], {
    type: "think",
    summary: templateOf("turn ${turn + 1}"),
    given: templateOf({ ...common, transcript, results: "${last == null ? [] : last.results}" }),
    ...asking,
  });
  const act = stepOf("act", ["think"], {
    type: "foreach",
    items: templateOf("${steps.think.output.calls}"),
    as: "call",
    index: "index",
    // Of both the brief says more.
    concurrency: platformDefaults.agentCallsAtOnce,
    join: "all",
    // What fails is told to the model, which may know better.
    onItemError: "collect",
    body: callBlock(step, compiling),
  });
  return {
    body: isGuarded
      ? { steps: [shorten, think, approveStep, act], output: templateOf({ ...turnOutput, refused, ...(mayHandOver ? handedOver : {}) }) }
      : { steps: [shorten, think, act], output: templateOf(turnOutput) },
    until: conditionOf(isGuarded ? "${steps.think.output.isDone || " + `${isRefused}}` : "${steps.think.output.isDone}"),
    index: "turn",
    maxIterations: platformDefaults.agentTurns,
    onLimit: "fail",
    keepLast: platformDefaults.loopKeepLast,
  };
}

/** People decide about what a guardrail did not let pass: what was to be asked, or the answer. */
const approveStep = stepOf("approve", ["think"], {
  type: "approval",
  if: conditionOf("${has(steps.think.output.asks)}"),
  title: templateOf("${steps.think.output.asks.title}"),
  payload: templateOf("${steps.think.output.asks.payload}"),
  assignees: templateOf("${steps.think.output.asks.assignees}"),
  expiresAfter: templateOf("${steps.think.output.asks.expiresAfter}"),
});

const isRefused = "steps.approve.status != 'skipped' && steps.approve.output.approved != true";
const refused = { problem: "${" + isRefused + " ? steps.think.output.asks.problem : null}", decision: "${steps.approve.output}" };

/** Who has the conversation. */
const briefOf = ({ mayHandOver }: Turns): string => (mayHandOver ? "(last == null || last.brief == null ? brief : last.brief)" : "brief");

const handing = "has(steps.think.output.handoff)";
const taken = "steps.act.output[steps.think.output.handoff]";
const isHandedOver = `${handing} && has(${taken}.output) && has(${taken}.output.brief)`;
const handedOver = {
  brief: `\${${isHandedOver} ? ${taken}.output.brief : last == null ? null : last.brief}`,
  handovers: `\${(last == null ? 0 : last.handovers) + (${isHandedOver} ? 1 : 0)}`,
};

function callBlock(step: Turns, compiling: Compiling): Block {
  const brief = briefOf(step);
  const why = step.isGuarded ? "${has(call.why) ? ': ' + call.why : ''}" : "";
  const approve = stepOf("approve", [], {
    type: "approval",
    if: conditionOf("${call.asks}"),
    title: templateOf(`\${${brief}.agent == null ? 'The agent' : ${brief}.agent}` + " asks to call ${call.name}" + why),
    // The answer is bound to it.
    payload: templateOf({ tool: "${call.name}", arguments: "${call.arguments}" }),
    assignees: templateOf("${call.assignees}"),
    expiresAfter: templateOf("${call.expiresAfter}"),
    remindAfter: templateOf("${has(call.remindAfter) ? call.remindAfter : null}"),
  });
  const call = stepOf("call", ["approve"], {
    type: "call",
    summary: templateOf("${call.name}"),
    given: templateOf({ agent: `\${${brief}.agent}`, call: "${call}", decision: "${steps.approve.output}" }),
    ...callOptions({ ...sharedBy(step), type: "tool", tool: "" }, compiling),
  });
  return { steps: [approve, call], output: templateOf({ output: "${steps.call.output}" }) };
}

// A turn that somebody put in by hand has cost nothing, nor has one that was skipped.
const cost = (step: string, field: string): string => `(steps.${step}.usage == null ? 0 : steps.${step}.usage.${field})`;
const before = (field: string): string => `(last == null ? 0 : last.usage.${field})`;
const sum = (field: string, now = `${cost("think", field)} + ${cost("shorten", field)}`): string => `\${${now} + ${before(field)}}`;
const unknown = [cost("think", "costUsd"), cost("shorten", "costUsd"), before("costUsd")].map((value) => `${value} == null`).join(" || ");

const turnOutput: JsonObject = {
  transcript: "${steps.think.output.transcript}",
  tokens: "${steps.think.output.tokens}",
  results: "${steps.act.output}",
  answer: "${steps.think.output.answer}",
  usage: {
    model: "${steps.think.usage == null ? '' : steps.think.usage.model}",
    inputTokens: sum("inputTokens"),
    outputTokens: sum("outputTokens"),
    // Unknown stays unknown.
    costUsd: `\${${unknown} ? null : ${cost("think", "costUsd")} + ${cost("shorten", "costUsd")} + ${before("costUsd")}}`,
    calls: sum("calls"),
    toolCalls: sum("toolCalls", "size(steps.think.output.calls)"),
  },
};
