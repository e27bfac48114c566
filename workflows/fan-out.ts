import { Fault, type Problem } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { referenceHash } from "../contracts/reference.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { HereOf, Outcome } from "./context.ts";
import { Frame } from "./frame.ts";
import { join, type Task, type TaskEnd } from "./join.ts";
import { inside } from "./inside.ts";
import type { Walk } from "./walk.ts";

export async function runParallel(walk: Walk, here: HereOf<"parallel">): Promise<Outcome> {
  const { step, context } = here;
  const tasks = step.branches.map((branch): Task => ({
    run: (scope, lane, takes) => walk.block(branch.body, { ...inside(walk, here, `.${branch.name}`, { takes }), scope, lane }),
  }));
  await beforeFanOut(walk, tasks.length);
  const ends = await join(tasks, { ...step, limit: step.maxConcurrency ?? tasks.length, onError: "fail" }, context, walk.journal);
  const entries = step.branches.map((branch, index) => [branch.name, valueOf(ends[index])] as const);
  return { output: Object.fromEntries(entries) };
}

export async function runForeach(walk: Walk, here: HereOf<"foreach">): Promise<Outcome> {
  const { step, context } = here;
  const items = await itemsOf(walk, here);
  const tasks = items.map((item, index): Task => ({
    run: (scope, lane, takes) => {
      const names = { [step.as]: item, [step.index]: index };
      return walk.block(step.body, { ...inside(walk, here, `[${index}]`, { names, takes }), scope, lane });
    },
  }));
  await beforeFanOut(walk, tasks.length);
  const ends = await join(tasks, { ...step, limit: step.concurrency, onError: step.onItemError }, context, walk.journal);
  return { output: step.key ? await keyed(walk, here, items, ends) : listed(step.onItemError, ends) };
}

// Branches carry only their own events, so what came before must be on its way first.
async function beforeFanOut(walk: Walk, tasks: number): Promise<void> {
  if (tasks > 1) await walk.journal.drain();
}

async function itemsOf(walk: Walk, { step, path, context }: HereOf<"foreach">): Promise<Json[]> {
  const given = await walk.value(step.items, context.frame);
  const items = referenceHash(given) === undefined ? given : await walk.port.listItems(given);
  if (!Array.isArray(items))
    throw new Fault("expression", `\`items\` of ${path} must be a list; it is ${JSON.stringify(items)?.slice(0, 80)}.`, { instance: path });
  if (items.length > limits.foreachItemsMax)
    throw new Fault("limit", `\`items\` of ${path} has ${items.length} items; at most ${limits.foreachItemsMax} are allowed.`, {
      instance: path,
    });
  return items;
}

const valueOf = (end: TaskEnd | undefined): Json => (end?.status === "done" ? end.output : null);

function listed(onItemError: string, ends: (TaskEnd | undefined)[]): Json[] {
  if (onItemError === "skip") return ends.filter((end) => end?.status !== "failed").map(valueOf);
  return ends.map((end) => (end?.status === "failed" && onItemError === "collect" ? collected(end.problem) : valueOf(end)));
}

async function keyed(walk: Walk, { step, context }: HereOf<"foreach">, items: Json[], ends: (TaskEnd | undefined)[]): Promise<JsonObject> {
  const output: JsonObject = {};
  for (const [index, item] of items.entries()) {
    const end = ends[index];
    if (end?.status === "failed" && step.onItemError === "skip") continue;
    const frame = new Frame(context.frame, { [step.as]: item, [step.index]: index, output: valueOf(end) });
    const key = await walk.value({ expr: step.key! }, frame);
    if (typeof key !== "string") throw new Fault("expression", `\`key\` must give text; for item ${index} it is ${JSON.stringify(key)}.`);
    output[key] = end?.status === "failed" && step.onItemError === "collect" ? collected(end.problem) : valueOf(end);
  }
  return output;
}

const collected = (problem: Problem): Json => ({ error: problem as Json });
