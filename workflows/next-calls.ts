import type { ShortCalls, StepCall, ToolFields } from "../contracts/activities.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Block } from "../language/plan.ts";
import { stepPath, type HereOf, type StepOf } from "./context.ts";
import type { NextCalls } from "./port.ts";
import { stepCall, toolFields } from "./step-call.ts";
import type { Walk } from "./walk.ts";

/**
 * The steps right after a short one that are called together with it, each with what the one before gave: twelve in a row cost little
 * more than one. From then on they have begun: no pause holds them, and no change of the plan takes them away.
 */
export function nextCalls(walk: Walk, here: HereOf<"tool">): NextCalls | undefined {
  const { ledger } = walk;
  // One that was called with another, and has failed or has no answer, is called alone.
  if (isCalled(walk, here.path)) return undefined;
  const read = { roots: {}, steps: {} };
  const calls: ShortCalls["calls"] = [];
  for (const step of stepsAfter(here)) {
    const next = { ...here, step, path: stepPath(here.context, step.id) };
    // What is known of it stands.
    if (ledger.get(next.path) || ledger.place(next.path) || ledger.thrown(next.path)) break;
    const { roots, steps } = here.context.frame.rootsOf(step.arguments);
    Object.assign(read.roots, roots);
    Object.assign(read.steps, steps);
    calls.push(callOf(walk, { ...next, attempt: ledger.attempt(next.path) }));
  }
  if (calls.length === 0 || jsonBytes(read) > limits.inlineBytesMax) return undefined;
  const paths = calls.map(({ call }) => call.path);
  return {
    calls: { after: here.step.id, calls, ...read },
    begin: (count) => paths.slice(0, count).forEach((path) => ledger.note(path, { isCalled: true })),
    made(count) {
      for (const path of paths.slice(0, count)) ledger.note(path, { isMade: true });
      for (const path of paths.slice(count)) ledger.unnote(path);
    },
  };
}

/** The step has ended without a result: what was called after it, with one that nobody knows, is not what comes after the next attempt. */
export function forgetCalled(walk: Walk, here: HereOf<"tool">): void {
  for (const { id } of stepsAfter(here)) {
    const path = stepPath(here.context, id);
    if (!isCalled(walk, path)) return;
    walk.ledger.countBadEnd(path);
    walk.ledger.unnote(path);
  }
}

/** Whatever holds steps does not hold it: it has its answer, or has begun otherwise. */
export function hasBegun({ ledger }: Walk, path: string): boolean {
  const place = ledger.place(path);
  return place !== undefined && (place["isCalled"] !== true || place["isMade"] === true);
}

/** It was called with a step before it, or may have been. */
export const isCalled = ({ ledger }: Walk, path: string): boolean => ledger.place(path)?.["isCalled"] === true;

function callOf(walk: Walk, here: HereOf<"tool">): ShortCalls["calls"][number] {
  const call = stepCall(walk, here, toolFields(walk, here) as unknown as Json, []);
  const { id, arguments: template } = here.step;
  return { id, call: call as StepCall<Omit<ToolFields, "arguments">>, arguments: template as unknown as Json };
}

function* stepsAfter({ step, context: { block } }: HereOf<"tool">): Generator<StepOf<"tool">> {
  for (
    let [next, count] = [stepAfter(block, step), 1];
    next && count < limits.localStepsMax;
    [next, count] = [stepAfter(block, next), count + 1]
  )
    yield next;
}

/** The only one that waits for this one, when it waits for nothing else. */
function stepAfter({ steps }: Block, step: StepOf<"tool">): StepOf<"tool"> | undefined {
  if (!mayShare(step) || step.export.length > 0) return undefined;
  const [next, ...others] = steps.filter(({ needs }) => needs.includes(step.id));
  if (next?.type !== "tool" || !mayShare(next) || others.length > 0 || next.needs.length > 1) return undefined;
  return next.if || next.lock || next.compensate || next.background ? undefined : next;
}

/** One that has less time than the others must have it by itself. */
const mayShare = ({ local, budget, timeoutMs }: StepOf<"tool">): boolean => local === true && !budget && timeoutMs > limits.localStepMs;
