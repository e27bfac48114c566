import { childRunId } from "../contracts/ids.ts";
import { Fault, makeProblem } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { RunPart } from "../contracts/messages.ts";
import { findStep } from "../language/plan-steps.ts";
import { follow } from "./child.ts";
import type { Context, HereOf, StepOf } from "./context.ts";
import { itemTasks, keyed, listed, optionsOf } from "./items.ts";
import { mayTake } from "./handlers.ts";
import { join, type Task } from "./join.ts";
import type { ChildRequest } from "./port.ts";
import { outerOf } from "./ledger.ts";
import type { Scope } from "./scope.ts";
import { frameOf, seenBy } from "./sight.ts";
import type { UndoPage } from "./undoing.ts";
import type { Walk } from "./walk.ts";

/** What a window gives: the outputs of its items, the variables they set, what it takes to undo them. */
type WindowResult = { output: Json; exports: JsonObject; undos: Json };

/**
 * A `foreach` over many items, in windows: each is a child run that walks the same plan's step for its own items, at the
 * same step paths. So no history and no ledger holds more than one window, and the parent only a result for each.
 */
export async function runWindows(walk: Walk, here: HereOf<"foreach">, pages: Json[]): Promise<Json> {
  const { step } = here;
  const atOnce = step.isolate
    ? step.concurrency
    : Math.max(1, Math.min(limits.windowsMax, pages.length, Math.floor(step.concurrency / 10)));
  const concurrency = step.isolate ? 1 : Math.max(1, Math.floor(step.concurrency / atOnce));
  const size = step.isolate ? 1 : limits.windowItems;
  const tasks = pages.map((items, index): Task => {
    const from = index * size;
    return { path: `${here.path}[${from}+]`, run: (around) => runWindow(walk, here, { around, from, items, concurrency }) };
  });
  const ends = await join(walk, here, tasks, { join: "all", limit: atOnce, onError: "fail" });
  const results = ends
    .map((end) => (end?.status === "done" ? (end.output as WindowResult) : undefined))
    .filter((each) => each !== undefined);
  return walk.outside(() =>
    walk.port.concat(
      results.map(({ output }) => output),
      here.path,
    ),
  );
}

interface Window {
  around: Parameters<Task["run"]>[0];
  from: number;
  items: Json;
  concurrency: number;
}

async function runWindow(walk: Walk, here: HereOf<"foreach">, { around, from, items, concurrency }: Window): Promise<Json> {
  const path = `${here.path}[${from}+]`;
  const known = walk.ledger.place(path)?.["child"] as string | undefined;
  const part = known === undefined ? await partOf(walk, here, { from, items, concurrency }) : undefined;
  const again = here.attempt === 1 ? "" : `_attempt${here.attempt}`;
  const request: ChildRequest = {
    id: known ?? childRunId(walk.options.run.id, `${here.path}_from${from}${again}`, () => walk.port.uuid()),
    workflow: walk.options.run.workflow,
    version: walk.options.run.version,
    planHash: walk.options.plan.hash,
    input: walk.options.input,
    path,
    await: true,
    summary: `${path} · items ${from} and after`,
    ...(part ? { part, undone: undoneOf(walk, here.path, part) } : { isStarted: true }),
    ...(known === undefined ? walk.ledger.child(path) : {}),
  };
  if (part) tellWindow(walk, here, request);
  walk.inspector.child(path, request.id, "window");
  const { output, exports, undos } = await endOf(walk, request, around.scope);
  walk.setVariables(exports);
  Object.assign(around.exports, exports);
  if (!Array.isArray(undos) || undos.length > 0) walk.undoing.registerPage({ path, page: undos } satisfies UndoPage);
  return { output, exports, undos: [] };
}

/** Of the window's own items, and of all that stands around them the sum. */
function undoneOf({ ledger }: Walk, path: string, { from }: RunPart): [string, number][] {
  const times = ledger.timesUndone(path);
  return [...(times === 0 ? [] : [[path, times] as [string, number]]), ...ledger.undoneItems(path, from, from + limits.windowItems)];
}

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
  { from, items, concurrency }: Omit<Window, "around">,
): Promise<RunPart> {
  const { frame } = context;
  const { names, steps } = await seenBy(walk, step.body, { frame, path });
  return {
    path,
    attempt,
    from,
    items,
    concurrency,
    isTaken: mayTake(step.catch, anyError, frame) || context.takes(anyError),
    // Also when no item reads them: what items set is added to them.
    names: { ...names, vars: await walk.shrink(frame.name("vars") ?? {}, path) },
    steps,
  };
}

/** Whether something around takes errors cannot be asked error by error from within a child. */
const anyError = makeProblem("tool", "any error");

/** The window's own side: the items of the part, as the parent would have run them. */
export async function runPart(walk: Walk, part: RunPart, around: Context): Promise<Json> {
  const found = findStep(walk.options.plan, part.path);
  if (found?.type !== "foreach") throw new Fault("not_found", `The plan has no \`foreach\` at ${part.path}.`);
  const { isolate: _, ...step } = found as StepOf<"foreach">;
  const { vars, ...names } = part.names;
  if (!walk.isContinued) walk.setVariables(vars as JsonObject);
  const frame = frameOf(around.frame, { names, steps: part.steps });
  const exports: JsonObject = {};
  const here: HereOf<"foreach"> = {
    step: { ...step, concurrency: part.concurrency } as StepOf<"foreach">,
    path: part.path,
    attempt: part.attempt,
    context: { ...around, path: outerOf(part.path), frame, exports, takes: () => part.isTaken },
  };
  const items = await itemsOf(walk, part);
  const list = { items, from: part.from };
  const ends = await join(walk, here, itemTasks(walk, here, list), optionsOf(here.step));
  const output = here.step.key ? await keyed(walk, here, list, ends) : listed(here.step.onItemError, ends);
  return {
    output: await walk.shrink(output, part.path),
    exports,
    undos: await walk.shrink(walk.undoing.state() as unknown as Json, part.path),
  };
}

async function itemsOf(walk: Walk, { items, path }: RunPart): Promise<Json[]> {
  if (Array.isArray(items)) return items;
  const list = await walk.list({ list: items, itemsMax: limits.windowItems, pageSize: limits.windowItems, mayPage: false }, path);
  return "items" in list ? list.items : [];
}
