import { Fault } from "../contracts/faults.ts";
import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { nearest } from "../contracts/nearest.ts";

/** One change of a definition. Paths are step paths as in the run, without the numbers of items: `annotate.note`, `route.case0.ship`. */
export type PlanOperation =
  | { op: "replace"; path: string; step: JsonObject }
  | { op: "remove"; path: string }
  | { op: "add"; after: string; step: JsonObject }
  | { op: "add"; before: string; step: JsonObject }
  /** At the end of a list of steps: `route.case0`, `annotate`; empty = the definition's own. */
  | { op: "add"; into: string; step: JsonObject };

/** The definition with the changes made in order. Fault `not_found` names the path and the nearest one. */
export function patchDefinition(definition: JsonObject, operations: readonly PlanOperation[]): JsonObject {
  const patched = JSON.parse(JSON.stringify(definition)) as JsonObject;
  for (const operation of operations) apply(patched, operation);
  return patched;
}

function apply(definition: JsonObject, operation: PlanOperation): void {
  if ("into" in operation) {
    listAt(definition, operation.into).push(operation.step);
    return;
  }
  const { list, index } = stepAt(definition, placeOf(operation));
  if (operation.op === "remove") list.splice(index, 1);
  else if (operation.op === "replace") list[index] = operation.step;
  else list.splice("after" in operation ? index + 1 : index, 0, operation.step);
}

const placeOf = (operation: Exclude<PlanOperation, { into: string }>): string =>
  "path" in operation ? operation.path : "after" in operation ? operation.after : operation.before;

function stepAt(definition: JsonObject, path: string): { list: Json[]; index: number } {
  const wanted = path.replaceAll(/\[\d+\]/g, "");
  for (const { at, list } of listsOf(definition))
    for (const [index, step] of list.entries()) if (isObject(step) && joined(at, step["id"]) === wanted) return { list, index };
  throw unknown(
    path,
    listsOf(definition).flatMap(({ at, list }) => list.map((step) => joined(at, (step as JsonObject)["id"]))),
  );
}

function listAt(definition: JsonObject, path: string): Json[] {
  const wanted = path.replaceAll(/\[\d+\]/g, "");
  const lists = listsOf(definition);
  const found = lists.find(({ at }) => at === wanted);
  if (found) return found.list;
  throw unknown(
    path,
    lists.map(({ at }) => at),
  );
}

function unknown(path: string, known: string[]): Fault {
  const near = nearest(path, known);
  return new Fault("not_found", `The plan has nothing at ${path}.${near === undefined ? "" : ` Did you mean ${near}?`}`);
}

interface List {
  /** How the paths of its steps begin. */
  at: string;
  list: Json[];
}

/** Every list of steps in the definition, outer ones first. */
const listsOf = (definition: JsonObject): List[] => listsIn(definition, "");

function listsIn(of: JsonObject, at: string): List[] {
  const { steps, cases, default: otherwise, branches, catch: handlers, foreach } = of;
  const lists = [
    ...listed(at, "", steps),
    ...(Array.isArray(cases) ? cases.flatMap((each, index) => listed(at, nameOf(each, `case${index}`), inside(each))) : []),
    ...listed(at, "default", otherwise),
    ...(isObject(branches) ? Object.entries(branches).flatMap(([name, branch]) => listed(at, name, branch)) : []),
    ...(Array.isArray(handlers) ? handlers.flatMap((each, index) => listed(at, `catch${index}`, inside(each))) : []),
    ...listed(at, "", inside(foreach)),
    ...["finally", "onTimeout", "onExpire", "compensate"].flatMap((slot) => listed(at, slot, of[slot])),
  ];
  return lists.flatMap((each) => [
    each,
    ...each.list.flatMap((step) => (isObject(step) ? listsIn(step, joined(each.at, step["id"])) : [])),
  ]);
}

const listed = (at: string, slot: string, list: Json | undefined): List[] =>
  Array.isArray(list) ? [{ at: slot === "" ? at : joined(at, slot), list }] : [];

const inside = (of: Json | undefined): Json | undefined => (isObject(of) ? of["steps"] : undefined);

const nameOf = (of: Json, otherwise: string): string => (isObject(of) && typeof of["name"] === "string" ? of["name"] : otherwise);

function joined(at: string, id: Json | undefined): string {
  const name = typeof id === "string" ? id : "?";
  return at === "" ? name : `${at}.${name}`;
}
