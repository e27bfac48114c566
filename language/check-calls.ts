import type { Definition, StepOf } from "../contracts/definition.schema.ts";
import type { Checking } from "./check-context.ts";
import type { Scope } from "./check-scope.ts";
import type { Type } from "./expression/types.ts";
import type { Path } from "./finding.ts";

type CallStep = StepOf<"llm" | "tool" | "http" | "activity">;

/** Times and retries of a step that leaves the workflow. */
export function checkCall(checking: Checking, { step, path, scope }: { step: CallStep; path: Path; scope: Scope }, output: Type): void {
  checkRetry(checking, step.retry, [...path, "retry"]);
  checking.condition(step.retry?.while, [...path, "retry", "while"], scope.with({ names: { output } }));
  const timeout = checking.fixedDuration(step.timeout, [...path, "timeout"]);
  const total = checking.fixedDuration(step.totalTimeout, [...path, "totalTimeout"]);
  checking.fixedDuration(step.heartbeat, [...path, "heartbeat"]);
  for (const [field, ms] of Object.entries({ timeout, totalTimeout: total }))
    if (ms === 0) checking.add("wrong_value", [...path, field], `\`${field}\` must be longer than nothing.`);
  if (timeout !== undefined && total !== undefined && total < timeout)
    checking.add(
      "conflict",
      [...path, "totalTimeout"],
      "`totalTimeout` is shorter than `timeout`: no attempt could take its time. Raise it.",
    );
}

export function checkCallDefaults(checking: Checking, defaults: Definition["defaults"]): void {
  checkRetry(checking, defaults?.retry, ["defaults", "retry"]);
  if (checking.fixedDuration(defaults?.timeout, ["defaults", "timeout"]) === 0)
    checking.add("wrong_value", ["defaults", "timeout"], "`timeout` must be longer than nothing.");
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
