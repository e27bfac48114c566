import type { Json, JsonSchema } from "../contracts/json.ts";
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
}

export type OnError = "fail" | "park" | "continue";

/** Steps that leave the workflow: how often and how long they are tried. */
export interface CallOptions {
  retry: Retry & { while?: Expression };
  timeoutMs: number;
  totalTimeoutMs: number;
  heartbeatMs?: number;
  /** Temporal priority, 1 (first) to 5. */
  priority?: number;
}

export interface Join {
  join: "all" | "any" | "race" | "quorum";
  /** Successes needed; only with `quorum`. */
  quorum?: number;
}

export type Step = StepCommon & StepFields;

export type StepFields =
  | ({
      type: "llm";
      models: Template[];
      messages: { role: "system" | "user" | "assistant"; content: Template }[];
      repairs: number;
    } & CallOptions)
  | ({ type: "tool"; tool: string; arguments: Template } & CallOptions)
  | ({ type: "http"; request: HttpTemplate; expect?: number[] } & CallOptions)
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
    } & Join)
  | {
      type: "loop";
      while?: Expression;
      until?: Expression;
      body: Block;
      index: string;
      maxIterations: number;
      onLimit: "fail" | "end";
      keepLast: number;
    }
  | { type: "workflow"; workflow: string; version?: string; input: Template; await: boolean; parentClosePolicy: "cancel" | "abandon" }
  | { type: "wait"; duration?: Template; until?: Template }
  | { type: "listen"; mode: "one" | "any" | "all"; events: ListenFor[]; early: "keep" | "ignore"; timeout?: Template; onTimeout?: Block }
  | { type: "emit"; event: Template; data: Template; to: Template }
  | { type: "approval"; title: Template; payload: Template; assignees?: Template; expiresAfter?: Template; onExpire?: Block }
  /** Its handlers are the `catch` that every step has; `finally` comes after them. */
  | { type: "try"; body: Block; finally?: Block }
  /** Without `error` (only inside a catch) the error that is being handled goes on. */
  | { type: "raise"; error?: Template }
  | { type: "end"; output?: Template; status: "completed" | "failed" | "canceled" };

export type StepType = StepFields["type"];

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
