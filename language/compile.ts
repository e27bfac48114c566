import { parseDuration } from "./duration.ts";
import type { AvailableStep, Definition, HandlerDefinition, StepDefinition } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import { defaults as platformDefaults } from "../contracts/limits.ts";
import type { Compiling } from "./compile-scopes.ts";
import { compileFields } from "./compile-steps.ts";
import { conditionOf, entriesOf, templateOf } from "./compile-values.ts";
import type { Block, Handler, Plan, Step } from "./plan.ts";

/**
 * The Plan of a checked definition: defaults frozen in, `needs` explicit, durations in milliseconds, expressions as trees.
 * Only for definitions the checker let pass; anything else is a defect and throws.
 */
export function compile(definition: Definition, hash: string): Plan {
  const compiling: Compiling = { defaults: definition.defaults ?? {}, block: (steps, output) => blockOf(compiling, steps, output) };
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
  };
}

function blockOf(compiling: Compiling, steps: StepDefinition[], output?: Json): Block {
  const compiled = steps.map((step, index) => stepOf(compiling, step as AvailableStep, steps[index - 1]?.id));
  return { steps: compiled, ...(output === undefined ? {} : { output: templateOf(output) }) };
}

function stepOf(compiling: Compiling, step: AvailableStep, before: string | undefined): Step {
  return {
    id: step.id,
    ...(step.summary === undefined ? {} : { summary: templateOf(step.summary) }),
    ...(step.if === undefined ? {} : { if: conditionOf(step.if) }),
    needs: step.needs ?? (before === undefined ? [] : [before]),
    export: entriesOf(step.export),
    ...(step.outputSchema === undefined ? {} : { outputSchema: step.outputSchema }),
    catch: handlersOf(compiling, step.catch),
    onError: step.onError ?? compiling.defaults.onError ?? platformDefaults.onError,
    ...timeLimitOf(step),
    ...compileFields(step, compiling),
  };
}

// Calls have a timeout for each attempt among their own fields, `listen` has one that leads to `onTimeout`.
const timeLimitOf = (step: AvailableStep): { timeLimitMs?: number } =>
  "timeout" in step && step.timeout !== undefined && !hasOwnTimeout.has(step.type)
    ? { timeLimitMs: parseDuration(step.timeout as string | number) }
    : {};

const hasOwnTimeout = new Set<AvailableStep["type"]>(["llm", "tool", "http", "activity", "listen"]);

const handlersOf = (compiling: Compiling, handlers: HandlerDefinition[] = []): Handler[] =>
  handlers.map((handler) => ({
    ...(handler.errors === undefined ? {} : { errors: handler.errors }),
    ...(handler.when === undefined ? {} : { when: conditionOf(handler.when) }),
    as: handler.as ?? "error",
    body: blockOf(compiling, handler.steps, handler.output),
  }));
