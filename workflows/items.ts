import { Fault, type Problem } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { HereOf, StepOf } from "./context.ts";
import { put } from "../language/expression/values.ts";
import { Frame } from "./frame.ts";
import type { JoinOptions, Task } from "./join.ts";
import type { TaskEnd } from "./join-state.ts";
import { inside } from "./inside.ts";
import type { Walk } from "./walk.ts";

/** Items of a `foreach`, from the one with number `from` on. */
export interface Items {
  items: Json[];
  from: number;
}

export function itemTasks(walk: Walk, here: HereOf<"foreach">, { items, from }: Items): Task[] {
  const { step, path } = here;
  return items.map((item, offset) => {
    const index = from + offset;
    return {
      path: `${path}[${index}]`,
      run: ({ scope, lane, takers, exports }) => {
        const context = inside(here, `[${index}]`, { names: { [step.as]: item, [step.index]: index }, takers });
        return walk.block(step.body, { ...context, scope, lane, exports });
      },
    };
  });
}

export const optionsOf = (step: StepOf<"parallel"> | StepOf<"foreach">): JoinOptions =>
  step.type === "foreach"
    ? { ...step, limit: step.concurrency, onError: step.onItemError }
    : { ...step, limit: step.maxConcurrency ?? step.branches.length, onError: "fail" };

export const valueOf = (end: TaskEnd | undefined): Json => (end?.status === "done" ? end.output : null);

export function listed(onItemError: string, ends: (TaskEnd | undefined)[]): Json[] {
  if (onItemError === "skip") return ends.filter((end) => end?.status !== "failed").map(valueOf);
  return ends.map((end) => (end?.status === "failed" && onItemError === "collect" ? collected(end.problem) : valueOf(end)));
}

export async function keyed(
  walk: Walk,
  { step, context }: HereOf<"foreach">,
  { items, from }: Items,
  ends: (TaskEnd | undefined)[],
): Promise<JsonObject> {
  const output: JsonObject = {};
  for (const [offset, item] of items.entries()) {
    const [end, index] = [ends[offset], from + offset];
    if (end?.status === "failed" && step.onItemError === "skip") continue;
    const frame = new Frame(context.frame, { [step.as]: item, [step.index]: index, output: valueOf(end) });
    const key = await walk.value({ expr: step.key! }, frame);
    if (typeof key !== "string") throw new Fault("expression", `\`key\` must give text; for item ${index} it is ${JSON.stringify(key)}.`);
    put(output, key, end?.status === "failed" && step.onItemError === "collect" ? collected(end.problem) : valueOf(end));
  }
  return output;
}

const collected = (problem: Problem): Json => ({ error: problem as Json });
