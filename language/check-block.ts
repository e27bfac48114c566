import { isLasting, type HandlerDefinition, type StepDefinition } from "../contracts/definition.schema.ts";
import { limits } from "../contracts/limits.ts";
import type { BlockPlace, Checking } from "./check-context.ts";
import { checkFeatures } from "./check-features.ts";
import { checkName } from "./check-names.ts";
import { checkLasting } from "./check-calls.ts";
import { checkLock } from "./check-locks.ts";
import { checkOrder, isBackground, type Order } from "./check-order.ts";
import type { Scope, StepLookup, StepView } from "./check-scope.ts";
import { checkStepFields } from "./check-steps.ts";
import { checkFit } from "./check-fit.ts";
import { anyType, objectOf, stringType, unionOf, type Type } from "./expression/types.ts";
import type { Path } from "./finding.ts";
import { STAND_IN } from "./shape-repair.ts";

/** Check the steps of one scope and give the type of its output. `scope` is the scope's own inside. */
export function checkBlock(checking: Checking, place: BlockPlace, scope: Scope): Type {
  if (scope.depth > limits.nestingMax) {
    checking.add("too_deep", place.path, `Steps are nested more than ${limits.nestingMax} levels deep; move some into a sub-workflow.`);
    return anyType;
  }
  const order = checkOrder(checking, place.steps, place.path, new Set(scope.ids()));
  const types = new Map<string, Type>();
  const hidesSteps = checking.damage.isAnywhere && place.steps.some(({ id }) => id.startsWith(STAND_IN));
  const seenFrom = (id: string | undefined): Scope => scope.with({ steps: viewOf({ order, types, place, from: id }), hidesSteps });
  for (const { step, index } of order.steps)
    types.set(step.id, checkStep(checking, { step, path: [...place.path, index], scope: seenFrom(step.id) }));
  place.atEnd?.(seenFrom(undefined));
  const last = place.steps.findLast((step) => !isBackground(step));
  if (!last)
    checking.add(
      "conflict",
      place.path,
      "Every step here is in the background, so that nothing keeps the scope open; let one of them be the work.",
    );
  if (place.output !== undefined) return checking.value(place.output, place.outputPath ?? place.path, seenFrom(undefined));
  return types.get(last?.id ?? "") ?? anyType;
}

/** The handlers of a `catch`: each sees the error and what its step sees. Gives the types of what they give. */
export function checkHandlers(checking: Checking, handlers: HandlerDefinition[] = [], path: Path, scope: Scope): Type[] {
  return handlers.map((handler, index) => {
    const at = [...path, "catch", index];
    const inner = scope.inside({ names: { [handler.as ?? "error"]: errorType }, isInCatch: true, pathLength: `catch${index}.`.length });
    checkName(checking, handler.as, [...at, "as"]);
    checking.condition(handler.when, [...at, "when"], inner);
    return checkBlock(
      checking,
      { steps: handler.steps, path: [...at, "steps"], output: handler.output, outputPath: [...at, "output"] },
      inner,
    );
  });
}

interface Place {
  step: StepDefinition;
  path: Path;
  scope: Scope;
}

const errorType: Type = {
  kind: "object",
  fields: { type: stringType, code: stringType, status: { kind: "number" }, title: stringType, detail: stringType, instance: stringType },
  required: ["type", "code", "status", "title", "detail"],
  open: true,
};

function checkStep(checking: Checking, { step, path, scope }: Place): Type {
  if (--checking.stepsLeft === -1)
    checking.add("too_large", path, `There are more than ${limits.definitionStepsMax} steps; move some into sub-workflows.`);
  const inner = scope.with({ pathLength: step.id.length + 1 });
  checkPathLength(checking, path, inner);
  if (!checkFeatures(checking, step, path)) return anyType;
  checking.condition(step.if, [...path, "if"], inner);
  checking.value(step.summary, [...path, "summary"], inner);
  checking.fixedDuration(step.budget?.wallTime, [...path, "budget", "wallTime"]);
  const lock = isLasting(step) ? checkLock(checking, { step, path, scope: inner }) : undefined;
  const declared = checking.schema(step.outputSchema, [...path, "outputSchema"]);
  const own = checkStepFields(checking, { step, path, scope: inner.with({ lock }) }, declared);
  if (isLasting(step)) checkLasting(checking, { step, path, scope: inner }, own.type);
  if (step.outputSchema && own.isComputed) checkFit(checking, { type: own.type, wanted: declared, path: [...path, "outputSchema"] });
  const output = checking.damage.isBroken(path) ? anyType : own.isComputed && step.outputSchema ? declared : own.type;
  const seeingOutput = inner.with({ names: { output } });
  for (const [name, value] of Object.entries(step.export ?? {})) checking.value(value, [...path, "export", name], seeingOutput);
  return unionOf([output, ...checkHandlers(checking, step.catch, path, inner)]);
}

function checkPathLength(checking: Checking, path: Path, scope: Scope): void {
  if (scope.pathLength <= limits.stepPathBytesMax) return;
  checking.add(
    "too_large",
    [...path, "id"],
    `The path of this step can have ${scope.pathLength} characters; at most ${limits.stepPathBytesMax} are allowed. Use shorter ids.`,
  );
}

/** A block as it is seen from one of its steps, or from its end (`from` undefined: all have ended). */
function viewOf({
  order,
  types,
  place,
  from,
}: {
  order: Order;
  types: Map<string, Type>;
  place: BlockPlace;
  from: string | undefined;
}): StepView {
  const ids = new Set(place.steps.map(({ id }) => id));
  const background = new Set(place.steps.filter(isBackground).map(({ id }) => id));
  const step = (id: string): StepLookup | undefined => {
    if (!ids.has(id)) return undefined;
    if (order.isBefore(id, from ?? "") || (from === undefined && !background.has(id))) return stepType(types.get(id) ?? anyType);
    const missing = background.has(id)
      ? `\`${id}\` is in the background and ends with its scope at the latest; nothing can read it.`
      : id === from
        ? `\`${id}\` cannot be read from inside itself.`
        : `\`${id}\` cannot have run yet when \`${from}\` starts; add \`${id}\` to \`needs\` of \`${from}\`, or move it before.`;
    return { code: "step_not_ready", missing };
  };
  return { step, ids: () => [...ids] };
}

const stepType = (output: Type): Type =>
  objectOf([
    ["output", output],
    ["status", stringType],
    ["error", anyType],
    ["usage", anyType],
  ]);
