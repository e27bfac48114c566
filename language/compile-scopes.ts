import type { Definition, StepDefinition, StepOf } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import { defaults as platformDefaults, limits } from "../contracts/limits.ts";
import { conditionOf, templateOf } from "./compile-values.ts";
import type { Block, Join, StepFields } from "./plan.ts";

export interface Compiling {
  defaults: NonNullable<Definition["defaults"]>;
  block(steps: StepDefinition[], output?: Json): Block;
  /** What undoes a step. */
  undoing(steps: StepDefinition[]): Block;
}

type ScopeStep = StepOf<"sequence" | "switch" | "parallel" | "foreach" | "loop" | "try">;

/** Steps that hold steps. A new one is one case here. */
export function scopeFields(step: ScopeStep, compiling: Compiling): StepFields {
  switch (step.type) {
    case "sequence":
      return { type: "sequence", body: compiling.block(step.steps, step.output) };
    case "switch":
      return switchFields(step, compiling);
    case "parallel":
      return parallelFields(step, compiling);
    case "foreach":
      return foreachFields(step, compiling);
    case "loop":
      return loopFields(step, compiling);
    case "try":
      // A cast, since its `catch` is the one every step has: it comes with the common fields.
      return {
        type: "try",
        body: compiling.block(step.steps, step.output),
        ...finallyOf(step, compiling),
        ...(step.undo ? { undo: true } : {}),
      } as StepFields;
    default:
      return step satisfies never;
  }
}

const finallyOf = (step: StepOf<"try">, compiling: Compiling): { finally?: Block } =>
  step.finally ? { finally: compiling.block(step.finally) } : {};

const switchFields = (step: StepOf<"switch">, compiling: Compiling): StepFields => ({
  type: "switch",
  cases: step.cases.map((each, index) => ({
    name: each.name ?? `case${index}`,
    when: conditionOf(each.when),
    body: compiling.block(each.steps, each.output),
  })),
  ...(step.default ? { default: compiling.block(step.default) } : {}),
});

const joinOf = (step: StepOf<"parallel" | "foreach">): Join => ({
  join: step.join ?? "all",
  ...(step.quorum === undefined ? {} : { quorum: step.quorum }),
  ...(step.until === undefined ? {} : { until: conditionOf(step.until) }),
  ...(step.rest === undefined ? {} : { rest: step.rest }),
});

const parallelFields = (step: StepOf<"parallel">, compiling: Compiling): StepFields => ({
  type: "parallel",
  branches: Object.entries(step.branches).map(([name, steps]) => ({ name, body: compiling.block(steps) })),
  ...(step.maxConcurrency === undefined ? {} : { maxConcurrency: step.maxConcurrency }),
  ...joinOf(step),
});

const foreachFields = (step: StepOf<"foreach">, compiling: Compiling): StepFields => ({
  type: "foreach",
  items: templateOf(step.items),
  as: step.as ?? "item",
  index: step.index ?? "index",
  concurrency: step.concurrency ?? platformDefaults.foreachConcurrency,
  body: compiling.block(step.steps, step.output),
  ...(step.key === undefined ? {} : { key: conditionOf(step.key) }),
  onItemError: step.onItemError ?? "fail",
  ...(step.isolate ? { isolate: true as const } : {}),
  ...joinOf(step),
});

const loopFields = (step: StepOf<"loop">, compiling: Compiling): StepFields => ({
  type: "loop",
  ...(step.while === undefined ? {} : { while: conditionOf(step.while) }),
  ...(step.until === undefined ? {} : { until: conditionOf(step.until) }),
  body: compiling.block(step.steps, step.output),
  index: step.index ?? "index",
  maxIterations: Math.min(step.maxIterations, limits.loopIterationsMax),
  onLimit: step.onLimit ?? "fail",
  keepLast: step.keepLast ?? platformDefaults.loopKeepLast,
});
