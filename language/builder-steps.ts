/* oxlint-disable max-params -- the order of arguments is the language's: id, what it works on, callbacks, options */
import type {
  CaseOutput,
  Cases,
  AgentFields,
  ApprovalFields,
  CallOptions,
  Callable,
  Catch,
  ChildOptions,
  Condition,
  Data,
  Decision,
  Duration,
  Filled,
  ForeachOptions,
  Gathered,
  Heard,
  HttpAnswer,
  HttpFields,
  Iteration,
  Joined,
  Key,
  LastingOptions,
  ListenFields,
  LlmFields,
  LoopOptions,
  MessageFields,
  ParallelOptions,
  Schema,
  Sent,
  StepOptions,
  Text,
  ToolInput,
  ToolOutput,
  ToolType,
  Typed,
  WithOutput,
} from "./builder-fields.ts";
import type { Mark, Output, Ref, Value } from "./builder-refs.ts";

type BranchOutput<B extends Readonly<Record<string, () => unknown>>> = Output<ReturnType<B[keyof B]>>;

/**
 * The step functions. Each makes one step of the scope it is called in and gives the reference to its output.
 * Callbacks run at once and make the steps of an inner scope; what they return is that scope's output.
 */
export interface Steps {
  /** Ask a model: gives text, or the value of `output`. */
  readonly llm: <S extends Schema = undefined>(
    id: string,
    fields: LlmFields & WithOutput<S>,
    options?: CallOptions<Typed<S, string>>,
  ) => Ref<Typed<S, string>>;
  /** A model that works with tools until it has an answer: a text, or the value of `output`. */
  readonly agent: <S extends Schema = undefined>(
    id: string,
    fields: AgentFields & WithOutput<S>,
    options?: LastingOptions<Typed<S, string>> & { priority?: 1 | 2 | 3 | 4 | 5; fairnessKey?: Key },
  ) => Ref<Typed<S, string>>;
  readonly tool: <T extends string | ToolType, S extends Schema = undefined>(
    id: string,
    tool: T,
    args?: Value<ToolInput<T>>,
    options?: CallOptions<Typed<S, ToolOutput<T>>> & WithOutput<S> & { short?: boolean; version?: string; server?: string },
  ) => Ref<Typed<S, ToolOutput<T>>>;
  /** `output` is the schema of the answer's body. */
  readonly http: <S extends Schema = undefined>(
    id: string,
    fields: HttpFields,
    options?: CallOptions<HttpAnswer<Typed<S, never>>> & WithOutput<S>,
  ) => Ref<HttpAnswer<Typed<S, never>>>;
  /** Any Temporal activity. A list of arguments gives several, anything else is the only one. */
  readonly activity: <S extends Schema = undefined>(
    id: string,
    activity: string,
    args?: unknown,
    options?: CallOptions<Typed<S, never>> & WithOutput<S> & { taskQueue?: string },
  ) => Ref<Typed<S, never>>;
  readonly set: <V>(id: string, values: V, options?: StepOptions<Output<V>>) => Ref<Output<V>>;
  readonly sequence: <R>(id: string, steps: () => R, options?: LastingOptions<Output<R>>) => Ref<Output<R>>;
  /** One case or the other; null when the condition is false and there is no other. */
  readonly when: {
    <R>(
      id: string,
      condition: Condition,
      then: () => R,
      otherwise?: undefined,
      options?: LastingOptions<Output<R> | null>,
    ): Ref<Output<R> | null>;
    <R, E>(
      id: string,
      condition: Condition,
      then: () => R,
      otherwise: () => E,
      options?: LastingOptions<Output<R | E>>,
    ): Ref<Output<R | E>>;
  };
  /** The first case that is true (`switch`); null when none is and there is no other. */
  readonly switchOn: {
    <const C extends Cases>(
      id: string,
      cases: C,
      otherwise?: undefined,
      options?: LastingOptions<CaseOutput<C> | null>,
    ): Ref<CaseOutput<C> | null>;
    <const C extends Cases, E>(
      id: string,
      cases: C,
      otherwise: () => E,
      options?: LastingOptions<CaseOutput<C> | Output<E>>,
    ): Ref<CaseOutput<C> | Output<E>>;
  };
  readonly parallel: <
    B extends Readonly<Record<string, () => unknown>>,
    O extends ParallelOptions<BranchOutput<B>> = ParallelOptions<BranchOutput<B>>,
  >(
    id: string,
    branches: B,
    options?: O,
  ) => Ref<{ [Name in keyof B]: Joined<Output<ReturnType<B[Name]>>, O> }>;
  readonly foreach: <R, Item = never, O extends ForeachOptions<Output<Item>, Output<R>> = ForeachOptions<Output<Item>, Output<R>>>(
    id: string,
    items: Mark<readonly Item[]> | readonly Item[],
    steps: (item: Ref<Output<Item>>, index: Ref<number>) => R,
    options?: O,
  ) => Ref<Gathered<R, O>>;
  readonly loop: <R>(id: string, steps: (iteration: Iteration) => R, options: LoopOptions<R>) => Ref<Output<R>>;
  /** Start another workflow as a child run (`workflow`). A definition fixes the version it was built with. */
  readonly call: {
    <I, O>(id: string, workflow: Callable<I, O>, input: Value<I>, options?: ChildOptions<O>): Ref<O>;
    <S extends Schema = undefined>(
      id: string,
      workflow: string,
      input?: unknown,
      options?: ChildOptions<Typed<S, never>> & WithOutput<S>,
    ): Ref<Typed<S, never>>;
  };
  readonly wait: (id: string, time: Duration | { until: Text }, options?: LastingOptions<null>) => Ref<null>;
  readonly listen: <const F extends ListenFields>(id: string, fields: F, options?: LastingOptions<Heard<F>>) => Ref<Heard<F>>;
  readonly emit: (id: string, fields: { event: Text; data?: Data; to?: Text }, options?: LastingOptions) => Ref<never>;
  /** Send a message to an agent or a webhook; with `replyTimeout` gives its answer. */
  readonly message: <const F extends MessageFields>(id: string, fields: F, options?: LastingOptions<Sent<F>>) => Ref<Sent<F>>;
  readonly approval: <const F extends ApprovalFields>(
    id: string,
    fields: F,
    options?: LastingOptions<Decision<Filled<F>>>,
  ) => Ref<Decision<Filled<F>>>;
  /** Steps with handlers (`try`). */
  readonly attempt: <R, C = never>(
    id: string,
    steps: () => R,
    options?: Omit<LastingOptions<Output<R>>, "catch"> & { catch?: Catch<C>; finally?: () => unknown; undo?: boolean },
  ) => Ref<Output<R> | Output<C>>;
  /** Fail with an error of your own; inside a catch without one, the caught error goes on. */
  readonly raise: (
    id: string,
    error?: Value<{ type: string; status?: number; title?: string; detail?: string }>,
    options?: StepOptions,
  ) => Ref<never>;
  /** End the run here. */
  readonly end: (
    id: string,
    fields?: { output?: unknown; status?: "completed" | "failed" | "canceled" },
    options?: StepOptions,
  ) => Ref<never>;
}
