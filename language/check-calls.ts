import type { Definition, LastingStep } from "../contracts/definition.schema.ts";
import { isReadMethod } from "../contracts/http-methods.ts";
import type { Checking, StepPlace } from "./check-context.ts";
import { nullType, unionOf, type Type } from "./expression/types.ts";
import type { Path } from "./finding.ts";

/** What a step may have because it takes time: times, retries, undoing. `output` is the type of what it gives. */
export function checkLasting(checking: Checking, place: StepPlace<LastingStep>, output: Type): void {
  const { step, path, scope } = place;
  checkRetry(checking, step.retry, [...path, "retry"]);
  checking.condition(step.retry?.while, [...path, "retry", "while"], scope.with({ names: { output } }));
  checkTimes(checking, place);
  if ("fairnessKey" in step) checkFairness(checking, step.fairnessKey, place);
  if (step.compensate) checkUndoing(checking, place, output);
}

function checkTimes(checking: Checking, { step, path }: StepPlace<LastingStep>): void {
  // The `timeout` of `listen` leads to `onTimeout` and may be an expression.
  const timeout = step.type === "listen" ? undefined : checking.fixedSpan(step.timeout, [...path, "timeout"]);
  const total = checking.fixedSpan(step.totalTimeout, [...path, "totalTimeout"]);
  if ("heartbeat" in step) checking.fixedDuration(step.heartbeat, [...path, "heartbeat"]);
  if (timeout !== undefined && total !== undefined && total < timeout)
    checking.add(
      "conflict",
      [...path, "totalTimeout"],
      "`totalTimeout` is shorter than `timeout`: no attempt could take its time. Raise it.",
    );
}

// Temporal's limit.
const fairnessBytesMax = 64;

function checkFairness(checking: Checking, key: string | undefined, { path, scope }: StepPlace): void {
  checking.wanted(key, [...path, "fairnessKey"], scope, keyType);
  if (key !== undefined && !key.includes("${") && new TextEncoder().encode(key).length > fairnessBytesMax)
    checking.add("wrong_value", [...path, "fairnessKey"], `\`fairnessKey\` can have ${fairnessBytesMax} bytes; use a shorter one.`);
}

export const keyType = { type: unionOf([{ kind: "string" }, { kind: "number" }]), what: "a text or a number" };

/** `compensate`: sees what the step sees, and its output; null when nobody knows whether the step has done anything. */
function checkUndoing(checking: Checking, { step, path, scope }: StepPlace<LastingStep>, output: Type): void {
  const at = [...path, "compensate"];
  if (scope.isUndoing) checking.addAtKey("conflict", at, "This step undoes another and is not undone itself; remove `compensate`.");
  if (reads(step))
    checking.addAtKey(
      "conflict",
      at,
      "The step only reads, so that there is nothing to undo; remove `compensate`, or say `effect: write`.",
    );
  const inner = scope.inside({
    names: { output: unionOf([output, nullType]) },
    isInCatch: false,
    isUndoing: true,
    pathLength: "compensate.".length,
  });
  checking.block({ steps: step.compensate!, path: at }, inner);
}

function reads(step: LastingStep): boolean {
  const given = "effect" in step ? step.effect : undefined;
  return given === undefined ? step.type === "http" && isReadMethod(step.method) : given === "read";
}

export function checkCallDefaults(checking: Checking, defaults: Definition["defaults"]): void {
  checkRetry(checking, defaults?.retry, ["defaults", "retry"]);
  checking.fixedSpan(defaults?.timeout, ["defaults", "timeout"]);
}

function checkRetry(
  checking: Checking,
  retry: { initialInterval?: string | number; maxInterval?: string | number } | undefined,
  path: Path,
): void {
  const initial = checking.fixedDuration(retry?.initialInterval, [...path, "initialInterval"]);
  const max = checking.fixedDuration(retry?.maxInterval, [...path, "maxInterval"]);
  if (initial !== undefined && max !== undefined && max < initial)
    checking.add("conflict", [...path, "maxInterval"], "`maxInterval` is shorter than `initialInterval`; raise it.");
}
