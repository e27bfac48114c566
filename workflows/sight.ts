import type { Json, JsonObject } from "../contracts/json.ts";
import type { Block } from "../language/plan.ts";
import { freeRoots } from "../language/roots.ts";
import { Frame } from "./frame.ts";
import type { Walk } from "./walk.ts";

/** What a block can see of what encloses it, as plain JSON: with it the block can run later, or in another run. */
export interface Sight {
  names: JsonObject;
  steps: JsonObject;
}

/** The same in every frame, also of a run that goes on from this one: they need not be kept. */
export const lasting = new Set(["input", "env"]);

/** Only what the block reads; large values as references. */
export async function seenBy(walk: Walk, block: Block, { frame, path }: { frame: Frame; path: string }): Promise<Sight> {
  const pick = async (names: string[], read: (name: string) => Json | undefined): Promise<JsonObject> => {
    const picked: JsonObject = {};
    for (const name of names) {
      const value = read(name);
      if (value !== undefined) picked[name] = await walk.shrink(value, path);
    }
    return picked;
  };
  const { names, steps } = freeRoots(block);
  const own = names.filter((name) => !lasting.has(name));
  return { names: await pick(own, (name) => frame.name(name)), steps: await pick(steps, (id) => frame.step(id)) };
}

export function frameOf(around: Frame, { names, steps }: Sight): Frame {
  const frame = new Frame(around, names);
  for (const [id, view] of Object.entries(steps)) frame.setStep(id, view);
  return frame;
}
