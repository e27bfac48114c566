import type { z } from "zod";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { compact, handlerFields, jsonSchemaOf } from "./builder-options.ts";
import { createSteps } from "./builder-record.ts";
import type { Caught, Output, Ref, Value } from "./builder-refs.ts";
import { Recorder, type Scope } from "./builder-scope.ts";
import type { Callable, Condition } from "./builder-fields.ts";
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

interface Head {
  /** Semantic version. A published version never changes. */
  version: string;
  title?: string;
  description?: string;
  tags?: readonly string[];
  /** What steps get that do not say otherwise: `retry`, `timeout`, `onError`, `model`, `priority`. */
  defaults?: JsonObject;
}

export interface Envelope<I extends z.ZodType | undefined, O extends z.ZodType | undefined, Vars extends JsonObject> extends Head {
  input?: I;
  output?: O;
  /** Variables with their first values; steps change them by `export`. */
  vars?: Vars;
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
  catch?: readonly WorkflowHandler<never>[];
  finally?: (builder: never) => unknown;
}

function definitionOf(name: string, envelope: AnyEnvelope, build: (builder: never) => unknown): JsonObject {
  const { version, title, description, tags, input, output, vars, defaults, catch: handlers, finally: last } = envelope;
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
