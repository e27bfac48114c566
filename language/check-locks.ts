import type { LastingStep } from "../contracts/definition.schema.ts";
import { keyType } from "./check-calls.ts";
import type { Checking, StepPlace } from "./check-context.ts";
import type { Path } from "./finding.ts";
import { ExpressionSyntaxError, parseTemplate } from "./expression/parse.ts";
import { rootsOf } from "./roots.ts";

/** Check a step's lock; gives its key when that is the same wherever it stands in the definition. */
export function checkLock(checking: Checking, { step, path, scope }: StepPlace<LastingStep>): string | undefined {
  if (!step.lock) return undefined;
  const { key, limit = 1 } = step.lock;
  const at = [...path, "lock"];
  checking.wanted(key, [...at, "key"], scope, keyType);
  if (key === "") checking.add("wrong_value", [...at, "key"], "An empty key locks nothing in particular; name what is locked.");
  if (!isSameEverywhere(key)) return undefined;
  const held = scope.locks();
  if (held.includes(key))
    checking.add(
      "conflict",
      [...at, "key"],
      "A step around this one already holds this lock, so that the two would wait for each other for ever; remove one of them.",
    );
  checkLockOrder(checking, key, held, [...at, "key"]);
  const known = checking.lockLimits.get(key) ?? limit;
  if (known !== limit)
    checking.add("conflict", at, `Another lock of this key has the limit ${known}, this one ${limit}; give both the same.`);
  checking.lockLimits.set(key, known);
  return key;
}

/** Two runs that take two locks in different orders can wait for each other for ever. */
function checkLockOrder(checking: Checking, taken: string, held: string[], path: Path): void {
  const other = held.find((outer) => outer !== taken && checking.lockOrders.some((order) => order[0] === taken && order[1] === outer));
  if (other !== undefined)
    checking.add(
      "conflict",
      path,
      `Elsewhere \`${other}\` is taken while \`${taken}\` is held, here it is the other way round: two runs could wait for each other for ever. Take them in one order.`,
    );
  for (const outer of held) checking.lockOrders.push([outer, taken]);
}

const ofTheWholeRun = new Set(["input", "run", "env"]);

function isSameEverywhere(key: string): boolean {
  try {
    const { names, steps } = rootsOf(parseTemplate(key));
    return steps.length === 0 && names.every((name) => ofTheWholeRun.has(name));
  } catch (error) {
    if (error instanceof ExpressionSyntaxError) return false;
    throw error;
  }
}
