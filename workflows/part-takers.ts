import type { Json, JsonObject } from "../contracts/json.ts";
import type { PartTaker, RunPart } from "../contracts/messages.ts";
import type { Expression } from "../language/plan.ts";
import type { Frame } from "./frame.ts";
import type { Catcher, Taker } from "./handlers.ts";
import { frameOf, lasting } from "./sight.ts";
import type { Walk } from "./walk.ts";

/** What may take an error of a part, for a run that does it elsewhere: it asks them about each error as they would be asked here. */
export async function partTakers(walk: Walk, takers: readonly Taker[], path: string): Promise<PartTaker[]> {
  const parts: PartTaker[] = [];
  for (const taker of takers)
    if ("catchers" in taker) for (const catcher of taker.catchers) parts.push(await partTaker(walk, { catcher, frame: taker.frame, path }));
    else if (taker.isSpare()) parts.push({ as: "error", names: {}, steps: {} });
  return parts;
}

interface Place {
  catcher: Catcher;
  frame: Frame;
  path: string;
}

async function partTaker(walk: Walk, { catcher, frame, path }: Place): Promise<PartTaker> {
  const { errors, when, as } = catcher;
  const { roots, steps } = when ? frame.rootsOf({ expr: when }) : { roots: {}, steps: {} };
  // Variables are as they are when there is an error.
  const isKnown = (name: string): boolean => name === as || name === "vars" || lasting.has(name);
  const shrunk = async (values: JsonObject): Promise<JsonObject> => {
    const own: JsonObject = {};
    for (const [name, value] of Object.entries(values)) if (!isKnown(name)) own[name] = await walk.shrink(value, path);
    return own;
  };
  return {
    ...(errors ? { errors } : {}),
    ...(when ? { when: when as unknown as Json } : {}),
    as,
    names: await shrunk(roots),
    steps: await shrunk(steps),
  };
}

/** The part's own side. */
export const takersOf = (around: Frame, { takers = [] }: RunPart): Taker[] =>
  takers.map(({ names, steps, when, ...catcher }) => ({
    catchers: [{ ...catcher, ...(when === undefined ? {} : { when: when as unknown as Expression }) }],
    frame: frameOf(around, { names, steps }),
  }));
