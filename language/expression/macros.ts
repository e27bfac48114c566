import type { Expression, Macro } from "../plan.ts";
import type { Json } from "../../contracts/json.ts";
import { isObject } from "../../contracts/json.ts";
import { Fault } from "../../contracts/faults.ts";
import { render } from "./render.ts";
import { articleOf, failure, kindOf, loaded, sortedKeys, type Meter } from "./values.ts";

export interface Bodies {
  test: (item: Json) => boolean;
  transform: (item: Json) => Json;
}

/** `source.macro(x, …)` over the items of a list, or the sorted keys of a map. */
export function iterate(expression: Extract<Expression, ["each", ...unknown[]]>, source: Json, bodies: Bodies, meter: Meter): Json {
  const items = meter.list(itemsOf(source, expression[2]));
  return macros[expression[1]](items, bodies, meter);
}

const macros: Readonly<Record<Macro, (items: Json[], bodies: Bodies, meter: Meter) => Json>> = {
  all: (items, { test }, meter) => !settles(items, { test, answer: false, meter }),
  exists: (items, { test }, meter) => settles(items, { test, answer: true, meter }),
  exists_one: (items, { test }) => items.filter((item) => test(item)).length === 1,
  filter: (items, { test }) => items.filter((item) => test(item)),
  map: (items, { test, transform }) => items.filter((item) => test(item)).map((item) => transform(item)),
};

/** Whether one item gives `answer`. An item that fails counts only when none does. */
function settles(items: Json[], { test, answer, meter }: Pick<Bodies, "test"> & { answer: boolean; meter: Meter }): boolean {
  let error: Fault | undefined;
  for (const item of items) {
    const result = attempt(() => test(item), meter);
    if (result === answer) return true;
    if (result instanceof Fault) error ??= result;
  }
  if (error !== undefined) throw error;
  return false;
}

/** The result, or the error in the data; limits and reads of stored values always go through. */
export function attempt(test: () => boolean, meter: Meter): boolean | Fault {
  try {
    return test();
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "expression") throw error;
    meter.spend(errorSteps);
    return error;
  }
}

// To make one takes as long as that many steps.
const errorSteps = 30;

function itemsOf(source: Json, expression: Expression): Json[] {
  loaded(source, expression);
  if (Array.isArray(source)) return source;
  if (isObject(source)) return sortedKeys(source);
  throw failure(`\`${render(expression)}\` must be a list or a map, but it is ${articleOf(kindOf(source))}.`);
}
