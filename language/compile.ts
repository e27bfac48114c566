import type { AvailableStep, Definition, HandlerDefinition, StepDefinition } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import { defaults as platformDefaults } from "../contracts/limits.ts";
import type { Policy } from "../contracts/policy.ts";
import { termsOf } from "./budget.ts";
import { impliedNeeds, isBackground } from "./check-order.ts";
import { lastingOf } from "./compile-lasting.ts";
import { startsOf } from "./compile-starts.ts";
import type { Compiling } from "./compile-scopes.ts";
import { compileFields } from "./compile-steps.ts";
import { conditionOf, entriesOf, templateOf } from "./compile-values.ts";
import type { Block, Handler, Plan, Step, Template } from "./plan.ts";

/**
 * The Plan of a checked definition: defaults frozen in, `needs` explicit, durations in milliseconds, expressions as trees.
 * Only for definitions the checker let pass; anything else is a defect and throws.
 */
export function compile(definition: Definition, hash: string): Plan {
  const compiling = compilingWith(definition.defaults ?? {});
  return {
    format: 1,
    name: definition.name,
    version: definition.version,
    ...(definition.title === undefined ? {} : { title: definition.title }),
    hash,
    ...(definition.input === undefined ? {} : { input: definition.input }),
    ...(definition.outputSchema === undefined ? {} : { outputSchema: definition.outputSchema }),
    vars: entriesOf(definition.vars),
    body: blockOf(compiling, definition.steps, definition.output),
    catch: handlersOf(compiling, definition.catch),
    ...(definition.finally ? { finally: blockOf(compiling, definition.finally) } : {}),
    ...startsOf(definition),
    ...(definition.policy ? { policy: definition.policy as Policy } : {}),
    ...(definition.budget ? { budget: termsOf(definition.budget) } : {}),
    ...(definition.record === "ends" ? { record: "ends" } : {}),
  };
}

const compilingWith = (defaults: Compiling["defaults"]): Compiling => {
  const compiling: Compiling = {
    defaults,
    block: (steps, output) => blockOf(compiling, steps, output),
    // Which errors do not matter where money goes back is not said by a default for all steps.
    undoing: (steps) => blockOf(compilingWith({ ...defaults, onError: platformDefaults.onError }), steps),
  };
  return compiling;
};

function blockOf(compiling: Compiling, steps: StepDefinition[], output?: Json): Block {
  const compiled = steps.map((step, index) => stepOf(compiling, step as AvailableStep, impliedNeeds(steps, index)));
  const given = output === undefined ? lastOutput(steps) : templateOf(output);
  return { steps: compiled, ...(given ? { output: given } : {}) };
}

/** The output of a scope whose last step is in the background: that of the last one before it. */
function lastOutput(steps: StepDefinition[]): Template | undefined {
  const last = steps.findLast((step) => !isBackground(step));
  return last === steps.at(-1) ? undefined : { expr: ["get", ["get", ["name", "steps"], last!.id], "output"] };
}

const stepOf = (compiling: Compiling, step: AvailableStep, implied: string[]): Step => ({
  id: step.id,
  ...(step.summary === undefined ? {} : { summary: templateOf(step.summary) }),
  ...(step.if === undefined ? {} : { if: conditionOf(step.if) }),
  needs: step.needs ?? implied,
  export: entriesOf(step.export),
  ...(step.outputSchema === undefined ? {} : { outputSchema: step.outputSchema }),
  catch: handlersOf(compiling, step.catch),
  onError: step.onError ?? compiling.defaults.onError ?? platformDefaults.onError,
  ...(step.budget ? { budget: termsOf(step.budget) } : {}),
  ...lastingOf(step, compiling),
  ...compileFields(step, compiling),
});

const handlersOf = (compiling: Compiling, handlers: HandlerDefinition[] = []): Handler[] =>
  handlers.map((handler) => ({
    ...(handler.errors === undefined ? {} : { errors: handler.errors }),
    ...(handler.when === undefined ? {} : { when: conditionOf(handler.when) }),
    as: handler.as ?? "error",
    body: blockOf(compiling, handler.steps, handler.output),
  }));
