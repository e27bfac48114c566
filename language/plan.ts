import type { GrantedTool, MemoryScope } from "../contracts/agent-task.ts";
import type { BudgetTerms } from "../contracts/budgets.ts";
import type { Guardrail } from "../contracts/guardrails.ts";
import type { Json, JsonSchema } from "../contracts/json.ts";
import type { Manner } from "../contracts/model-calls.ts";
import type { Policy } from "../contracts/policy.ts";
import type { Retry } from "../contracts/limits.ts";

/**
 * The Plan: a definition after it was checked and compiled. It is plain JSON, hashed, frozen into a run at its start
 * and walked in `workflows/`. Expressions are stored as trees, not as text, so that no parser stands between an old
 * history and its replay.
 */
export interface Plan {
  format: 1;
  name: string;
  version: string;
  title?: string;
  /** sha-256 of the definition's canonical JSON. */
  hash: string;
  input?: JsonSchema;
  outputSchema?: JsonSchema;
  vars: [name: string, value: Template][];
  body: Block;
  catch: Handler[];
  finally?: Block;
  concurrency?: Concurrency;
  policy?: Policy;
  /** What a run and its children may spend. */
  budget?: BudgetTerms;
  /** Absent: the log keeps everything. `ends`: no starts, ends and results of steps, so that nothing can continue from them. */
  record?: "ends";
  /** What starts runs of it; active for the newest version. */
  triggers?: Trigger[];
}

export type Trigger = ScheduleTrigger | WebhookTrigger | EventTrigger;

/** Either `cron` or `everyMs`. The input is fixed: a run reads the time of its start in `run.startedAt`. */
export interface ScheduleTrigger {
  type: "schedule";
  /** Five fields or `@daily` and its like. */
  cron?: string;
  everyMs?: number;
  /** IANA name; UTC without it. */
  timezone?: string;
  /** ISO 8601 */
  startAt?: string;
  endAt?: string;
  /** What becomes of a start that is due while the run before is under way. */
  overlap: "skip" | "bufferOne" | "bufferAll" | "cancelOther" | "allowAll";
  /** Starts that were missed by no more than this are made up for. */
  catchUpMs: number;
  input: Json;
}

export interface WebhookTrigger {
  type: "webhook";
  /** Last part of its address; the workflow's name without it. */
  path: string;
  /** Sees `request {body, headers, query}`; the body without it. */
  input?: Template;
  /** Name of the secret that its signature is checked with. */
  secret?: string;
}

/** A run for each event that nothing has to wait for: `POST /events`, or `emit` without `to`. */
export interface EventTrigger {
  type: "event";
  event: string;
  /** Sees `event {event, data, id, at}`, as `input` does. */
  when?: Expression;
  /** The event's data without it. */
  input?: Template;
}

/** How many runs of one key may be under way at once in a tenant; `key` sees `input`. */
export interface Concurrency {
  key: Template;
  limit: number;
  onLimit: "queue" | "reject" | "cancelOldest";
}

/** Steps that run in one scope, ordered by their `needs`. Without `output` the scope's output is its last step's. */
export interface Block {
  steps: Step[];
  output?: Template;
}

export interface Handler {
  /** Error types it takes; absent = all. */
  errors?: string[];
  when?: Expression;
  /** Name under which the error is seen; `error` without it. */
  as: string;
  body: Block;
}

export interface StepCommon {
  id: string;
  /** One line for people; shown in the Temporal Web UI behind the step path. */
  summary?: Template;
  if?: Expression;
  /** Siblings that must have ended; always explicit after compiling. */
  needs: string[];
  export: [name: string, value: Template][];
  outputSchema?: JsonSchema;
  catch: Handler[];
  onError: OnError;
  /** `timeout` of a step that is not a call (scopes, children, waits): how long the whole step may take. */
  timeLimitMs?: number;
  /** `totalTimeout` of such a step: all its attempts with the waits between them. */
  totalTimeLimitMs?: number;
  /** Of a step that is not a call: the walk itself performs it again. */
  retry?: RetryWhile;
  /** Does not keep its scope open; cancelled when the others have ended. */
  background?: true;
  lock?: Lock;
  /** What it may spend, with everything below its path. */
  budget?: BudgetTerms;
  /** Undoes the step when the run fails or is cancelled after it; sees what the step saw, and its `output`. */
  compensate?: Block;
}

/** `while` sees `output`: an answer came, but it is not good enough. */
export type RetryWhile = Retry & { while?: Expression };

/** Held while the step runs, granted in the order of asking, tenant-wide. */
export interface Lock {
  key: Template;
  /** How many may hold it at once. */
  limit: number;
  /** The key names a thread: of this agent, or of the step's own where there is none. */
  thread?: { agent?: string };
}

/** What calling a step does outside: `read` needs no undoing. */
export type Effect = "read" | "write" | "dangerous";

export type OnError = "fail" | "park" | "continue";

/** Steps that leave the workflow: how often and how long they are tried. */
export interface CallOptions {
  retry: RetryWhile;
  timeoutMs: number;
  totalTimeoutMs: number;
  heartbeatMs?: number;
  /** Temporal priority, 1 (first) to 5. */
  priority?: number;
  /** Who shares a queue fairly with whom. */
  fairnessKey?: Template;
  effect?: Effect;
  /** Short and only reading: tried first as a local activity, which may run again when its workflow task is lost. */
  local?: true;
}

export interface Join {
  join: "all" | "any" | "race" | "quorum";
  /** Successes needed; only with `quorum`. */
  quorum?: number;
  /** Ends the join when true; sees `done`, the outputs so far in the order they came. */
  until?: Expression;
  /** What becomes of the others when the join is met: cancelled (without it), or they go on and the enclosing scope waits. */
  rest?: "cancel" | "finish";
}

export type Step = StepCommon & StepFields;

export type StepFields =
  | ({
      type: "llm";
      models: Template[];
      messages: { role: "system" | "user" | "assistant"; content: Template }[];
      repairs: number;
      manner?: Manner;
      stream?: true;
      cache?: { key?: Template; ttlMs: number };
      guardrails?: Guardrail[];
    } & CallOptions)
  /** `agent`: on whose behalf; `memory`: what it may touch of it. */
  | ({
      type: "tool";
      tool: string;
      version?: string;
      server?: string;
      agent?: string;
      memory?: MemoryScope;
      arguments: Template;
    } & CallOptions)
  /** Its `briefing` settles what the model gets; then `turns`, a loop of one model call and the tool calls it asks for. */
  | {
      type: "agent";
      briefing: Block;
      turns: LoopFields;
      /** For its work, what people take to answer not counted. `isUnsaid`: what a published agent says goes before it. */
      time?: { ms: number; isUnsaid?: true };
      maxTurns?: number;
      concurrency?: number;
      contextTokens?: number;
    }
  /** Inside an agent: what it is about; one model call; one tool call. */
  | {
      type: "brief";
      agent?: string;
      version?: string;
      models: Template[];
      instructions: Template;
      prompt: Template;
      approval?: { tools: string[]; unasked?: string[]; assignees: Template; expiresAfter: Template; remindAfter?: Template };
      tools?: GrantedTool[];
      guardrails?: Guardrail[];
      handoffs?: string[];
      /** The whole conversation to begin with, in place of `prompt`. */
      messages?: { role: "system" | "user" | "assistant"; content: Template }[];
      manner?: Manner;
      answerSchema?: JsonSchema;
      contextTokens?: number;
      thread?: Template;
      memory?: { subject?: Template; recall?: number; ttlMs?: number };
    }
  | ({ type: "think"; given: Template } & CallOptions)
  | ({ type: "call"; given: Template } & CallOptions)
  | ({ type: "http"; request: HttpTemplate; expect?: number[]; idempotent?: boolean } & CallOptions)
  | ({ type: "activity"; activity: string; taskQueue?: string; arguments: Template } & CallOptions)
  | { type: "set"; values: Template }
  | { type: "sequence"; body: Block }
  | { type: "switch"; cases: { name: string; when: Expression; body: Block }[]; default?: Block }
  | ({ type: "parallel"; branches: { name: string; body: Block }[]; maxConcurrency?: number } & Join)
  | ({
      type: "foreach";
      items: Template;
      as: string;
      index: string;
      concurrency: number;
      body: Block;
      key?: Expression;
      onItemError: "fail" | "collect" | "skip";
      /** Each item in a child run of its own. */
      isolate?: true;
    } & Join)
  | ({ type: "loop" } & LoopFields)
  /** `planHash`: what no version says. */
  | {
      type: "workflow";
      workflow: string;
      version?: string;
      planHash?: string;
      input: Template;
      await: boolean;
      parentClosePolicy: "cancel" | "abandon";
    }
  | { type: "wait"; duration?: Template; until?: Template }
  | {
      type: "listen";
      mode: "one" | "any" | "all";
      events: ListenFor[];
      early: "keep" | "ignore";
      timeout?: Template;
      onTimeout?: Block;
      stream?: Stream;
    }
  /** Without `to`: to all runs of the tenant that wait for the event. */
  | { type: "emit"; event: Template; data: Template; to?: Template }
  | { type: "message"; to: Template; messageType: Template; payload: Template; replyTimeout?: Template }
  | ApprovalFields
  /**
   * Its handlers are the `catch` that every step has; `finally` comes after them.
   * `undo`: what completed inside is compensated when the `try` catches an error.
   */
  | { type: "try"; body: Block; finally?: Block; undo?: true }
  /** Without `error` (only inside a catch) the error that is being handled goes on. */
  | { type: "raise"; error?: Template }
  | { type: "end"; output?: Template; status: "completed" | "failed" | "canceled" };

export interface LoopFields {
  while?: Expression;
  until?: Expression;
  body: Block;
  index: string;
  maxIterations: number;
  onLimit: "fail" | "end";
  keepLast: number;
}

export type StepType = StepFields["type"];

export interface ApprovalFields {
  type: "approval";
  title: Template;
  payload: Template;
  assignees?: Template;
  /** Different persons who must approve; 1 without it. One rejection rejects. */
  quorum?: Template;
  /** JSON Schema of the decision's `data`. */
  form?: JsonSchema;
  /** The one who approves may change the payload; the decision's `data` is the payload as approved. */
  editable?: true;
  /** Remind the assignees each time this long has passed. */
  remindAfter?: Template;
  /** After this long also these may decide, and they are told. */
  escalate?: { after: Template; to: Template };
  expiresAfter?: Template;
  onExpire?: Block;
}

/** `listen` as a stream: each event is handled by `body`, at most `concurrency` at once, until `until` (sees `event`, `last`) or the timeout. */
export interface Stream {
  until?: Expression;
  as: string;
  concurrency: number;
  body: Block;
}

export interface HttpTemplate {
  method: string;
  /** Text and values by turns; values that fall into the path or query are percent-encoded by the activity. */
  url: (string | Expression)[];
  headers: [name: string, value: Template][];
  query: [name: string, value: Template][];
  body?: Template;
}

export interface ListenFor {
  event: Template;
  when?: Expression;
  schema?: JsonSchema;
  as: string;
}

/** A value with holes: expressions are filled in when the step starts. */
export type Template =
  | { lit: Json }
  | { expr: Expression }
  /** Interpolated text. */
  | { text: (string | Expression)[] }
  | { list: Template[] }
  | { map: [key: string, value: Template][] };

export type BinaryOperator = "+" | "-" | "*" | "/" | "%" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "in";
export type Macro = "all" | "exists" | "exists_one" | "filter" | "map";

/** An expression as a tree of plain arrays; the first member says what it is. */
export type Expression =
  | ["lit", Json]
  | ["name", string]
  /** `a.b`; absent = error. */
  | ["get", Expression, string]
  /** `a[b]` */
  | ["at", Expression, Expression]
  /** `a.?b`, `a[?b]`: an optional, read by `orValue`, `hasValue`, `value`. */
  | ["optional", Expression, Expression]
  /** `has(a.b)` */
  | ["has", Expression, string]
  /** Function or method; a method's target is the first argument. */
  | ["call", string, ...Expression[]]
  | ["op", BinaryOperator, Expression, Expression]
  | ["and", Expression, Expression]
  | ["or", Expression, Expression]
  | ["not", Expression]
  | ["negate", Expression]
  | ["if", Expression, Expression, Expression]
  | ["list", ...Expression[]]
  | ["map", [key: Expression, value: Expression][]]
  /** `list.filter(x, body)`; `map` has an optional third argument: filter, then transform. */
  | ["each", Macro, Expression, string, Expression, Expression?];
