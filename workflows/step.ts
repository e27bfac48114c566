import { boundedProblem, Fault, type Problem } from "../contracts/faults.ts";
import { defaults } from "../contracts/limits.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import type { Step } from "../language/plan.ts";
import { waitAndAsk } from "./budget-question.ts";
import { budgetsOfStep, waitsForBudget } from "./budgets.ts";
import { Ended, type Context, type Entry, type Here, type Outcome } from "./context.ts";
import { letPass } from "./end.ts";
import { Frame } from "./frame.ts";
import { findHandler, isTaken, runHandler } from "./handlers.ts";
import { hasBegun } from "./next-calls.ts";
import { withLock } from "./locks.ts";
import { perform } from "./perform.ts";
import { Canceled } from "./scope.ts";
import { checkContent, mayRetry, timeLimitOf, untilRetry } from "./again.ts";
import { keptAfter } from "./since.ts";
import { withinTime } from "./time-limit.ts";
import { isUnknown } from "./undoing.ts";
import type { Walk } from "./walk.ts";

/** What it did is asked of a person, whatever `onError` says and whoever would take the error. */
const EFFECT_UNKNOWN = "effect_unknown";

/** Whatever `onError` says, and whoever would take the error; where it happened, and not once more at what is around. */
const asksPerson = (path: string, problem: Problem): boolean =>
  problem.instance === path && (problem.type === EFFECT_UNKNOWN || waitsForBudget(problem)) && !isAnswered(problem);

/** A person has let it fail: what is around does not ask again. */
const isAnswered = (problem: Problem): boolean => problem["isAnswered"] === true;
const answered = (problem: Problem): Problem => ({ ...problem, isAnswered: true });

/** Nobody is asked about what was raised on purpose, what a person cannot mend by trying again, and what was asked before. */
const mayPark = (problem: Problem): boolean => problem.code !== "raised" && !neverParks.has(problem.type) && !isAnswered(problem);
const neverParks = new Set(["expression", "schema", EFFECT_UNKNOWN]);

/** What a step costs the workflow thread by itself, in evaluation steps. */
const stepCost = 200;

/** One step from its `if` to its place in the ledger, with everything its error may lead to. */
export async function runStep(walk: Walk, step: Step, path: string, context: Context): Promise<Entry> {
  context.frame.pace.spend(stepCost);
  // One that has a place was let in before, by the execution that this one continues.
  if (!hasBegun(walk, path)) {
    walk.gate(context.scope);
    const starting = { step, path, isInstant: instant.has(step.type) };
    if (walk.leaving.holds(starting)) await walk.leaving.held(starting, context.scope);
  }
  const frame = new Frame(context.frame, {}, path);
  const budgets = budgetsOfStep(walk, step, path, context);
  for (;;) {
    const here: Here<Step> = { step, path, attempt: walk.ledger.attempt(path), context: { ...context, frame, budgets, exports: {} } };
    const entry = await attempt(walk, here);
    if (entry !== "again") return entry;
  }
}

async function attempt(walk: Walk, here: Here<Step>): Promise<Entry | "again"> {
  const { path } = here;
  const { failed, retryAt } = walk.ledger.place(path) ?? {};
  if (failed) return afterError(walk, { ...here, attempt: here.attempt - 1 }, failed as Problem);
  if (retryAt !== undefined) await unlessLeft(walk, here, untilRetry(walk, here, retryAt as number));
  try {
    return await attemptOnce(walk, here);
  } catch (error) {
    const problem = problemOf(walk, here, error);
    if (mayRetry(walk, here, problem)) return "again";
    walk.ledger.note(path, { failed: problem as Json });
    return afterError(walk, here, problem);
  } finally {
    walk.undoing.release(path);
  }
}

async function attemptOnce(walk: Walk, here: Here<Step>): Promise<Entry> {
  const { step, path, context } = here;
  const place = walk.ledger.place(path);
  const begun = place?.["startedAt"] as number | undefined;
  if (!place && step.if && !(await walk.condition(step.if, context.frame))) return skip(walk, here, "`if` was false");
  if (step.compensate) walk.undoing.reserve(path, begun !== undefined);
  const startedAt = begun ?? walk.port.now();
  if (begun === undefined) {
    tellStarted(walk, here);
    // A call ends before the walk goes on elsewhere; whatever else is open must find that it has begun.
    if (!instant.has(step.type) && !calls.has(step.type)) walk.ledger.note(path, { startedAt });
  }
  const act = (): Promise<Outcome> => (step.compensate ? performUndoably(walk, here) : performInTime(walk, here));
  const performed = step.lock ? await withLock(walk, { ...here, lock: step.lock }, act) : await act();
  const outcome = performed.isRecorded ? performed : { ...performed, output: await walk.shrink(performed.output, path) };
  // Before anything else is made of it: it has been done. What a fork's origin has done is that run's to undo.
  if (step.compensate && !outcome.reusedFrom) await walk.undoing.register(here, outcome.output);
  // Each await costs the workflow thread more than what it waits for: none without need.
  if (step.outputSchema && !outcome.isRecorded) await checkOutput(walk, step.outputSchema, outcome.output, path);
  if (step.retry?.while && !outcome.isRecorded) await checkContent(walk, here, outcome.output);
  if (step.export.length > 0) Object.assign(context.exports, await exportsOf(walk, step, outcome.output, context.frame));
  if (!outcome.isRecorded) tellCompleted(walk, here, outcome, startedAt);
  walk.inspector.set(path, step.type, "completed", here.attempt);
  return { status: "completed", output: outcome.output, exports: context.exports, ...(outcome.usage ? { usage: outcome.usage } : {}) };
}

/** What may have been done although no result came is to be undone as well. */
async function performUndoably(walk: Walk, here: Here<Step>): Promise<Outcome> {
  try {
    return await performInTime(walk, here);
  } catch (error) {
    if (isUnknown(here.step, error)) await walk.undoing.register(here, (error instanceof Fault ? error.problem["answer"] : null) ?? null);
    throw error;
  }
}

/** `timeout` of a scope, a child or a wait; a call's timeouts are kept by whoever performs it. */
async function performInTime(walk: Walk, here: Here<Step>): Promise<Outcome> {
  const { path, context } = here;
  const limit = timeLimitOf(walk, here);
  if (!limit) return perform(walk, here);
  const { deadline, ms } = limit;
  const outcome = await withinTime(walk.clock, { deadline, summary: `${path}: time limit`, scope: context.scope }, (scope) =>
    perform(walk, { ...here, context: { ...context, scope } }),
  );
  if (!outcome) throw new Fault("timeout", `Step ${path} took longer than ${ms} ms.`, { instance: path });
  return outcome;
}

/** Own catch, then whatever is around, then `onError`. */
async function afterError(walk: Walk, here: Here<Step>, thrown: Problem): Promise<Entry | "again"> {
  const { step, path, attempt, context } = here;
  if (asksPerson(path, thrown)) {
    const end = await park(walk, here, thrown);
    if (end) return end;
    walk.ledger.note(path, { failed: answered(thrown) as Json });
    return afterError(walk, here, answered(thrown));
  }
  const caught = await ownCatch(walk, here, thrown);
  if (caught.output !== undefined) return caughtEntry(walk, here, thrown, caught.output);
  const { problem } = caught;
  const mayDecide = !isTaken(context.takers, problem);
  const isLetPass = mayDecide && step.onError === "continue";
  const told: JsonObject = { type: step.type, error: problem as JsonObject, ...(isLetPass ? { letPass: true } : {}) };
  walk.tell("step.failed", { path, lane: context.lane, attempt }, told);
  walk.inspector.set(path, step.type, "failed", attempt);
  if (isLetPass) return passBy(walk, problem);
  if (!mayDecide || context.isUndoing || step.onError === defaults.onError) throw Fault.of(problem);
  const end = mayPark(problem) ? await park(walk, here, problem) : undefined;
  if (end) return end;
  throw Fault.of(mayPark(problem) ? answered(problem) : problem);
}

/** What the step's own handlers made of it; a handler that fails itself leaves its own problem. */
async function ownCatch(walk: Walk, here: Here<Step>, problem: Problem): Promise<{ output?: Json; problem: Problem }> {
  const { step, path, context } = here;
  // A `try` asks its handlers itself, since its `finally` comes after them.
  if (step.type === "try" || walk.ledger.place(path)?.["handled"]) return { problem };
  try {
    const found = await findHandler(walk, step.catch, problem, { ...context, path });
    return found ? { output: await walk.shrink(await runHandler(walk, found, problem, { ...context, path }), path), problem } : { problem };
  } catch (error) {
    const failed = problemOf(walk, here, error);
    walk.ledger.note(path, { failed: failed as Json, handled: true });
    return { problem: failed };
  }
}

function caughtEntry(walk: Walk, here: Here<Step>, caught: Problem, output: Json): Entry {
  tellCompleted(walk, here, { output, caught }, walk.port.now());
  walk.inspector.set(here.path, here.step.type, "completed", here.attempt);
  return { status: "completed", output, error: caught, exports: here.context.exports };
}

function passBy(walk: Walk, problem: Problem): Entry {
  letPass(walk, [problem]);
  return { status: "failed", output: null, error: problem, exports: {} };
}

/** What a person makes of it; nothing when they let it fail. */
async function park(walk: Walk, here: Here<Step>, problem: Problem): Promise<Entry | "again" | undefined> {
  walk.inspector.set(here.path, here.step.type, "needs_attention", here.attempt);
  const { action, by, result = null } = await unlessLeft(walk, here, waitAndAsk(walk, here, problem));
  if (action === "skip") return skip(walk, here, "a person skipped it");
  if (action === "fail") return undefined;
  const kept = keptAfter(problem, walk.ledger.place(here.path));
  walk.ledger.again(here.path);
  walk.ledger.note(here.path, { retryAt: walk.clock.now() });
  if (kept) walk.ledger.note(here.path, kept);
  if (problem.type === EFFECT_UNKNOWN) {
    const effect = problem["effect"];
    const said: JsonObject = action === "take" ? { happened: true, result } : { happened: false };
    walk.ledger.note(here.path, { told: { by, ...(effect === undefined ? {} : { effect }), ...said } });
  }
  return "again";
}

function skip(walk: Walk, { step, path, attempt, context }: Here<Step>, why: string): Entry {
  walk.tell("step.skipped", { path, lane: context.lane, attempt }, { type: step.type, why });
  walk.inspector.set(path, step.type, "skipped", attempt);
  return { status: "skipped", output: null, exports: {} };
}

/** The problem of an expected error; what is not one (cancel, `end`, defects) goes on. */
function problemOf(walk: Walk, here: Here<Step>, error: unknown): Problem {
  const { path } = here;
  if (error instanceof Fault || error instanceof Canceled || error instanceof Ended) walk.ledger.countBadEnd(path);
  if (error instanceof Fault) return boundedProblem({ ...error.problem, instance: error.problem.instance ?? path });
  return tellLeft(walk, here, error);
}

/** It waits: for a person, or to be tried again. */
const unlessLeft = <T>(walk: Walk, here: Here<Step>, waited: Promise<T>): Promise<T> =>
  waited.catch((error: unknown) => tellLeft(walk, here, error));

/** The step is left before it has ended, at its work or while it waits. */
function tellLeft(walk: Walk, { step, path, attempt, context }: Here<Step>, error: unknown): never {
  if (error instanceof Canceled || error instanceof Ended) {
    walk.tell("step.canceled", { path, lane: context.lane, attempt }, { type: step.type, reason: error.message });
    walk.inspector.set(path, step.type, "canceled", attempt);
  }
  throw error;
}

/** Our calls tell their own start, from the activity; `set` and the like take no time. */
function tellStarted(walk: Walk, { step, path, attempt, context }: Here<Step>): void {
  walk.inspector.set(path, step.type, "running", attempt);
  if (instant.has(step.type) || ownCalls.has(step.type)) return;
  walk.tell("step.started", { path, lane: context.lane, attempt }, { type: step.type, attempt });
}

const instant = new Set<Step["type"]>(["set", "raise", "end"]);
const ownCalls = new Set<Step["type"]>(["llm", "think", "tool", "call", "http"]);
const calls = new Set<Step["type"]>([...ownCalls, "activity", "emit"]);

function tellCompleted(walk: Walk, here: Here<Step>, outcome: Outcome & { caught?: Problem }, startedAt: number): void {
  const { step, path, attempt, context } = here;
  walk.tell(
    "step.completed",
    { path, lane: context.lane, attempt },
    {
      type: step.type,
      durationMs: walk.port.now() - startedAt,
      output: outcome.output,
      ...(outcome.usage ? { usage: outcome.usage as unknown as JsonObject } : {}),
      ...(outcome.caught ? { caught: outcome.caught as JsonObject } : {}),
      ...(Object.keys(context.exports).length > 0 ? { exports: context.exports } : {}),
    },
  );
}

/** Our own calls check it in the activity, where `llm` can still repair the answer. */
async function checkOutput(walk: Walk, schema: JsonSchema, output: Json, path: string): Promise<void> {
  const problem = await walk.outside(() => walk.port.validate(schema, output, path));
  if (problem) throw Fault.of(problem);
}

/** What a step puts into `vars` when it has ended. */
export async function exportsOf(walk: Walk, step: Step, output: Json, frame: Frame): Promise<JsonObject> {
  const inner = new Frame(frame, { output });
  const exports: JsonObject = {};
  for (const [name, template] of step.export) exports[name] = await walk.shrink(await walk.value(template, inner), inner.path);
  return exports;
}
