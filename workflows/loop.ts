import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Block } from "../language/plan.ts";
import type { HereOf, Outcome } from "./context.ts";
import { inside } from "./inside.ts";
import { COUNTER } from "./ledger.ts";
import type { Walk } from "./walk.ts";

/** What an iteration does; most loops do the same in each. */
type BodyOf = (walk: Walk, here: HereOf<"loop">) => Promise<Block> | Block;

/** Iterations one after the other; `last` is the output of the one before, null at first. */
export async function runLoop(walk: Walk, here: HereOf<"loop">, bodyOf: BodyOf = (_, { step }) => step.body): Promise<Outcome> {
  const { step, path, context: outer } = here;
  const counter = `${path}${COUNTER}`;
  // A loop that is picked up (a person said retry, a run continues another) goes on where it stood.
  let { index, last, exports, isOpen } = (walk.ledger.place(counter) ?? beginning) as unknown as Counter;
  Object.assign(outer.exports, exports);
  for (; ; index++) {
    const context = inside(here, `[${index}]`, { names: { [step.index]: index, last } });
    if (!isOpen && step.while && !(await walk.condition(step.while, context.frame))) return { output: last };
    if (index >= step.maxIterations) return { output: limitReached(step.onLimit, step.maxIterations, path, last) };
    walk.ledger.note(counter, { index, last, exports: { ...outer.exports }, isOpen: true });
    last = await walk.shrink(await iteration(walk, { ...here, context }, bodyOf), path);
    if (step.until && (await walk.condition(step.until, context.frame))) return { output: last };
    isOpen = false;
    walk.ledger.note(counter, { index: index + 1, last, exports: { ...outer.exports }, isOpen });
    if (index >= step.keepLast) walk.ledger.drop(`${path}[${index - step.keepLast}]`);
  }
}

/** How far a loop has come: the iteration that is open or comes next, and what the ones before left. */
interface Counter {
  index: number;
  last: Json;
  exports: JsonObject;
  isOpen: boolean;
}

const beginning = { index: 0, last: null, exports: {}, isOpen: false };

// `until` stands inside the iteration's scope: it sees its steps, and `last` as this iteration's output.
async function iteration(walk: Walk, here: HereOf<"loop">, bodyOf: BodyOf): Promise<Json> {
  const { context } = here;
  const output = await walk.block(await bodyOf(walk, here), context);
  context.frame.setName("last", output);
  return output;
}

function limitReached(onLimit: "fail" | "end", maxIterations: number, path: string, last: Json): Json {
  if (onLimit === "end") return last;
  throw new Fault("loop_limit", `Loop ${path} reached its ${maxIterations} iterations; raise \`maxIterations\` or set \`onLimit: end\`.`, {
    instance: path,
  });
}
