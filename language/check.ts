import type { Definition } from "../contracts/definition.schema.ts";
import { limits } from "../contracts/limits.ts";
import type { Policy } from "../contracts/policy.ts";
import { checkBlock, checkHandlers } from "./check-block.ts";
import { Checking } from "./check-context.ts";
import { Scope } from "./check-scope.ts";
import { everyStep } from "./check-walk.ts";
import { anyMap, anyType, nullType, objectOf, stringType, typeOfValue, unionOf, type Type } from "./expression/types.ts";
import { checkCallDefaults } from "./check-calls.ts";
import { checkDefaultModel } from "./check-policy.ts";
import { checkStarts } from "./check-starts.ts";
import { checkFit } from "./check-fit.ts";
import type { Finding } from "./finding.ts";
import type { Damage } from "./shape-repair.ts";

/** Everything that is wrong with a definition of the right shape: names, order, types, literals, limits. */
export function checkDefinition(definition: Definition, damage: Damage): Finding[] {
  const { policy = {} } = definition as { policy?: Policy };
  const checking = new Checking({
    damage,
    around: stepsAround(definition),
    stepsMax: limits.definitionStepsMax,
    policy,
    block: checkBlock,
  });
  checkCallDefaults(checking, definition.defaults);
  checking.fixedDuration(definition.budget?.wallTime, ["budget", "wallTime"]);
  checkDefaultModel(checking, definition);
  checkBody(checking, definition);
  return checking.findings;
}

function checkBody(checking: Checking, definition: Definition): void {
  const input = checking.schema(definition.input, ["input"]);
  checkStarts(checking, definition, input);
  const scope = rootScope(checking, definition, input);
  for (const [name, value] of Object.entries(definition.vars ?? {})) checking.value(value, ["vars", name], scope);
  const body = { steps: definition.steps, path: ["steps"], output: definition.output, outputPath: ["output"] };
  const output = checkBlock(checking, body, scope.inside({}));
  checkHandlers(checking, definition.catch, [], scope);
  if (definition.finally)
    checkBlock(checking, { steps: definition.finally, path: ["finally"] }, scope.inside({ pathLength: "finally.".length }));
  const wanted = checking.schema(definition.outputSchema, ["outputSchema"]);
  if (definition.outputSchema)
    checkFit(checking, { type: output, wanted, path: definition.output === undefined ? ["outputSchema"] : ["output"] });
}

function rootScope(checking: Checking, definition: Definition, input: Type): Scope {
  const names = {
    input,
    vars: variables(checking, definition),
    env: anyStrings,
    run: objectOf([
      ["id", stringType],
      ["workflow", stringType],
      ["version", stringType],
      ["parentId", unionOf([stringType, nullType])],
      ["startedAt", stringType],
    ]),
  };
  return new Scope({ names, mayBeNames: checking.damage.texts });
}

const anyStrings: Type = { kind: "object", fields: {}, required: [], open: true };

/** A variable keeps the type of its first value only when no step changes it. */
function variables({ damage }: Checking, definition: Definition): Type {
  if (damage.isAnywhere) return anyMap;
  const types = new Map(
    Object.entries(definition.vars ?? {}).map(([name, value]) => [name, hasExpression(value) ? anyType : typeOfValue(value)]),
  );
  for (const { step } of allSteps(definition))
    for (const name of Object.keys(("export" in step && step.export) || {})) types.set(name, anyType);
  return objectOf([...types]);
}

const hasExpression = (value: unknown): boolean => JSON.stringify(value).includes("${");

function stepsAround(definition: Definition): Map<string, string> {
  return new Map([...allSteps(definition)].map(({ step, around }) => [step.id, around]));
}

function* allSteps(definition: Definition): ReturnType<typeof everyStep> {
  yield* everyStep(definition.steps);
  yield* everyStep(definition.finally ?? []);
  for (const handler of definition.catch ?? []) yield* everyStep(handler.steps);
}
