import type { z } from "zod";
import type { Guardrail as PlainGuardrail } from "../contracts/guardrails.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import type { Caught, Mark, Output, Ref, Value } from "./builder-refs.ts";

/** A boolean, or an expression that gives one. */
export type Condition = boolean | Mark<boolean>;
export type Text = Value<string>;
/** `250ms 10s 5m 2h 7d`, ISO 8601, or a number of milliseconds. */
export type Duration = Value<string | number>;
export type Key = Text | Mark<number>;
export type Data = Mark<unknown> | Json | readonly Data[] | { readonly [key: string]: Data };

export type Schema = z.ZodType | undefined;
/** What a schema says, else what is known without one. */
export type Typed<S extends Schema, Known> = S extends z.ZodType ? z.output<S> : Known;

/** A tool with its types; a plain name works too and leaves its output untyped. */
export interface ToolType {
  readonly name: string;
  readonly input?: z.ZodType;
  readonly output?: z.ZodType;
}
export type ToolInput<T> = T extends { input: z.ZodType } ? z.input<T["input"]> : unknown;
export type ToolOutput<T> = T extends { output: z.ZodType } ? z.output<T["output"]> : never;

export interface Handler<R = unknown> {
  /** Error types it takes; absent = all. */
  errors?: readonly string[];
  when?: (error: Ref<Caught>) => Condition;
  /** Name of the error in expressions. */
  as?: string;
  steps: (error: Ref<Caught>) => R;
}
/** A function takes every error. */
export type Catch<R = unknown> = ((error: Ref<Caught>) => R) | Handler<R> | readonly Handler<R>[];

/** Caps on what calls may spend. `onExceed`: what becomes of one that would go above; `pause` without it. */
export interface Budget {
  tokens?: number;
  usd?: number;
  modelCalls?: number;
  toolCalls?: number;
  /** How long after its first call it lets calls begin; those under way are cut then. */
  wallTime?: string | number;
  onExceed?: "pause" | "ask" | "fail" | "downgradeModel";
  /** With `ask`: who may raise it. */
  assignees?: readonly string[];
}

/** What every step can be given as its last argument. V is the step's output. */
export interface StepOptions<V = never> {
  description?: string;
  summary?: Text;
  /** The step is skipped when this is false. */
  if?: Condition;
  /** Steps of the same scope that must have ended. Absent = the step before; `[]` = start at once. */
  needs?: readonly (Mark<unknown> | string)[];
  /** Values to put into `vars` when the step has ended; a function is given the step's own output. */
  export?: Readonly<Record<string, Data | ((output: Ref<V>) => unknown)>>;
  catch?: Catch;
  onError?: "fail" | "park" | "continue";
  /** What the step may spend, with everything that runs below it. */
  budget?: Budget;
  metadata?: JsonObject;
  /** JSON Schema of the output, where no zod schema is at hand. */
  outputSchema?: JsonSchema;
}

/** Steps that take time. */
export interface LastingOptions<V = never> extends StepOptions<V> {
  retry?: {
    /** All attempts, the first included. */
    maxAttempts?: number;
    initialInterval?: string | number;
    backoff?: number;
    maxInterval?: string | number;
    jitter?: number;
    nonRetryable?: readonly string[];
    /** Try again while this is true. */
    while?: (output: Ref<V>) => Condition;
  };
  /** One attempt. */
  timeout?: Duration;
  /** All attempts. */
  totalTimeout?: Duration;
  /** Does not keep its scope open; cancelled when the others have ended. */
  background?: boolean;
  /** Held while the step runs, in the whole tenant. `limit`: how many may hold it at once; 1 without it. */
  lock?: { key: Key; limit?: number };
  /** Undoes the step when the run fails or is cancelled after it. The output is null when nobody knows what the step has done. */
  compensate?: (output: Ref<V>) => unknown;
}

/** Steps that leave the workflow. */
export interface CallOptions<V = never> extends LastingOptions<V> {
  heartbeat?: Duration;
  priority?: 1 | 2 | 3 | 4 | 5;
  /** Steps of one key share the workers fairly with those of others. */
  fairnessKey?: Key;
  /** What the call does outside: `read` needs no undoing. */
  effect?: "read" | "write" | "dangerous";
}

/** A zod schema the output must fit; it becomes the step's `outputSchema` and gives the output its type. */
export interface WithOutput<S extends Schema> {
  output?: S;
}

/** Plain values: nothing in a rule is computed. Its schema may be a zod type. */
export type Guardrail = PlainGuardrail | (Omit<Extract<PlainGuardrail, { type: "schema" }>, "schema"> & { schema: z.ZodType });

export interface LlmFields {
  model?: Text;
  fallbacks?: readonly Text[];
  /** How hard the model is to reason before it answers. */
  reasoning?: "low" | "medium" | "high";
  /** The longest answer of one call, reasoning included. */
  maxOutputTokens?: number;
  prompt?: Text;
  messages?: readonly { role: "system" | "user" | "assistant"; content: Text }[];
  repairs?: number;
  /** Show what the model says while it says it. */
  stream?: boolean;
  /** Take an earlier answer to the same request, or to what has the same key. */
  cache?: { key?: Key; ttl: Duration };
  /** Rules for what goes into the model and what comes out of it. */
  guardrails?: readonly Guardrail[];
}

export interface AgentFields {
  model?: Text;
  fallbacks?: readonly Text[];
  /** How hard the model is to reason before it answers. */
  reasoning?: "low" | "medium" | "high";
  /** The longest answer of one call, reasoning included. */
  maxOutputTokens?: number;
  /** Who the agent is and how it works. */
  instructions?: Text;
  prompt: Text;
  /** What it may call: names, tools of MCP servers, published workflows; `ask_human` asks a person. None without it. */
  tools?: readonly (
    | string
    | ToolType
    | { tool: string; version?: string; server?: string; timeout?: string | number }
    | { workflow: string; version?: string; as?: string }
    | { agent: string; version?: string; as?: string }
  )[];
  maxTurns?: number;
  /** A longer conversation is replaced by a summary before the next turn. */
  contextTokens?: number;
  /** Tool calls of one turn at the same time. */
  concurrency?: number;
  /** Calls that a person must approve, beside those of dangerous tools; the same people answer `ask_human`. */
  approval?: {
    tools?: readonly string[];
    unasked?: readonly string[];
    assignees?: Value<readonly string[]>;
    expiresAfter?: Duration;
    remindAfter?: Duration;
  };
  /** The conversation that it goes on with. */
  thread?: Key;
  /** What it remembers beyond a conversation: it begins with some of it. */
  memory?: { subject?: Key; recall?: number; ttl?: string | number };
  /** Published agents that it may hand its conversation over to. */
  handoffs?: readonly string[];
  /** Rules for what goes into the model and what comes out of it, and for calls of tools. */
  guardrails?: readonly Guardrail[];
  stream?: boolean;
}

export interface HttpFields {
  method?: string;
  url: Text;
  headers?: Readonly<Record<string, Data>>;
  query?: Readonly<Record<string, Data>>;
  body?: Data;
  expect?: readonly number[];
  /** The server does it once, however often it is sent with one `Idempotency-Key`. POST and PATCH are not, unless this says so. */
  idempotent?: boolean;
}

export interface HttpAnswer<Body> {
  status: number;
  headers: Record<string, string>;
  body: Body;
}

export interface MessageFields {
  /** An agent's name, `{agent}` or `{webhook}`. */
  to: Text | { agent: Text } | { webhook: Text };
  messageType: Text;
  payload?: Data;
  replyTimeout?: Duration;
}

/** What a `message` step gives: the answer when it waits for one. */
export type Sent<F> = F extends { replyTimeout: unknown }
  ? { id: string; correlationId: string; from: string; type: string; payload: never }
  : { id: string; correlationId: string };

export interface ApprovalFields {
  title: Text;
  payload?: Data;
  assignees?: Value<readonly string[]>;
  /** Different persons who must approve. */
  quorum?: Value<number>;
  /** zod or JSON Schema of what they fill in: the decision's `data`. */
  form?: z.ZodType | JsonSchema;
  /** Whoever approves may change the payload; the decision's `data` is the payload as approved. */
  editable?: boolean;
  remindAfter?: Duration;
  escalate?: { after: Duration; to: Value<readonly string[]> };
  expiresAfter?: Duration;
  onExpire?: () => unknown;
}

export interface Decision<Filled = never> {
  decision: "approved" | "rejected" | "expired";
  approved: boolean;
  by: string | null;
  at: string;
  comment: string | null;
  data: Filled;
}

/** What the decision carries; null when it is no approval. */
export type Filled<F> = F extends { form: z.ZodType<infer D> }
  ? D | null
  : F extends { form: unknown }
    ? never
    : F extends { editable: true; payload: infer Payload }
      ? Output<Payload> | null
      : never;

export interface Received<D = never> {
  event: string;
  data: D;
  id: string;
  at: string;
}

export interface ListenFor {
  event: Text;
  when?: (event: Ref<Received>) => Condition;
  /** zod or JSON Schema of the event's data. */
  schema?: z.ZodType | JsonSchema;
  as?: string;
}

export interface ListenFields {
  one?: ListenFor;
  any?: readonly ListenFor[];
  all?: readonly ListenFor[];
  early?: "keep" | "ignore";
  timeout?: Duration;
  onTimeout?: () => unknown;
  /** Handle one event after the other, until `until` or the timeout. */
  foreach?: { as?: string; concurrency?: number; steps: (event: Ref<Received>) => unknown };
  until?: (handled: { event: Ref<Received>; last: Ref<never> }) => Condition;
}
export type Heard<F> = F extends { foreach: unknown }
  ? never
  : F extends { one: { schema: z.ZodType<infer D> } }
    ? Received<D>
    : F extends { all: unknown }
      ? Record<string, Received>
      : Received;

export interface Case<R = unknown> {
  /** Stands in step paths instead of `case0`, `case1`, … */
  name?: string;
  when: Condition;
  steps: () => R;
}

export type Cases = readonly Case[];
export type CaseOutput<C extends Cases> = Output<ReturnType<C[number]["steps"]>>;

interface Join<Done> {
  join?: "all" | "any" | "race" | "quorum";
  quorum?: number;
  /** Ends the join when true; is given the outputs so far, in the order they came. */
  until?: (done: Ref<Done[]>) => Condition;
  /** What becomes of the others when the join is met; `cancel` without it. */
  rest?: "cancel" | "finish";
}
/** What a branch or item gives, or stands for it when it lost the join. What has no known type fits everywhere, as it does elsewhere. */
export type Joined<V, O> = [V] extends [never] ? never : V | Lost<O>;
type Lost<O> = O extends { join: "any" | "race" | "quorum" } | { until: unknown } ? null : never;

export interface ParallelOptions<Done> extends LastingOptions, Join<Done> {
  maxConcurrency?: number;
}

export interface ForeachOptions<Item, Done> extends LastingOptions, Join<Done> {
  as?: string;
  index?: string;
  /** Items at the same time; 1 = in order. */
  concurrency?: number;
  onItemError?: "fail" | "collect" | "skip";
  /** Gives each item a key: the output is then an object. */
  key?: (item: Ref<Item>, index: Ref<number>) => Mark<string>;
  /** Each item in a child run of its own. */
  isolate?: boolean;
}
export type Each<R, O> = Joined<Output<R>, O> | (O extends { onItemError: "collect" } ? Caught : never);
export type Gathered<R, O> = O extends { key: unknown } ? Record<string, Each<R, O>> : Each<R, O>[];

export interface Iteration {
  /** The output of the iteration before; null at first. */
  last: Ref<never>;
  index: Ref<number>;
}

export interface LoopOptions<R> extends LastingOptions<Output<R>> {
  /** Required; reaching it is the error `loop_limit` unless `onLimit` is `end`. */
  maxIterations: number;
  onLimit?: "fail" | "end";
  /** Checked before an iteration. */
  while?: (iteration: Iteration) => Condition;
  /** Checked after an iteration; is given what its callback returned. */
  until?: (result: R) => Condition;
  index?: string;
  keepLast?: number;
}

export interface ChildOptions<V> extends LastingOptions<V> {
  version?: string;
  await?: boolean;
  parentClosePolicy?: "cancel" | "abandon";
}

/** A workflow that knows its types: what `workflow(…)` gives. */
export interface Callable<I, O> {
  readonly name: string;
  readonly version: string;
  /** For the compiler only. */
  readonly types?: { input: I; output: O };
}
