import { Fault } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Join, Step } from "../language/plan.ts";
import type { Here } from "./context.ts";
import { Frame } from "./frame.ts";
import type { Taker } from "./handlers.ts";
import { JoinState, type JoinMark, type TaskEnd } from "./join-state.ts";
import { CUT, isEnd } from "./ledger.ts";
import type { Lane } from "./outbox.ts";
import { Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

/** One branch or item. */
export interface Task {
  /** Its slot: where its steps stand. */
  path: string;
  /** `takers` tells its steps whether the join could still be met without it; `exports` collects the variables they set. */
  run(around: { scope: Scope; lane: Lane; takers: readonly Taker[]; exports: JsonObject }): Promise<Json>;
}

export interface JoinOptions extends Join {
  /** How many run at once. */
  limit: number;
  onError: "fail" | "collect" | "skip";
}

interface Joining {
  walk: Walk;
  here: Here<Step>;
  tasks: Task[];
  options: JoinOptions;
  state: JoinState;
  scope: Scope;
}

/**
 * Run tasks, at most `limit` at once, until the join is met or can no longer be. Then the others are cancelled and
 * awaited, or, with `rest: finish`, left to the scope around, which waits for them.
 * Gives each task's end in task order; undefined for one that was cancelled, never began or is not over.
 */
export async function join(walk: Walk, here: Here<Step>, tasks: Task[], options: JoinOptions): Promise<(TaskEnd | undefined)[]> {
  if (options.join === "quorum" && (options.quorum ?? 0) > tasks.length)
    throw new Fault("join", `The join needs ${options.quorum} successes of ${tasks.length}.`);
  const { context } = here;
  const joining = open(walk, here, tasks, options);
  const release = context.scope.onCancel((reason) => joining.scope.cancel(reason));
  const running = runTasks(joining);
  try {
    if (options.rest === "finish") await Promise.race([running, joining.state.over]);
    if (!joining.state.goesOn || context.scope.isCanceled) await running;
  } finally {
    release();
  }
  context.scope.throwIfCanceled();
  if (joining.state.openTasks > 0) leave(joining, running);
  return joining.state.ends();
}

/** Go on with what a join with `rest: finish` left behind: in another execution or run, or when the scope around is tried again. */
export function finishRest(walk: Walk, here: Here<Step>, tasks: Task[], options: JoinOptions): void {
  // However that came about, the join was met.
  markOf(walk, here).until = { after: 0 };
  const joining = open(walk, here, tasks, options);
  leave(joining, runTasks(joining));
}

function open(walk: Walk, here: Here<Step>, tasks: Task[], options: JoinOptions): Joining {
  const mark = markOf(walk, here);
  // In the order in which they ended; what is in the ledger beyond that comes from a run that this one continues.
  const known = new Set(mark.order.splice(0));
  const state = new JoinState(tasks.length, options, mark);
  // Of a rest also those that were cut off: they go on when the scope around is tried again, which forgets that.
  const isPast = ({ path }: Task): boolean =>
    walk.ledger.get(path) !== undefined || (state.goesOn && walk.ledger.thrown(path) !== undefined);
  const others = [...tasks.keys()].filter((index) => !known.has(index) && isPast(tasks[index]!));
  for (const index of [...known, ...others]) recallTask(walk, here, state, { task: tasks[index]!, index });
  return { walk, here, tasks, options, state, scope: new Scope() };
}

function markOf(walk: Walk, { path }: Here<Step>): JoinMark {
  const mark = (walk.ledger.place(path)?.["join"] as JoinMark | undefined) ?? { order: [], begun: 0 };
  walk.ledger.note(path, { join: mark });
  return mark;
}

function recallTask(walk: Walk, here: Here<Step>, state: JoinState, { task, index }: { task: Task; index: number }): void {
  const entry = walk.ledger.get(task.path);
  Object.assign(here.context.exports, entry?.exports);
  if (entry) state.done(index, entry.output);
  else state.failed(index, walk.ledger.thrown(task.path));
}

async function runTasks(joining: Joining): Promise<void> {
  const { state, scope, tasks, options, walk, here } = joining;
  const worker = async (): Promise<void> => {
    for (;;) {
      if (state.isOver && !state.goesOn) scope.cancel("the join was decided without it");
      const index = state.next();
      if (index === undefined) return;
      await walk.journal.inLane(here.context.lane, (lane) => runTask(joining, index, lane));
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.limit, tasks.length) }, worker));
}

async function runTask({ walk, here, tasks, options, state, scope }: Joining, index: number, lane: Lane): Promise<void> {
  const task = tasks[index]!;
  const exports: JsonObject = {};
  try {
    const output = await task.run({ scope, lane, takers: [{ isSpare: () => state.canSpare(index) }], exports });
    walk.ledger.enter(task.path, { status: "completed", output, exports });
    state.done(index, output);
  } catch (error) {
    if (isEnd(error)) walk.ledger.throw(task.path, error);
    if (state.passes(error)) passOn(walk, here, error);
    else state.failed(index, error);
  }
  Object.assign(here.context.exports, exports);
  if (!options.until || state.isOver) return;
  try {
    if (await walk.condition(options.until, new Frame(here.context.frame, { done: state.outputs() }))) state.meet();
  } catch (error) {
    state.stop(error);
  }
}

/** It ends the scope around; the next execution learns it from the step that had left this behind. */
function passOn({ ledger }: Walk, { path, context }: Here<Step>, error: unknown): void {
  if (isEnd(error)) ledger.throwLater(path, error);
  context.rest.fail(error);
}

/** The join has its result; what still runs belongs to the scope around from now on. */
function leave({ walk, here, scope }: Joining, running: Promise<void>): void {
  const { rest } = here.context;
  walk.ledger.note(here.path, { rest: true });
  const release = rest.scope.onCancel((reason) => scope.cancel(reason));
  rest.leave(
    running.finally(() => {
      release();
      if (scope.isCanceled) walk.ledger.note(here.path, { rest: CUT });
      else walk.ledger.drop(here.path);
    }),
  );
}
