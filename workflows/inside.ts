import type { Json, JsonObject } from "../contracts/json.ts";
import type { Block, Step } from "../language/plan.ts";
import type { Context, Here } from "./context.ts";
import { Frame } from "./frame.ts";
import type { Taker } from "./handlers.ts";
import type { Walk } from "./walk.ts";

/** The inside of a step: a slot of its path with a frame of its own. `takers` are those of the step itself. */
export function inside(here: Here<Step>, slot: string, more: { names?: JsonObject; takers?: readonly Taker[] } = {}): Context {
  const { step, path, context } = here;
  const slotPath = `${path}${slot}`;
  const takers = [...(more.takers ?? []), { catchers: step.catch, frame: context.frame }, ...context.takers];
  return { ...context, path: slotPath, frame: new Frame(context.frame, more.names), takers };
}

export const runInside = (walk: Walk, here: Here<Step>, slot: string, block: Block): Promise<Json> => walk.block(block, inside(here, slot));
