import type { Json } from "../contracts/json.ts";
import type { Block, Step } from "../language/plan.ts";
import { stepPath, viewOf, type Context, type Entry } from "./context.ts";
import type { Scope } from "./scope.ts";
import { runStep } from "./step.ts";
import type { Walk } from "./walk.ts";

/** Run the steps of a block, each when its `needs` have ended. The first error cancels the others, and they are awaited. */
export async function runBlock(walk: Walk, block: Block, context: Context): Promise<Json> {
  const entries = await context.scope.within((scope) => {
    const started = new Map<string, Promise<Entry>>();
    const byId = new Map(block.steps.map((step) => [step.id, step]));
    const start = (step: Step): Promise<Entry> => {
      const needs = (): Promise<Entry>[] => step.needs.map((id) => start(byId.get(id)!));
      const running = started.get(step.id) ?? afterAll(needs()).then(() => settle(walk, step, { ...context, scope }));
      started.set(step.id, running);
      return running;
    };
    return allOrFirstError(block.steps.map(start), scope);
  });
  return block.output === undefined ? (entries.at(-1)?.output ?? null) : walk.value(block.output, context.frame);
}

/** A finished step from the ledger, or the step run to its end; then others may see it. */
async function settle(walk: Walk, step: Step, context: Context): Promise<Entry> {
  const path = stepPath(context, step.id);
  const known = walk.ledger.get(path);
  const entry = known ?? (await runStep(walk, step, path, context));
  if (known) walk.inspector.set(path, step.type, "reused");
  else walk.ledger.enter(path, entry, context.path);
  walk.setVariables(entry.exports);
  Object.assign(context.exports, entry.exports);
  context.frame.setStep(step.id, viewOf(entry));
  return entry;
}

async function afterAll(needs: Promise<unknown>[]): Promise<void> {
  // A step without needs must not wait a turn: what starts together is sent together.
  if (needs.length > 0) await Promise.all(needs);
}

/** Wait for all; the first error cancels the scope, the rest is awaited, then it is thrown. */
async function allOrFirstError<T>(running: Promise<T>[], scope: Scope): Promise<T[]> {
  const failures: unknown[] = [];
  const fail = (error: unknown): undefined => {
    failures.push(error);
    scope.cancel("a step beside it ended the scope");
    return undefined;
  };
  const results = await Promise.all(running.map((promise) => promise.catch(fail)));
  if (failures.length > 0) throw failures[0];
  return results as T[];
}
