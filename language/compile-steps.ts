import type { AvailableStep, StepOf } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import { defaults as platformDefaults } from "../contracts/limits.ts";
import { shortTools } from "../contracts/short-tools.ts";
import { agentFields, askingFields } from "./compile-agent.ts";
import { scopeFields, type Compiling } from "./compile-scopes.ts";
import { conditionOf, conversationOf, entriesOf, mannerOf, modelsOf, optional, templateOf } from "./compile-values.ts";
import { parseDuration } from "./duration.ts";
import { parseTextParts } from "./expression/parse.ts";
import { callOptions } from "./compile-lasting.ts";
import type { ListenFor, StepFields, Stream } from "./plan.ts";

/** What belongs to the step's type alone. A new step type is one case here. */
export function compileFields(step: AvailableStep, compiling: Compiling): StepFields {
  switch (step.type) {
    case "llm":
      // Whoever waits for people does so between steps.
      if (step.guardrails?.some(({ outcome }) => outcome === "human")) return askingFields(step, compiling);
      return {
        type: "llm",
        models: modelsOf(step, compiling.defaults),
        messages: conversationOf(step),
        repairs: step.repairs ?? platformDefaults.modelRepairs,
        ...mannerOf(step),
        ...(step.stream ? { stream: true as const } : {}),
        ...(step.cache ? { cache: { ...optional("key", step.cache.key), ttlMs: parseDuration(step.cache.ttl) ?? 0 } } : {}),
        ...(step.guardrails?.length ? { guardrails: step.guardrails } : {}),
        ...callOptions(step, compiling),
      };
    case "tool":
      return {
        type: "tool",
        tool: step.tool,
        ...(step.version === undefined ? {} : { version: step.version }),
        ...(step.server === undefined ? {} : { server: step.server }),
        arguments: templateOf(step.arguments ?? {}),
        ...callOptions(step, compiling),
        ...((step.short ?? (step.server === undefined && shortTools.includes(step.tool))) ? { local: true } : {}),
      };
    case "agent":
      return agentFields(step, compiling);
    case "http":
      return httpFields(step, compiling);
    case "activity":
      return activityFields(step, compiling);
    case "set":
      return { type: "set", values: templateOf(step.values) };
    case "workflow":
      return workflowFields(step);
    case "wait":
      return { type: "wait", ...optional("duration", step.duration), ...optional("until", step.until) };
    case "listen":
      return listenFields(step, compiling);
    case "emit":
      return { type: "emit", event: templateOf(step.event), data: templateOf(step.data ?? null), ...optional("to", step.to) };
    case "message":
      return {
        type: "message",
        to: templateOf(step.to as Json),
        messageType: templateOf(step.messageType),
        payload: templateOf(step.payload ?? null),
        ...optional("replyTimeout", step.replyTimeout),
      };
    case "approval":
      return approvalFields(step, compiling);
    case "raise":
      return { type: "raise", ...optional("error", step.error as Json | undefined) };
    case "end":
      return { type: "end", ...optional("output", step.output), status: step.status ?? "completed" };
    default:
      return scopeFields(step, compiling);
  }
}

function httpFields(step: StepOf<"http">, compiling: Compiling): StepFields {
  const request = {
    method: (step.method ?? "GET").toUpperCase(),
    url: parseTextParts(step.url),
    headers: entriesOf(step.headers),
    query: entriesOf(step.query),
    ...optional("body", step.body),
  };
  return {
    type: "http",
    request,
    ...(step.expect === undefined ? {} : { expect: step.expect }),
    ...(step.idempotent === undefined ? {} : { idempotent: step.idempotent }),
    ...callOptions(step, compiling),
  };
}

const activityFields = (step: StepOf<"activity">, compiling: Compiling): StepFields => ({
  type: "activity",
  activity: step.activity,
  ...(step.taskQueue === undefined ? {} : { taskQueue: step.taskQueue }),
  arguments: templateOf(step.arguments ?? []),
  ...callOptions(step, compiling),
});

const workflowFields = (step: StepOf<"workflow">): StepFields => ({
  type: "workflow",
  workflow: step.workflow,
  ...(step.version === undefined ? {} : { version: step.version }),
  input: templateOf(step.input ?? {}),
  await: step.await ?? true,
  parentClosePolicy: step.parentClosePolicy ?? "cancel",
});

function listenFields(step: StepOf<"listen">, compiling: Compiling): StepFields {
  const mode = step.one ? "one" : step.any ? "any" : "all";
  const events = step.one ? [step.one] : (step.any ?? step.all ?? []);
  return {
    type: "listen",
    mode,
    events: events.map((each): ListenFor => ({
      event: templateOf(each.event),
      ...(each.when === undefined ? {} : { when: conditionOf(each.when) }),
      ...(each.schema === undefined ? {} : { schema: each.schema }),
      as: each.as ?? each.event,
    })),
    early: step.early ?? "keep",
    ...optional("timeout", step.timeout),
    ...(step.onTimeout ? { onTimeout: compiling.block(step.onTimeout) } : {}),
    ...(step.foreach ? { stream: streamOf(step.foreach, step.until, compiling) } : {}),
  };
}

const streamOf = (
  { as, concurrency, steps, output }: NonNullable<StepOf<"listen">["foreach"]>,
  until: string | boolean | undefined,
  compiling: Compiling,
): Stream => ({
  ...(until === undefined ? {} : { until: conditionOf(until) }),
  as: as ?? "event",
  concurrency: concurrency ?? 1,
  body: compiling.block(steps, output),
});

const approvalFields = (step: StepOf<"approval">, compiling: Compiling): StepFields => ({
  type: "approval",
  title: templateOf(step.title),
  payload: templateOf(step.payload ?? null),
  ...optional("assignees", step.assignees),
  ...optional("quorum", step.quorum),
  ...(step.form === undefined ? {} : { form: step.form }),
  ...(step.editable ? { editable: true as const } : {}),
  ...optional("remindAfter", step.remindAfter),
  ...(step.escalate ? { escalate: { after: templateOf(step.escalate.after), to: templateOf(step.escalate.to) } } : {}),
  ...optional("expiresAfter", step.expiresAfter),
  ...(step.onExpire ? { onExpire: compiling.block(step.onExpire) } : {}),
});
