import type { Json, JsonObject } from "../../contracts/json.ts";
import { Fault } from "../../contracts/faults.ts";
import { evaluate } from "../../language/expression/evaluate.ts";
import { parseExpression } from "../../language/expression/parse.ts";
import type { Answer } from "./plain-port.ts";

/**
 * The language, told a second time as plainly as possible: a recursive function over the definition as written, with
 * arithmetic on times instead of concurrency. It knows nothing of plans, ledgers, scopes or ports.
 *
 * Every evaluation gives when it ended, how, and which calls were begun when. A scope that is left at a time has not
 * begun what would have begun later.
 */
export interface Call {
  path: string;
  start: number;
  end: number;
  /** It would have begun at the very moment its scope was left: either is right. */
  isOptional?: boolean;
}
type Result = { end: number; calls: Call[] } & ({ output: Json } | { error: string });
type Steps = { [id: string]: Json };
interface World {
  names: JsonObject;
  steps: Steps;
  answer: (path: string, fields: unknown, attempt: number) => Answer;
}

export const referenceRun = (definition: JsonObject, input: Json, answer: World["answer"]): Result =>
  block(definition["steps"] as JsonObject[], "", 0, { names: { input }, steps: {}, answer });

const isError = (result: Result): result is Result & { error: string } => "error" in result;
const cut = (calls: Call[], at: number): Call[] =>
  calls.filter((call) => call.start <= at).map((call) => (call.start === at ? { ...call, isOptional: true } : call));

function block(steps: JsonObject[], prefix: string, start: number, outer: World): Result {
  const world = { ...outer, steps: { ...outer.steps } };
  const ends = new Map<string, number>();
  const calls: Call[] = [];
  let failure: { at: number; error: string } | undefined;
  let output: Json = null;
  for (const step of inOrder(steps)) {
    const id = step["id"] as string;
    const needs = needsOf(steps, step);
    const begin = Math.max(start, ...needs.map((need) => ends.get(need)!));
    const result = guarded(step, prefix === "" ? id : `${prefix}.${id}`, begin, world);
    calls.push(...result.calls);
    ends.set(id, isError(result) ? Number.POSITIVE_INFINITY : result.end);
    if (isError(result) && result.end < (failure?.at ?? Number.POSITIVE_INFINITY)) failure = { at: result.end, error: result.error };
    if (!isError(result)) world.steps[id] = { output: result.output };
    if (step === steps.at(-1) && !isError(result)) output = result.output;
  }
  if (failure) return { end: failure.at, error: failure.error, calls: cut(calls, failure.at) };
  return { end: Math.max(start, ...ends.values()), output, calls };
}

const needsOf = (steps: JsonObject[], step: JsonObject): string[] => {
  const index = steps.indexOf(step);
  return (step["needs"] as string[] | undefined) ?? (index > 0 ? [steps[index - 1]!["id"] as string] : []);
};

// The generator only names earlier siblings.
const inOrder = (steps: JsonObject[]): JsonObject[] => steps;

function guarded(step: JsonObject, path: string, start: number, world: World): Result {
  if (start === Number.POSITIVE_INFINITY) return { end: start, error: "never", calls: [] };
  const result = tried(step, path, start, world);
  const passes = isError(result) && step["onError"] === "continue" && !world.names["taken"];
  return passes ? { end: result.end, output: null, calls: result.calls } : result;
}

function tried(step: JsonObject, path: string, start: number, world: World): Result {
  try {
    if (step["if"] !== undefined && value(step["if"], world) !== true) return { end: start, output: null, calls: [] };
    return one(step, path, start, world);
  } catch (error) {
    if (error instanceof Fault) return { end: start, error: error.problem.type, calls: [] };
    throw error;
  }
}

function one(step: JsonObject, path: string, start: number, world: World): Result {
  const sub = (steps: unknown, prefix: string, names: JsonObject = {}, at = start): Result =>
    block(steps as JsonObject[], prefix, at, { ...world, names: { ...world.names, ...names } });
  switch (step["type"]) {
    case "tool":
      return call(step, path, start, world);
    case "set":
      return { end: start, output: value(step["values"], world), calls: [] };
    case "sequence":
      return sub(step["steps"], path);
    case "switch":
      return choose(step, path, world, sub) ?? { end: start, output: null, calls: [] };
    case "parallel":
      return parallel(step, path, start, world);
    case "foreach":
      return foreach(step, path, start, world);
    case "loop":
      return loop(step, path, start, world);
    case "try":
      return attempt(step, path, start, world);
    default:
      throw new Error(`no such step: ${JSON.stringify(step["type"])}`);
  }
}

function call(step: JsonObject, path: string, start: number, world: World): Result {
  const args = value((step["arguments"] as JsonObject)["n"], world);
  const answer = world.answer(path, { tool: step["tool"], arguments: { n: args } }, 1);
  const end = start + (answer.afterMs ?? 1);
  const calls = [{ path, start, end }];
  return "problem" in answer ? { end, error: answer.problem.type, calls } : { end, output: answer.output, calls };
}

type Sub = (steps: unknown, prefix: string) => Result;

function choose(step: JsonObject, path: string, world: World, sub: Sub): Result | undefined {
  const cases = step["cases"] as JsonObject[];
  const taken = cases.findIndex((branch) => value(branch["when"], world) === true);
  if (taken >= 0) return sub(cases[taken]!["steps"], `${path}.case${taken}`);
  return step["default"] ? sub(step["default"], `${path}.default`) : undefined;
}

/** The ends of tasks in the order of time; `decide` says after each whether the join is over. */
function join(results: Result[], kind: string, quorum: number, spare: boolean): { at: number; error?: string } {
  const needed = kind === "all" ? results.length : kind === "quorum" ? quorum : 1;
  let successes = 0;
  let failures = 0;
  const byEnd = results.toSorted((a, b) => a.end - b.end);
  for (const result of byEnd) {
    if (!isError(result)) successes += 1;
    else if (kind === "all" ? !spare : kind === "race" || results.length - failures - 1 < needed)
      return { at: result.end, error: kind === "all" || kind === "race" ? result.error : "join" };
    else failures += 1;
    if (kind !== "all" && successes >= needed) return { at: result.end };
  }
  return { at: byEnd.at(-1)?.end ?? 0 };
}

function parallel(step: JsonObject, path: string, start: number, world: World): Result {
  const branches = Object.entries(step["branches"] as { [name: string]: JsonObject[] });
  const kind = (step["join"] as string | undefined) ?? "all";
  const results = settle(branches.length, kind, Number(step["quorum"] ?? 0), (index, spares) => {
    const [name, steps] = branches[index]!;
    return block(steps, `${path}.${name}`, start, takenIf(spares, world));
  });
  const over = join(results, kind, Number(step["quorum"] ?? 0), false);
  const calls = results.flatMap((result) => cut(result.calls, over.at));
  if (over.error) return { end: over.at, error: over.error, calls };
  const output = branches.map(([name], index) => [name, winner(results[index]!, over.at)] as const);
  return { end: over.at, output: Object.fromEntries(output), calls };
}

const winner = (result: Result, at: number): Json => (!isError(result) && result.end <= at ? result.output : null);

function foreach(step: JsonObject, path: string, start: number, world: World): Result {
  const items = value(step["items"], world) as Json[];
  const policy = step["onItemError"] as string | undefined;
  const free = Array.from({ length: Math.min(Number(step["concurrency"]), items.length) }, () => start);
  const results: Result[] = [];
  for (const [index, item] of items.entries()) {
    // The slot that is free first takes the next item.
    const slot = free.indexOf(Math.min(...free));
    const names = { ...world.names, [step["as"] as string]: item, index };
    const result = block(
      step["steps"] as JsonObject[],
      `${path}[${index}]`,
      free[slot]!,
      takenIf(policy !== undefined, { ...world, names }),
    );
    results.push(result);
    free[slot] = result.end;
  }
  const over = join(results, "all", 0, policy !== undefined);
  const calls = results.flatMap((result) => (over.error ? cut(result.calls, over.at) : result.calls));
  if (over.error) return { end: over.at, error: over.error, calls };
  const kept = policy === "skip" ? results.filter((result) => !isError(result)) : results;
  return {
    end: Math.max(start, over.at),
    output: kept.map((result) => (isError(result) ? { error: result.error } : result.output)),
    calls,
  };
}

function loop(step: JsonObject, path: string, start: number, world: World): Result {
  const calls: Call[] = [];
  let at = start;
  for (let index = 0, last: Json = null; ; index++) {
    if (index >= Number(step["maxIterations"]))
      return step["onLimit"] === "end" ? { end: at, output: last, calls } : { end: at, error: "loop_limit", calls };
    const result = block(step["steps"] as JsonObject[], `${path}[${index}]`, at, { ...world, names: { ...world.names, index, last } });
    calls.push(...result.calls);
    at = result.end;
    if (isError(result)) return { ...result, calls };
    last = result.output;
    if (value(step["until"], { ...world, names: { ...world.names, index, last } }) === true) return { end: at, output: last, calls };
  }
}

function attempt(step: JsonObject, path: string, start: number, world: World): Result {
  const [handler] = step["catch"] as JsonObject[];
  const errors = handler!["errors"] as string[] | undefined;
  const takes = (error: string): boolean => !errors || errors.includes(error);
  let result = block(step["steps"] as JsonObject[], path, start, takenIf(takes("tool"), world));
  if (isError(result) && takes(result.error)) {
    const handled = block(handler!["steps"] as JsonObject[], `${path}.catch0`, result.end, {
      ...world,
      names: { ...world.names, error: { type: result.error } },
    });
    result = { ...handled, calls: [...result.calls, ...handled.calls] };
  }
  if (!step["finally"]) return result;
  const last = block(step["finally"] as JsonObject[], `${path}.finally`, result.end, world);
  const calls = [...result.calls, ...last.calls];
  return isError(last) ? { ...last, calls } : { ...result, end: last.end, calls };
}

/** `onError` does not apply where something around takes the error. */
const takenIf = (taken: boolean, world: World): World => (taken ? { ...world, names: { ...world.names, taken: true } } : world);

/** Whether a task's failure can be spared depends on who failed before it: evaluate until that no longer changes. */
function settle(count: number, kind: string, quorum: number, evaluateTask: (index: number, spares: boolean) => Result): Result[] {
  const needed = kind === "quorum" ? quorum : 1;
  const isCounted = kind === "any" || kind === "quorum";
  let spares = Array.from({ length: count }, () => isCounted && count - 1 >= needed);
  for (;;) {
    const results = spares.map((spared, index) => evaluateTask(index, spared));
    const next = results.map((result, index) => {
      if (!isCounted) return spares[index]!;
      const earlier = results.filter((other, at) => at !== index && isError(other) && other.end < result.end).length;
      return count - earlier - 1 >= needed;
    });
    if (next.every((spared, index) => spared === spares[index])) return results;
    spares = next;
  }
}

function value(source: unknown, world: World): Json {
  const text = source as string;
  return evaluate(parseExpression(text.slice(2, -1)), { name: (name) => world.names[name], step: (id) => world.steps[id] });
}
