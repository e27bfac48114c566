import type { AvailableStep, StepOf } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import { callDefaults, defaults as platformDefaults } from "../contracts/limits.ts";
import { scopeFields, type Compiling } from "./compile-scopes.ts";
import { conditionOf, entriesOf, optional, templateOf } from "./compile-values.ts";
import { parseDuration } from "./duration.ts";
import { parseTextParts } from "./expression/parse.ts";
import type { CallOptions, ListenFor, StepFields, Template } from "./plan.ts";

/** What belongs to the step's type alone. A new step type is one case here. */
export function compileFields(step: AvailableStep, compiling: Compiling): StepFields {
  switch (step.type) {
    case "llm":
      return {
        type: "llm",
        models: modelsOf(step, compiling),
        messages: messagesOf(step),
        repairs: step.repairs ?? platformDefaults.modelRepairs,
        ...callOptions(step, compiling),
      };
    case "tool":
      return { type: "tool", tool: step.tool, arguments: templateOf(step.arguments ?? {}), ...callOptions(step, compiling) };
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
      return { type: "emit", event: templateOf(step.event), data: templateOf(step.data ?? null), to: templateOf(step.to ?? null) };
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

type CallStep = StepOf<"llm" | "tool" | "http" | "activity">;

function callOptions(step: CallStep, { defaults }: Compiling): CallOptions {
  const given = { ...defaults.retry, ...step.retry };
  const platform = callDefaults[step.type];
  const timeoutMs = ms(step.timeout ?? defaults.timeout) ?? platform.timeoutMs;
  const heartbeatMs = ms(step.heartbeat);
  const priority = step.priority ?? defaults.priority;
  return {
    retry: {
      maxAttempts: given.maxAttempts ?? platform.retry.maxAttempts,
      initialIntervalMs: ms(given.initialInterval) ?? platform.retry.initialIntervalMs,
      backoff: given.backoff ?? platform.retry.backoff,
      maxIntervalMs: Math.max(ms(given.maxInterval) ?? platform.retry.maxIntervalMs, ms(given.initialInterval) ?? 0),
      jitter: given.jitter ?? platform.retry.jitter,
      nonRetryable: given.nonRetryable ?? [...platform.retry.nonRetryable],
      ...(step.retry?.while === undefined ? {} : { while: conditionOf(step.retry.while) }),
    },
    timeoutMs,
    // One attempt may take its whole time: an unsaid total never cuts it short.
    totalTimeoutMs: ms(step.totalTimeout) ?? Math.max(platform.totalTimeoutMs, timeoutMs),
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    ...(priority === undefined ? {} : { priority }),
  };
}

const ms = (duration: string | number | undefined): number | undefined => (duration === undefined ? undefined : parseDuration(duration));

function modelsOf(step: StepOf<"llm">, { defaults }: Compiling): Template[] {
  return [step.model ?? defaults.model ?? "default", ...(step.fallbacks ?? [])].map(templateOf);
}

const messagesOf = (step: StepOf<"llm">) =>
  (step.messages ?? [{ role: "user" as const, content: step.prompt ?? "" }]).map(({ role, content }) => ({
    role,
    content: templateOf(content),
  }));

function httpFields(step: StepOf<"http">, compiling: Compiling): StepFields {
  const request = {
    method: (step.method ?? "GET").toUpperCase(),
    url: parseTextParts(step.url),
    headers: entriesOf(step.headers),
    query: entriesOf(step.query),
    ...optional("body", step.body),
  };
  return { type: "http", request, ...(step.expect === undefined ? {} : { expect: step.expect }), ...callOptions(step, compiling) };
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
  };
}

const approvalFields = (step: StepOf<"approval">, compiling: Compiling): StepFields => ({
  type: "approval",
  title: templateOf(step.title),
  payload: templateOf(step.payload ?? null),
  ...optional("assignees", step.assignees),
  ...optional("expiresAfter", step.expiresAfter),
  ...(step.onExpire ? { onExpire: compiling.block(step.onExpire) } : {}),
});
