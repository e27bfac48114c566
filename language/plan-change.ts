import { Fault } from "../contracts/faults.ts";
import { canonicalJson, type Json } from "../contracts/json.ts";
import { isWindow } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import type { Block, Plan, Step } from "./plan.ts";
import { blocksOf, findBlock, findStep } from "./plan-steps.ts";
import { outside, whatItDoes, whatTheyDo } from "./what-it-does.ts";

/** What a run has done so far, by step path. */
export interface Progress {
  /** Steps that have ended, or whose call is under way. */
  done: string[];
  /** Scopes and waits that are open. */
  open: string[];
  /** Steps that may have to be undone, and windows with such steps; what else is known of them may be forgotten. */
  undoable: string[];
  /** Keys of the locks that steps hold. */
  held: ReadonlyMap<string, string>;
}

export type PlanRefusal = { path: string; why: string };

/**
 * Why a run that walks `from` cannot go on with `to`; empty when it can. Steps that have ended must stand there and do the same,
 * open ones be the same apart from the steps inside them: what has not started may be anything.
 */
export function planRefusals(from: Plan, to: Plan, { done, open, undoable, held }: Progress): PlanRefusal[] {
  if (from.name !== to.name) return [{ path: "", why: `The plan is of ${to.name}, the run of ${from.name}.` }];
  const changed = (path: string, shape: (step: Step) => string): PlanRefusal | undefined => {
    const before = findStep(from, path);
    if (!before) return shape === whatItDoes ? listRefusal(from, to, path) : undefined;
    const after = findStep(to, path);
    const key = held.get(path);
    if (key !== undefined && lockOf(before) !== lockOf(after))
      return { path, why: `The step holds lock ${key}, and the new plan removes or changes its \`lock\`; wait until the step has ended.` };
    if (!after) return { path, why: "The step has started, and the new plan has none at its path." };
    return shape(before) === shape(after) ? undefined : { path, why: "The step has started, and the new plan changes it." };
  };
  const refusals = [
    ...done.map((path) => changed(path, whatItDoes)),
    ...open.map((path) => changed(path, outside)),
    ...[...undoings(from, undoable)].map(([path, before]) => {
      const after = findStep(to, path)?.compensate;
      return after && sameBlock(before, after) ? undefined : { path, why: UNDOABLE };
    }),
  ];
  return refusals.filter((refusal) => refusal !== undefined);
}

/** A branch that has ended, beside others that have not, is not entered again. Items have places of their own, too. */
function listRefusal(from: Plan, to: Plan, path: string): PlanRefusal | undefined {
  const [before, after] = [findBlock(from, path), findBlock(to, path)];
  if (path === "" || path.endsWith("]") || !before || (after && whatTheyDo(before) === whatTheyDo(after))) return undefined;
  return { path, why: "These steps have ended, and the new plan changes them." };
}

/** Whether what stands at a path is another step in the other plan, or none. */
export function isOtherStep(from: Plan, to: Plan, path: string): boolean {
  const [before, after] = [findStep(from, path), findStep(to, path)];
  return before !== undefined && (!after || whole(before) !== whole(after));
}

/** Whether a list of steps, all of which have ended, goes on in the other plan or gives something else. */
export function isOtherBlock(from: Plan, to: Plan, path: string): boolean {
  const [before, after] = [findBlock(from, path), findBlock(to, path)];
  return before !== undefined && after !== undefined && outline(before) !== outline(after);
}

/** Fault `plan_refused`, when there is a reason. */
export function refuse(refusals: PlanRefusal[]): void {
  const [first, ...others] = refusals;
  if (!first) return;
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  const detail = `${first.path || "The plan"}: ${first.why}${more}`;
  throw new Fault("plan_refused", detail, { extra: { refusals: refusals.slice(0, limits.refusalsMax) } });
}

const outline = ({ steps, output }: Block): string => canonicalJson([steps.map(({ id }) => id), (output ?? null) as Json]);

const UNDOABLE = "The step may have to be undone, and the new plan removes or changes its `compensate`.";

/** What undoes them, once for all items and iterations of a step. */
function undoings(plan: Plan, undoable: string[]): Map<string, Block> {
  const found = new Map<Block, string>();
  const add = (path: string, { compensate }: Step): unknown => compensate && !found.has(compensate) && found.set(compensate, path);
  for (const path of undoable) {
    const list = isWindow(path) ? outerOf(path) : undefined;
    const step = findStep(plan, list ?? path);
    if (step && list !== undefined) eachInside(step, list, add);
    else if (step) add(path, step);
  }
  return new Map([...found].map(([block, path]) => [path, block]));
}

function eachInside(step: Step, path: string, act: (path: string, step: Step) => unknown): void {
  for (const { slot, block } of blocksOf(step))
    for (const inner of block.steps) {
      const innerPath = `${path}${slot === "[]" ? "[0]" : slot === "" ? "" : `.${slot}`}.${inner.id}`;
      act(innerPath, inner);
      eachInside(inner, innerPath, act);
    }
}

const outerOf = (window: string): string => window.slice(0, window.lastIndexOf("["));

const sameBlock = (a: Block, b: Block): boolean => whatTheyDo(a) === whatTheyDo(b);

const lockOf = (step: Step | undefined): string => canonicalJson((step?.lock ?? null) as unknown as Json);

// A plan that was stored has its keys in another order than one that was just compiled.
const whole = (step: Step): string => canonicalJson(step as unknown as Json);
