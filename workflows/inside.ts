import type { Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Block, Step } from "../language/plan.ts";
import type { Context, Here } from "./context.ts";
import { Frame } from "./frame.ts";
import { mayTake } from "./handlers.ts";
import type { Walk } from "./walk.ts";

/** The inside of a step: a slot of its path with a frame of its own. `takes` adds what the step itself would take. */
export function inside(here: Here<Step>, slot: string, more: { names?: JsonObject; takes?: (problem: Problem) => boolean } = {}): Context {
  const { step, path, context } = here;
  const slotPath = `${path}${slot}`;
  const takes = (problem: Problem): boolean =>
    more.takes?.(problem) === true || mayTake(step.catch, problem, context.frame) || context.takes(problem);
  return { ...context, path: slotPath, frame: new Frame(context.frame, more.names), takes };
}

export const runInside = (walk: Walk, here: Here<Step>, slot: string, block: Block): Promise<Json> => walk.block(block, inside(here, slot));
