import type { z } from "zod";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import type { Policy } from "../contracts/policy.ts";
import { compact, handlerFields, jsonSchemaOf } from "./builder-options.ts";
import { createSteps } from "./builder-record.ts";
import type { Caught, Output, Ref, Value } from "./builder-refs.ts";
import { Recorder, type Scope } from "./builder-scope.ts";
import type { Budget, Callable, Condition, Key, Received } from "./builder-fields.ts";
import type { Steps } from "./builder-steps.ts";

export { cel, errorOf, statusOf, t, usageOf } from "./builder-refs.ts";
export type { Ref, Value } from "./builder-refs.ts";
export type { Callable, ToolType } from "./builder-fields.ts";

interface RunInfo {
  id: string;
  workflow: string;
  version: string;
  parentId: string | null;
  startedAt: string;
}

/** What a workflow's callback is given: the references every step can see, and the step functions. */
export interface Builder<I = never, Vars = Record<string, never>> extends Steps {
  readonly input: Ref<I>;
  readonly vars: Ref<Vars>;
  readonly run: Ref<RunInfo>;
  /** Variables of the environment that the platform's operator allows, frozen at start. */
  readonly env: Ref<never>;
}

interface WorkflowHandler<B> {
  errors?: readonly string[];
  when?: (error: Ref<Caught>) => Condition;
  steps: (error: Ref<Caught>, builder: B) => unknown;
}

/** How many runs of one key may be under way at once. */
interface Concurrency<I> {
  /** The workflow's name without it. */
  key?: (input: Ref<I>) => Key;
  limit?: number;
  onLimit?: "queue" | "reject" | "cancelOldest";
}

/** What starts runs of the newest version. `Input` is what they may be started with. */
type Trigger<Input> =
  | { schedule: Schedule & { input?: Input } }
  | { webhook: { path?: string; secret?: string; input?: (request: Ref<WebhookRequest>) => Value<Input> } }
  | { event: { event: string; when?: (event: Ref<Received>) => Condition; input?: (event: Ref<Received>) => Value<Input> } };

interface Schedule {
  /** Either this or `every`. */
  cron?: string;
  every?: string | number;
  timezone?: string;
  startAt?: string;
  endAt?: string;
  overlap?: "skip" | "bufferOne" | "bufferAll" | "cancelOther" | "allowAll";
  /** Starts that were missed by no more than this are made up for. */
  catchUp?: string | number;
}

interface WebhookRequest {
  body: never;
  headers: Record<string, string>;
  query: Record<string, string>;
}

interface Head {
  /** Semantic version. A published version never changes. */
  version: string;
  title?: string;
  description?: string;
  tags?: readonly string[];
  /** What steps get that do not say otherwise: `retry`, `timeout`, `onError`, `model`, `priority`. */
  defaults?: JsonObject;
  /** What its steps may use: an absent list lets everything pass, an empty one nothing. */
  policy?: Policy;
  /** What each of its runs may spend, its child runs included. */
  budget?: Budget;
  /** What the run's log keeps; `ends` leaves out starts, ends and results of steps. */
  record?: "full" | "ends";
}

export interface Envelope<I extends z.ZodType | undefined, O extends z.ZodType | undefined, Vars extends JsonObject> extends Head {
  input?: I;
  output?: O;
  /** Variables with their first values; steps change them by `export`. */
  vars?: Vars;
  concurrency?: Concurrency<InputOf<I>>;
  triggers?: readonly Trigger<I extends z.ZodType ? z.input<I> : unknown>[];
  /** Errors that no step took. */
  catch?: readonly WorkflowHandler<Builder<InputOf<I>, Vars>>[];
  /** Runs in any case, at the end. */
  finally?: (builder: Builder<InputOf<I>, Vars>) => unknown;
}

type InputOf<I> = I extends z.ZodType ? z.input<I> : never;
type NoVars = Record<string, never>;

/** A definition with its types. `JSON.stringify` gives what YAML and JSON authors would have written. */
export interface WorkflowDefinition<I, O> extends Callable<I, O> {
  readonly definition: JsonObject;
  readonly toJSON: () => JsonObject;
}

/**
 * Write a workflow in TypeScript. The callback runs once, at once: it records steps and runs none of them. References
 * stand for values that a run will have; using one as a value throws a `definition_invalid` fault that says what to do.
 * A condition such as `if (step.field)` cannot be caught: use `when`.
 *
 * Out: plain JSON, the same as in YAML. It is checked when it is published, not here.
 */
export function workflow<I extends z.ZodType | undefined = undefined, O extends z.ZodType = z.ZodType, Vars extends JsonObject = NoVars>(
  name: string,
  envelope: Envelope<I, O, Vars> & { output: O },
  build: (builder: Builder<InputOf<I>, Vars>) => Value<z.input<O>> | undefined,
): WorkflowDefinition<InputOf<I>, z.output<O>>;
export function workflow<R, I extends z.ZodType | undefined = undefined, Vars extends JsonObject = NoVars>(
  name: string,
  envelope: Envelope<I, undefined, Vars>,
  build: (builder: Builder<InputOf<I>, Vars>) => R,
): WorkflowDefinition<InputOf<I>, Output<R>>;
export function workflow(name: string, envelope: AnyEnvelope, build: (builder: never) => unknown): WorkflowDefinition<unknown, unknown> {
  const definition = definitionOf(name, envelope, build);
  return { name, version: envelope.version, definition, toJSON: () => definition };
}

/** Any envelope: `never` takes a callback whatever its builder's types are. */
interface AnyEnvelope extends Head {
  input?: z.ZodType;
  output?: z.ZodType;
  vars?: JsonObject;
  concurrency?: object;
  triggers?: readonly object[];
  catch?: readonly WorkflowHandler<never>[];
  finally?: (builder: never) => unknown;
}

function definitionOf(name: string, envelope: AnyEnvelope, build: (builder: never) => unknown): JsonObject {
  const {
    version,
    title,
    description,
    tags,
    input,
    output,
    vars,
    defaults,
    record,
    policy,
    budget,
    concurrency,
    triggers,
    catch: handlers,
    finally: last,
  } = envelope;
  const recorder = new Recorder();
  const head = {
    name,
    version,
    title,
    description,
    tags,
    input: jsonSchemaOf(input, "input"),
    outputSchema: jsonSchemaOf(output),
    defaults,
    policy: policy && recorder.render(policy),
    budget: budget && recorder.render({ ...budget }),
    concurrency: concurrency && fieldsSeeing(recorder, "input", concurrency),
    triggers: triggers?.map((trigger) => triggerFields(recorder, trigger)),
    record,
  };
  const body = recorder.seeing(["input", "vars", "run", "env"], (scope) => {
    const builder = createBuilder(recorder, scope) as never;
    return {
      vars: vars && recorder.render(vars),
      ...recorder.block([], () => build(builder)),
      catch: handlers && workflowHandlers(recorder, handlers, builder),
      finally: last && recorder.steps(() => last(builder), "`finally`"),
    };
  });
  return frozen(compact({ ...head, ...body }));
}

/** Fields of which those that are functions see one name. */
const fieldsSeeing = (recorder: Recorder, name: string, fields: object): JsonObject =>
  compact(
    Object.fromEntries(
      Object.entries(fields).map(([field, value]: [string, unknown]) => [
        field,
        typeof value === "function" ? seen(recorder, name, value as Read) : value === undefined ? value : recorder.render(value),
      ]),
    ),
  );

const triggerFields = (recorder: Recorder, trigger: object): JsonObject =>
  Object.fromEntries(
    Object.entries(trigger).map(([kind, fields]: [string, object]) => [
      kind,
      fieldsSeeing(recorder, kind === "webhook" ? "request" : "event", fields),
    ]),
  );

type Read = (ref: Ref<never>) => unknown;

const seen = (recorder: Recorder, name: string, read: Read): Json =>
  recorder.seeing([name], (scope) => recorder.render(read(scope.ref(name))));

const createBuilder = (recorder: Recorder, scope: Scope): Builder => ({
  ...createSteps(recorder),
  input: scope.ref("input"),
  vars: scope.ref("vars"),
  run: scope.ref("run"),
  env: scope.ref("env"),
});

const workflowHandlers = (recorder: Recorder, handlers: readonly WorkflowHandler<never>[], builder: never): Json[] =>
  handlerFields(
    recorder,
    handlers.map((handler) => ({ ...handler, steps: (error) => handler.steps(error, builder) })),
  );

function frozen<T extends Json>(value: T): T {
  if (Array.isArray(value) || isObject(value)) Object.values(value).forEach(frozen);
  return Object.freeze(value);
}
