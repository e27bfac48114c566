import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import type { Expression, Handler } from "../language/plan.ts";
import type { Context } from "./context.ts";
import { withUnresolved } from "./undoing.ts";
import { Frame } from "./frame.ts";
import type { Walk } from "./walk.ts";

export interface FoundHandler {
  handler: Handler;
  index: number;
}

/** All of a handler that says which errors it takes. */
export type Catcher = Pick<Handler, "errors" | "when" | "as">;

/** Something around a step that may take its error: handlers, or a join that can still be met without it. */
export type Taker = { catchers: readonly Catcher[]; frame: Frame } | { isSpare: () => boolean };

/** Whether one of them would take the error. Where a handler's `when` needs a stored value, it is believed to. */
export const isTaken = (takers: readonly Taker[], problem: Problem): boolean =>
  takers.some((taker) => ("isSpare" in taker ? taker.isSpare() : taker.catchers.some((catcher) => mayTake(catcher, problem, taker.frame))));

const mayTake = (catcher: Catcher, problem: Problem, frame: Frame): boolean =>
  takesType(catcher, problem) && (!catcher.when || mayHold(catcher.when, new Frame(frame, { [catcher.as]: problem as Json })));

function mayHold(when: Expression, frame: Frame): boolean {
  try {
    return frame.fill({ expr: when }) === true;
  } catch {
    return true;
  }
}

/** The first handler whose types and `when` fit. Which one it was, if any, is noted at `context.path`: they are asked once. */
export async function findHandler(
  walk: Walk,
  handlers: readonly Handler[],
  problem: Problem,
  context: Context,
): Promise<FoundHandler | undefined> {
  if (handlers.length === 0) return undefined;
  const noted = walk.ledger.place(context.path)?.["handler"] as number | undefined;
  const index = noted ?? (await indexOfHandler(walk, handlers, problem, context));
  walk.ledger.note(context.path, { handler: index });
  const handler = handlers[index];
  return handler && { handler, index };
}

async function indexOfHandler(walk: Walk, handlers: readonly Handler[], problem: Problem, context: Context): Promise<number> {
  for (const [index, handler] of handlers.entries()) {
    if (!takesType(handler, problem)) continue;
    const frame = new Frame(context.frame, { [handler.as]: problem as Json });
    if (!handler.when || (await walk.condition(handler.when, frame))) return index;
  }
  return -1;
}

/** Run a handler's steps below `context.path`; gives what stands in for the failed step's output. */
export async function runHandler(walk: Walk, { handler, index }: FoundHandler, problem: Problem, context: Context): Promise<Json> {
  const frame = new Frame(context.frame, { [handler.as]: problem as Json });
  const path = context.path === "" ? `catch${index}` : `${context.path}.catch${index}`;
  return walk.block(handler.body, { ...context, path, frame, handling: problem });
}

/** For a `try` and for the envelope: handle the error, or let it go on. With `undo`, what stands inside is undone before. */
export async function handleOrRethrow(
  walk: Walk,
  { catch: handlers, undo }: { catch: Handler[]; undo?: true },
  error: unknown,
  context: Context,
): Promise<Json> {
  if (!(error instanceof Fault)) throw error;
  const found = await findHandler(walk, handlers, error.problem, context);
  if (!found) throw error;
  const { problem } = undo ? (withUnresolved(error, await walk.undoing.undo(context, context.path)) as Fault) : error;
  return runHandler(walk, found, problem, context);
}

const takesType = ({ errors }: Catcher, problem: Problem): boolean => !errors || errors.includes(problem.type);
