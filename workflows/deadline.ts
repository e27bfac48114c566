import { parseDuration } from "../language/duration.ts";
import type { Step, Template } from "../language/plan.ts";
import type { Here } from "./context.ts";
import type { Scope } from "./scope.ts";
import { withinTime } from "./time-limit.ts";
import type { Walk } from "./walk.ts";

/** When a duration from now has passed; undefined for none, also when an expression gives null. A moment, not a span: a run that goes on elsewhere keeps it. */
export async function deadlineOf(walk: Walk, duration: Template | undefined, { context }: Here<Step>): Promise<number | undefined> {
  if (!duration) return undefined;
  const span = await walk.value(duration, context.frame);
  return span === null ? undefined : walk.clock.now() + parseDuration(span);
}

/** The wait's result, or undefined when the deadline passes first. */
export function beforeDeadline<T>(
  walk: Walk,
  { path, context }: Here<Step>,
  deadline: number | undefined,
  open: (scope: Scope) => Promise<T>,
): Promise<T | undefined> {
  if (deadline === undefined) return open(context.scope);
  return withinTime(walk.clock, { deadline, summary: `${path}: deadline`, scope: context.scope }, open);
}

export const iso = (ms: number): string => new Date(ms).toISOString();
