import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { referenceHash } from "../contracts/reference.ts";
import type { Json } from "../contracts/json.ts";
import type { Step } from "../language/plan.ts";
import type { Here, HereOf, Outcome, StepOf } from "./context.ts";
import { finishRest, join, type Task } from "./join.ts";
import { inside } from "./inside.ts";
import { COUNTER } from "./ledger.ts";
import { isIsolated, oneByOne, runWindows } from "./windows.ts";
import { itemTasks, keyed, listed, optionsOf, valueOf, type Items } from "./items.ts";
import type { Walk } from "./walk.ts";

export async function runParallel(walk: Walk, here: HereOf<"parallel">): Promise<Outcome> {
  const { step } = here;
  const tasks = branchTasks(walk, here);
  await beforeFanOut(walk, tasks.length);
  const ends = await join(walk, here, tasks, optionsOf(step));
  const entries = step.branches.map((branch, index) => [branch.name, valueOf(ends[index])] as const);
  return { output: Object.fromEntries(entries) };
}

export async function runForeach(walk: Walk, here: HereOf<"foreach">): Promise<Outcome> {
  const { step } = here;
  const list = await itemsOf(walk, here);
  if ("pages" in list) return { output: await runWindows(walk, here, { ...list, from: 0, size: limits.windowItems }) };
  if (isIsolated(step, list)) return { output: await runWindows(walk, here, oneByOne(list)) };
  const tasks = itemTasks(walk, here, list);
  await beforeFanOut(walk, tasks.length);
  const ends = await join(walk, here, tasks, optionsOf(step));
  return { output: step.key ? await keyed(walk, here, list, ends) : listed(step.onItemError, ends) };
}

/** What a finished fan-out with `rest: finish` left to the scope around goes on in this execution. */
export function resumeRest(walk: Walk, here: Here<Step>): void {
  const { step } = here;
  if (step.type === "parallel") finishRest(walk, here, branchTasks(walk, { ...here, step }), optionsOf(step));
  if (step.type !== "foreach") return;
  const later = async (): Promise<void> => {
    const list = await itemsOf(walk, { ...here, step });
    // Windows have no rest: a join over them is over when all are.
    if ("items" in list) finishRest(walk, here, itemTasks(walk, { ...here, step }, list), optionsOf(step));
  };
  here.context.rest.leave(later());
}

function branchTasks(walk: Walk, here: HereOf<"parallel">): Task[] {
  return here.step.branches.map(({ name, body }) => ({
    path: `${here.path}.${name}`,
    run: ({ scope, lane, takers, exports }) => {
      const context = inside(here, `.${name}`, { takers });
      return walk.block(body, { ...context, scope, lane, exports });
    },
  }));
}

// Branches carry only their own events, so what came before must be on its way first.
async function beforeFanOut(walk: Walk, tasks: number): Promise<void> {
  if (tasks > 1) await walk.journal.drain();
}

/**
 * The items, evaluated once: what the step was given then is what it works on, whatever became of variables since.
 * Many items come as pages, one for each window; a join that looks at single items cannot be had over windows.
 */
async function itemsOf(walk: Walk, { step, path, context }: HereOf<"foreach">): Promise<Items | { pages: Json[] }> {
  // Under the counter, since they stay when the step is tried again: results are kept by an item's number.
  const { pages, items: noted } = walk.ledger.place(`${path}${COUNTER}`) ?? {};
  if (pages !== undefined) return { pages: pages as Json[] };
  const given = noted ?? (await walk.value(step.items, context.frame));
  if (!Array.isArray(given) && referenceHash(given) === undefined) {
    const found = JSON.stringify(given)?.slice(0, 80);
    throw new Fault("expression", `\`items\` of ${path} must be a list; it is ${found}.`, { instance: path });
  }
  const itemsMax = step.isolate ? limits.windowItems : isWindowed(step) ? limits.foreachInlineMax : limits.foreachJoinMax;
  if (Array.isArray(given) && given.length <= itemsMax) return noteItems(walk, path, given, given);
  const request = { list: given, itemsMax, pageSize: limits.windowItems, mayPage: isWindowed(step) };
  const list = await walk.outside(() => walk.port.list(request, path));
  if ("items" in list) return noteItems(walk, path, list.items, given);
  walk.ledger.note(`${path}${COUNTER}`, { pages: list.pages });
  return list;
}

async function noteItems(walk: Walk, path: string, items: Json[], given: Json): Promise<Items> {
  walk.ledger.note(`${path}${COUNTER}`, { items: await walk.shrink(given, path) });
  return { items, from: 0 };
}

const isWindowed = ({ join: kind, until, rest }: StepOf<"foreach">): boolean => kind === "all" && until === undefined && rest !== "finish";
