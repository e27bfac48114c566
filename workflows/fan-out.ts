import { Fault, type Problem } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { referenceHash } from "../contracts/reference.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { Step } from "../language/plan.ts";
import type { Here, HereOf, Outcome, StepOf } from "./context.ts";
import { Frame } from "./frame.ts";
import { finishRest, join, type JoinOptions, type Task } from "./join.ts";
import type { TaskEnd } from "./join-state.ts";
import { inside } from "./inside.ts";
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
  const items = await itemsOf(walk, here);
  const tasks = itemTasks(walk, here, items);
  await beforeFanOut(walk, tasks.length);
  const ends = await join(walk, here, tasks, optionsOf(step));
  return { output: step.key ? await keyed(walk, here, items, ends) : listed(step.onItemError, ends) };
}

/** What a finished fan-out with `rest: finish` left to the scope around goes on in this execution. */
export function resumeRest(walk: Walk, here: Here<Step>): void {
  const { step } = here;
  if (step.type === "parallel") finishRest(walk, here, branchTasks(walk, { ...here, step }), optionsOf(step));
  if (step.type !== "foreach") return;
  const later = async (): Promise<void> =>
    finishRest(walk, here, itemTasks(walk, { ...here, step }, await itemsOf(walk, { ...here, step })), optionsOf(step));
  here.context.rest.running.push(later());
}

function branchTasks(walk: Walk, here: HereOf<"parallel">): Task[] {
  return here.step.branches.map(({ name, body }) => ({
    path: `${here.path}.${name}`,
    run: ({ scope, lane, takes, exports }) => {
      const context = inside(here, `.${name}`, { takes });
      return walk.block(body, { ...context, scope, lane, exports });
    },
  }));
}

function itemTasks(walk: Walk, here: HereOf<"foreach">, items: Json[]): Task[] {
  const { step, path } = here;
  return items.map((item, index) => ({
    path: `${path}[${index}]`,
    run: ({ scope, lane, takes, exports }) => {
      const context = inside(here, `[${index}]`, { names: { [step.as]: item, [step.index]: index }, takes });
      return walk.block(step.body, { ...context, scope, lane, exports });
    },
  }));
}

const optionsOf = (step: StepOf<"parallel"> | StepOf<"foreach">): JoinOptions =>
  step.type === "foreach"
    ? { ...step, limit: step.concurrency, onError: step.onItemError }
    : { ...step, limit: step.maxConcurrency ?? step.branches.length, onError: "fail" };

// Branches carry only their own events, so what came before must be on its way first.
async function beforeFanOut(walk: Walk, tasks: number): Promise<void> {
  if (tasks > 1) await walk.journal.drain();
}

/** The items, evaluated once: what the run was given then is what it works on, whatever became of variables since. */
async function itemsOf(walk: Walk, { step, path, context }: HereOf<"foreach">): Promise<Json[]> {
  const noted = walk.ledger.place(path)?.["items"];
  const given = noted ?? (await walk.value(step.items, context.frame));
  const items = referenceHash(given) === undefined ? given : await walk.listItems(given);
  if (!Array.isArray(items))
    throw new Fault("expression", `\`items\` of ${path} must be a list; it is ${JSON.stringify(items)?.slice(0, 80)}.`, { instance: path });
  if (items.length > limits.foreachItemsMax)
    throw new Fault("limit", `\`items\` of ${path} has ${items.length} items; at most ${limits.foreachItemsMax} are allowed.`, {
      instance: path,
    });
  if (noted === undefined) walk.ledger.note(path, { items: await walk.shrink(given) });
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
