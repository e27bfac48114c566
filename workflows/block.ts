import type { Json } from "../contracts/json.ts";
import { viewOf } from "../contracts/step-view.ts";
import type { Block, Step } from "../language/plan.ts";
import { budgetsOfStep } from "./budgets.ts";
import { stepPath, type Context, type Entry } from "./context.ts";
import { resumeRest } from "./fan-out.ts";
import { isEnd } from "./ledger.ts";
import { Rest } from "./rest.ts";
import { Canceled, type Scope } from "./scope.ts";
import { exportsOf, runStep } from "./step.ts";
import type { Walk } from "./walk.ts";

/** Run the steps of a block, each when its `needs` have ended. The first error cancels the others, and they are awaited. */
export async function runBlock(walk: Walk, block: Block, context: Context): Promise<Json> {
  const entries = await context.scope.within((scope) => runSteps(walk, block, { ...context, scope }));
  return block.output === undefined ? (entries.at(-1)?.output ?? null) : walk.value(block.output, context.frame);
}

async function runSteps(walk: Walk, block: Block, around: Context): Promise<Entry[]> {
  const { scope } = around;
  const rest = new Rest(scope);
  const watchdogs = block.steps.some(({ background }) => background) ? scope.below() : undefined;
  const started = new Map<string, Promise<Entry>>();
  const byId = new Map(block.steps.map((step) => [step.id, step]));
  const start = (step: Step): Promise<Entry> => {
    const needs = (): Promise<Entry>[] => step.needs.map((id) => start(byId.get(id)!));
    const context = { ...around, rest, block, ...(watchdogs && step.background ? { scope: watchdogs } : {}) };
    const running = started.get(step.id) ?? afterAll(needs()).then(() => settle(walk, step, context));
    started.set(step.id, running);
    return running;
  };
  const running = block.steps.filter(({ background }) => !background).map(start);
  const watching = watchdogs ? block.steps.filter(({ background }) => background).map(start) : [];
  if (watchdogs) endWith(running, watchdogs);
  const entries = await Promise.all([...running, ...watching.map(unlessCanceled)].map((ending) => unlessFailed(ending, rest)));
  await rest.over();
  const { failures } = rest;
  // The ledger knows the order in which they came, also after the walk went on elsewhere; of a defect it knows nothing.
  if (failures.length > 0) throw failures.find((error) => !isEnd(error)) ?? firstError(walk, block, around) ?? failures[0];
  if (walk.changes.arePending) await walk.changes.end(around.path, scope);
  return entries.slice(0, running.length) as Entry[];
}

/** The first error ends the block: what else is in it is cancelled, and awaited all the same. */
async function unlessFailed(ending: Promise<Entry>, rest: Rest): Promise<Entry | undefined> {
  try {
    return await ending;
  } catch (error) {
    rest.fail(error);
    return undefined;
  }
}

/** Steps in the background are cancelled when the others have ended. */
function endWith(running: Promise<unknown>[], watchdogs: Scope): void {
  void Promise.all(running).then(
    () => watchdogs.cancel("the steps beside it have ended"),
    () => undefined,
  );
}

async function unlessCanceled(watching: Promise<Entry>): Promise<Entry> {
  try {
    return await watching;
  } catch (error) {
    if (error instanceof Canceled) return { status: "canceled", output: null, exports: {} };
    throw error;
  }
}

function firstError(walk: Walk, block: Block, context: Context): Error | undefined {
  const first = walk.ledger.firstThrown(block.steps.map(({ id }) => stepPath(context, id)));
  return first === undefined ? undefined : walk.ledger.thrown(first);
}

/** What the ledger knows of the step, or the step run to its end; then others may see it. */
async function settle(walk: Walk, step: Step, context: Context): Promise<Entry> {
  const path = stepPath(context, step.id);
  const known = walk.ledger.get(path);
  const entry = known?.lacksExports ? await completed(walk, step, known, context) : (known ?? (await runAnew(walk, step, path, context)));
  if (known) recall(walk, step, path, context);
  else walk.setVariables(entry.exports);
  Object.assign(context.exports, entry.exports);
  context.frame.setStep(step.id, viewOf(entry));
  return entry;
}

async function runAnew(walk: Walk, step: Step, path: string, context: Context): Promise<Entry> {
  const thrown = walk.ledger.thrown(path);
  if (thrown) throw thrown;
  try {
    const entry = await runStep(walk, step, path, context);
    walk.ledger.enter(path, entry);
    return entry;
  } catch (error) {
    if (isEnd(error)) walk.ledger.throw(path, error);
    throw error;
  }
}

/** The log of another run may not know what a step exported: it follows from the output. */
async function completed(walk: Walk, step: Step, known: Entry, context: Context): Promise<Entry> {
  const entry = { ...known, exports: { ...(await exportsOf(walk, step, known.output, context.frame)), ...known.exports } };
  delete entry.lacksExports;
  walk.ledger.enter(stepPath(context, step.id), entry);
  return entry;
}

/** A step that was finished before: its variables are set when they did not come along with it, since another run has done it. */
function recall(walk: Walk, step: Step, path: string, context: Context): void {
  const entry = walk.ledger.get(path)!;
  // What it had left has ended the scope, in an execution before this one.
  const thrown = walk.ledger.thrown(path);
  if (thrown) context.rest.fail(thrown);
  if (entry.hasRest || walk.ledger.place(path)?.["rest"] === true) {
    // From now on its place says so, until that has ended.
    delete entry.hasRest;
    walk.ledger.note(path, { rest: true });
    const budgets = budgetsOfStep(walk, step, path, context);
    resumeRest(walk, { step, path, attempt: 1, context: { ...context, budgets, exports: {} } });
  }
  if (!walk.ledger.takeOver(path)) return;
  walk.inspector.set(path, step.type, "reused");
  walk.setVariables(entry.exports);
}

async function afterAll(needs: Promise<unknown>[]): Promise<void> {
  // A step without needs must not wait a turn: what starts together is sent together.
  if (needs.length > 0) await Promise.all(needs);
}
