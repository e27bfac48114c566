import type { LeftByWindow } from "../contracts/activities.ts";
import type { Counts } from "../contracts/counts.ts";
import { childRunId } from "../contracts/ids.ts";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { RunPart } from "../contracts/messages.ts";
import type { Block } from "../language/plan.ts";
import { blocksOf, findStep } from "../language/plan-steps.ts";
import { follow } from "./child.ts";
import { Ended, type Context, type HereOf, type StepOf } from "./context.ts";
import { letPass } from "./end.ts";
import { itemTasks, keyed, listed, optionsOf, type Items } from "./items.ts";
import { partTakers, takersOf } from "./part-takers.ts";
import { join, type Task } from "./join.ts";
import type { ChildRequest } from "./port.ts";
import { isEnd, outerOf } from "./ledger.ts";
import type { Scope } from "./scope.ts";
import { frameOf, seenBy } from "./sight.ts";
import type { Walk } from "./walk.ts";

/** What a window gives: the outputs of its items, and what is the run's; `ended`: one of them has ended it. */
type WindowResult = {
  output: Json;
  exports: JsonObject;
  leftChildren?: string[];
  ended?: { status: Ended["status"]; output: Json };
};

/** The items of windows, of `size` items each but for the last. */
interface Pages {
  pages: Json[];
  from: number;
  size: number;
}

/**
 * A `foreach` over many items, in windows: each is a child run that walks the same plan's step for its own items, at the
 * same step paths. So no history and no ledger holds more than one window, and the parent only a result for each.
 * With `isolate` each item has a window of its own; many have theirs from windows that hold no more of them than others do.
 */
export async function runWindows(walk: Walk, here: HereOf<"foreach">, { pages, from: first, size }: Pages): Promise<Json> {
  const { step } = here;
  const atOnce = size === 1 ? step.concurrency : Math.max(1, Math.min(limits.windowsMax, pages.length, Math.floor(step.concurrency / 10)));
  const concurrency = Math.max(1, Math.floor(step.concurrency / atOnce));
  const tasks = pages.map((items, index): Task => {
    const from = first + index * size;
    return { path: `${here.path}[${from}+]`, run: (around) => runWindow(walk, here, { around, from, size, items, concurrency }) };
  });
  const ends = await join(walk, here, tasks, { join: "all", limit: atOnce, onError: "fail" });
  const outputs = ends.flatMap((end) => (end?.status === "done" ? [end.output] : []));
  return walk.outside(() => walk.port.concat(outputs, here.path));
}

/** Whether the items are to have runs of their own; the only one of a window has one. */
export const isIsolated = (step: StepOf<"foreach">, { items }: Items, part?: RunPart): boolean =>
  step.isolate === true && items.length > (part ? 1 : 0);

export const oneByOne = ({ items, from }: Items): Pages => ({ pages: items.map((item) => [item]), from, size: 1 });

interface Window {
  around: Parameters<Task["run"]>[0];
  from: number;
  size: number;
  items: Json;
  concurrency: number;
}

async function runWindow(walk: Walk, here: HereOf<"foreach">, window: Window): Promise<Json> {
  const { around, from, size } = window;
  const path = `${here.path}[${from}+]`;
  const known = walk.ledger.place(path)?.["child"] as string | undefined;
  if (known === undefined) walk.gate(around.scope);
  // Its items are to be done by the plan to come.
  const isHeld = (): boolean => walk.changes.hold(here.step, here.path);
  if (known === undefined && isHeld()) await walk.changes.held(here.path, { isHeld, scope: around.scope });
  const part = known === undefined ? await partOf(walk, here, window) : undefined;
  const request = requestOf(walk, here, { path, from, size, part, known });
  if (part) tellWindow(walk, here, request);
  walk.inspector.child(path, request.id, "window");
  let result: WindowResult;
  try {
    result = await endOf(walk, request, around.scope);
    if (canBeUndone(here.step.body)) await takeLeft(walk, here, { from, size, id: request.id });
  } catch (error) {
    const isBegun = walk.ledger.place(path)?.["child"] !== undefined;
    const left = isEnd(error) && isBegun ? await takeLeft(walk, here, { from, size, id: request.id }) : null;
    if (left) {
      // Its next attempt goes on from it: only what is not done, or was undone, is done again.
      walk.ledger.goOnFrom(path, { origin: { run: request.id, kind: "retry" } });
      letPass(walk, left.errors);
    }
    throw error;
  }
  Object.assign(around.exports, result.exports);
  takeOver(walk, path, result);
  return result.output;
}

/** As if its items had been done here. */
function takeOver(walk: Walk, path: string, { exports, leftChildren = [], ended }: WindowResult): void {
  walk.setVariables(exports);
  walk.leftChildren.push(...leftChildren);
  walk.childrenLeft += leftChildren.length;
  if (ended) throw new Ended(ended.status, ended.output);
  if (walk.childrenLeft > limits.childrenLeftMax)
    throw new Fault("limit", `A run may leave ${limits.childrenLeftMax} children to themselves; ${path} left more.`, { instance: path });
}

interface Asked {
  path: string;
  from: number;
  size: number;
  part: RunPart | undefined;
  known: string | undefined;
}

function requestOf(walk: Walk, here: HereOf<"foreach">, { path, from, size, part, known }: Asked): ChildRequest {
  const { run, plan, input } = walk.options;
  const again = here.attempt === 1 ? "" : `-attempt${here.attempt}`;
  const origin = part && walk.ledger.child(path)?.origin;
  return {
    id: known ?? childRunId(run.id, `${here.path}-from${from}${again}`, () => walk.port.uuid()),
    workflow: run.workflow,
    version: run.version,
    planHash: plan.hash,
    input,
    path,
    await: true,
    budgets: here.context.budgets,
    summary: `${path} · items ${from} and after`,
    ...(part ? { part, undone: undoneIn(walk, here, { from, size }) } : { isStarted: true }),
    ...(origin ? { origin } : {}),
  };
}

/** What the window did is for this run to undo, as if it had been done here. Null when it has left no trace. */
async function takeLeft(
  walk: Walk,
  here: HereOf<"foreach">,
  { id, ...items }: ItemsOfWindow & { id: string },
): Promise<LeftByWindow | null> {
  const path = `${here.path}[${items.from}+]`;
  const left = await walk.outside(() => walk.port.left({ id, path, undone: undoneIn(walk, here, items) }));
  if (!left) return null;
  walk.ledger.learnUndone(left.undone);
  // An item that was finished is done again as a whole, as in the run itself.
  const next = items.size === 1 ? {} : { run: id };
  walk.undoing.registerWindow(
    path,
    left.undos.map((page) => ({ path, page, ...next })),
  );
  return left;
}

type ItemsOfWindow = Pick<Window, "from" | "size">;

const undoneIn = ({ ledger }: Walk, { path }: HereOf<"foreach">, { from, size }: ItemsOfWindow): Counts =>
  ledger.undoneItems(path, { from, end: from + size });

const canBeUndone = (block: Block): boolean =>
  block.steps.some((step) => step.compensate !== undefined || blocksOf(step).some((inner) => canBeUndone(inner.block)));

/** An item's error is told as the item's, not as the window's. */
async function endOf(walk: Walk, request: ChildRequest, scope: Scope): Promise<WindowResult> {
  try {
    const result = (await walk.inspector.busy(() => follow(walk, request, scope))) as WindowResult;
    walk.inspector.set(request.path, "window", "completed");
    return result;
  } catch (error) {
    walk.inspector.set(request.path, "window", scope.isCanceled ? "canceled" : "failed");
    if (!(error instanceof Fault) || typeof error.problem["childStep"] !== "string") throw error;
    throw Fault.of({ ...error.problem, instance: error.problem["childStep"] });
  }
}

function tellWindow(walk: Walk, { step, attempt, context }: HereOf<"foreach">, { id, path }: ChildRequest): void {
  const data = { type: step.type, runId: id, workflow: walk.options.run.workflow, parentClosePolicy: "cancel" };
  walk.tell("child.started", { path, lane: context.lane, attempt }, data);
  void walk.journal.flush();
}

async function partOf(
  walk: Walk,
  { step, path, attempt, context }: HereOf<"foreach">,
  { from, items, concurrency }: Window,
): Promise<RunPart> {
  const { frame } = context;
  const { names, steps } = await seenBy(walk, step.body, { frame, path });
  const undone = walk.timesUndone(path);
  const takers = await partTakers(walk, [{ catchers: step.catch, frame }, ...context.takers], path);
  // Each by itself: what items set is added to them. Also when no item reads them.
  const vars: JsonObject = {};
  for (const [name, value] of Object.entries((frame.name("vars") ?? {}) as JsonObject)) vars[name] = await walk.shrink(value, path);
  return {
    path,
    attempt,
    from,
    items,
    concurrency,
    takers,
    names: { ...names, vars, run: frame.name("run")! },
    steps,
    ...(undone === 0 ? {} : { undone }),
    ...(context.isUndoing ? { isUndoing: true as const } : {}),
  };
}

/** The window's own side: the items of the part, as the parent would have run them. */
export async function runPart(walk: Walk, part: RunPart, around: Context): Promise<Json> {
  const found = findStep(walk.options.plan, part.path);
  if (found?.type !== "foreach") throw new Fault("not_found", `The plan has no \`foreach\` at ${part.path}.`);
  const { vars, ...names } = part.names;
  if (!walk.isContinued) walk.setVariables(vars as JsonObject);
  const frame = frameOf(around.frame, { names, steps: part.steps });
  const exports: JsonObject = {};
  const here: HereOf<"foreach"> = {
    step: { ...(found as StepOf<"foreach">), concurrency: part.concurrency },
    path: part.path,
    attempt: part.attempt,
    context: {
      ...around,
      path: outerOf(part.path),
      frame,
      exports,
      takers: takersOf(frame, part),
      ...(part.isUndoing ? { isUndoing: part.isUndoing } : {}),
    },
  };
  const items = await itemsOf(walk, part);
  const list = { items, from: part.from };
  const result = async (output: Json): Promise<WindowResult> => {
    const { leftChildren } = walk;
    for (const [name, value] of Object.entries(exports)) exports[name] = await walk.shrink(value, part.path);
    return {
      output,
      exports,
      ...(leftChildren.length > 0 ? { leftChildren } : {}),
    };
  };
  try {
    if (isIsolated(here.step, list, part)) return await result(await runWindows(walk, here, oneByOne(list)));
    const ends = await join(walk, here, itemTasks(walk, here, list), optionsOf(here.step));
    const output = here.step.key ? await keyed(walk, here, list, ends) : listed(here.step.onItemError, ends);
    return await result(await walk.shrink(output, part.path));
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
    const { status, output } = error;
    return { ...(await result(null)), ended: { status, output } };
  }
}

async function itemsOf(walk: Walk, { items, path }: RunPart): Promise<Json[]> {
  if (Array.isArray(items)) return items;
  const request = { list: items, itemsMax: limits.windowItems, pageSize: limits.windowItems, mayPage: false };
  const list = await walk.outside(() => walk.port.list(request, path));
  return "items" in list ? list.items : [];
}
