import type { Json, JsonObject } from "../../contracts/json.ts";

/** A small seeded generator (mulberry32): the same seed gives the same definition for ever. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface Maker {
  random: () => number;
  stepsLeft: number;
  nextId: number;
  /** What steps are made of; the plain ones without it. */
  kinds?: {
    leaves: Make[];
    scopes: Make[];
    finish: (maker: Maker, step: JsonObject, where: { depth: number; isFirst: boolean }) => JsonObject;
  };
}

export const pick = <T>(maker: Maker, choices: readonly T[]): T => choices[Math.floor(maker.random() * choices.length)]!;
export const chance = (maker: Maker, share: number): boolean => maker.random() < share;
export const upTo = (maker: Maker, max: number): number => 1 + Math.floor(maker.random() * max);

/** A definition of at most 40 steps: every scope, calls that fail, needs, ifs, joins. Expressions read what is in sight. */
export function randomDefinition(seed: number): JsonObject {
  const maker: Maker = { random: createRandom(seed), stepsLeft: 4 + Math.floor(createRandom(seed ^ 0x5bd1)() * 36), nextId: 0 };
  const steps = block(maker, ["input.n"], 0);
  return { name: "random", version: "1.0.0", steps };
}

/** Steps of one scope; `sight` are expressions that give a number (or null, or fail: all of that is meant). */
export function block(maker: Maker, sight: readonly string[], depth: number): JsonObject[] {
  const steps: JsonObject[] = [];
  // What each step may read: with `needs`, only what has surely ended.
  const seenBy = new Map<string, string[]>();
  const count = upTo(maker, depth === 0 ? 8 : 3);
  for (let n = 0; n < count && maker.stepsLeft > 0; n++) {
    maker.stepsLeft -= 1;
    const id = `s${maker.nextId++}`;
    // Nothing can wait for a step in the background.
    const awaited = steps.filter((step) => step["background"] !== true);
    const needs = awaited.length > 0 && chance(maker, 0.3) ? chooseNeeds(maker, awaited) : undefined;
    const before = needs ?? (awaited.length > 0 ? [awaited.at(-1)!["id"] as string] : []);
    const visible = [...new Set([...sight, ...before.flatMap((need) => seenBy.get(need)!)])];
    const step = anyStep(maker, id, visible, depth);
    if (needs) step["needs"] = needs;
    if (chance(maker, 0.15)) step["if"] = `\${${condition(maker, visible)}}`;
    steps.push(maker.kinds?.finish(maker, step, { depth, isFirst: awaited.length === 0 }) ?? step);
    seenBy.set(id, [...visible, outputOf(step)]);
  }
  return steps;
}

const chooseNeeds = (maker: Maker, steps: JsonObject[]): string[] =>
  steps.map((step) => step["id"] as string).filter(() => chance(maker, 0.4));

function anyStep(maker: Maker, id: string, sight: string[], depth: number): JsonObject {
  const { leaves, scopes } = maker.kinds ?? plainKinds;
  const kinds = depth >= 4 || maker.stepsLeft <= 0 ? leaves : [...leaves, ...leaves, ...scopes];
  return pick(maker, kinds)(maker, id, sight, depth);
}

/** Some of its calls, many of which follow each other: these are made together. */
export function shortenSome(value: Json, random: () => number): void {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value) && value["type"] === "tool" && random() < 0.8) value["short"] = true;
  for (const inner of Object.values(value)) shortenSome(inner, random);
}

export type Make = (maker: Maker, id: string, sight: string[], depth: number) => JsonObject;

export const call: Make = (maker, id, sight) => ({
  id,
  type: "tool",
  tool: chance(maker, 0.08) ? "test.fail" : "test.number",
  arguments: { n: `\${${number(maker, sight)}}` },
  retry: { maxAttempts: 1 },
  ...(chance(maker, 0.3) ? { onError: "continue" } : {}),
});
export const set: Make = (maker, id, sight) => ({ id, type: "set", values: `\${${number(maker, sight)}}` });

export const sequence: Make = (maker, id, sight, depth) => ({ id, type: "sequence", steps: inner(maker, sight, depth) });
export const choice: Make = (maker, id, sight, depth) => ({
  id,
  type: "switch",
  cases: [{ when: `\${${condition(maker, sight)}}`, steps: inner(maker, sight, depth) }],
  ...(chance(maker, 0.6) ? { default: inner(maker, sight, depth) } : {}),
});
export const parallel: Make = (maker, id, sight, depth) => {
  const names = ["left", "middle", "right"].slice(0, 1 + upTo(maker, 2));
  const join = pick(maker, ["all", "all", "any", "race", "quorum"]);
  return {
    id,
    type: "parallel",
    // Where the first end decides, no two branches may end at once: each begins with a call of its own length.
    branches: Object.fromEntries(names.map((name) => [name, join === "all" ? inner(maker, sight, depth) : timed(maker, sight, depth)])),
    ...(join === "all" ? {} : { join }),
    ...(join === "quorum" ? { quorum: upTo(maker, names.length) } : {}),
  };
};
export const foreach: Make = (maker, id, sight, depth) => ({
  id,
  type: "foreach",
  items: `\${[${Array.from({ length: upTo(maker, 4) }, () => number(maker, sight)).join(", ")}]}`,
  as: `${id}_item`,
  concurrency: upTo(maker, 3),
  steps: inner(maker, [...sight, `${id}_item`, "index"], depth),
  ...(chance(maker, 0.4) ? { onItemError: pick(maker, ["collect", "skip"]) } : {}),
});
export const loop: Make = (maker, id, sight, depth) => ({
  id,
  type: "loop",
  maxIterations: upTo(maker, 4),
  onLimit: chance(maker, 0.8) ? "end" : "fail",
  until: `\${${condition(maker, ["index"])}}`,
  steps: inner(maker, [...sight, "index"], depth),
});
export const attempt: Make = (maker, id, sight, depth) => ({
  id,
  type: "try",
  steps: inner(maker, sight, depth),
  catch: [{ ...(chance(maker, 0.7) ? { errors: ["tool", "join", "expression"] } : {}), steps: inner(maker, sight, depth) }],
  // Takes no time: that it also runs after a cancel, and is awaited, has tests of its own.
  ...(chance(maker, 0.3) ? { finally: [set(maker, `s${maker.nextId++}`, sight, depth)] } : {}),
});
const plainKinds = { leaves: [call, call, set], scopes: [sequence, choice, parallel, foreach, loop, attempt] };

function timed(maker: Maker, sight: string[], depth: number): JsonObject[] {
  const first = call(maker, `s${maker.nextId++}`, sight, depth);
  const [second, ...rest] = inner(maker, sight, depth);
  return [first, { ...second, needs: [first["id"] as string] }, ...rest];
}

export function inner(maker: Maker, sight: string[], depth: number): JsonObject[] {
  const steps = block(maker, sight, depth + 1);
  return steps.length > 0 ? steps : [set(maker, `s${maker.nextId++}`, sight, depth)];
}

/** An expression over a step's output that mostly gives a number. */
function outputOf(step: JsonObject): string {
  const path = `steps.${step["id"] as string}.output`;
  const isNumber = step["type"] === "tool" || step["type"] === "set";
  return isNumber ? path : `(${path} == null ? 0 : 1)`;
}

function number(maker: Maker, sight: readonly string[]): string {
  const source = pick(maker, sight);
  if (chance(maker, 0.3)) return `${source} * ${upTo(maker, 3)} + ${upTo(maker, 9)}`;
  return chance(maker, 0.2) ? `${source} + ${pick(maker, sight)}` : source;
}

export const condition = (maker: Maker, sight: readonly string[]): string =>
  `${pick(maker, sight)} ${pick(maker, ["<", ">", "==", "!="])} ${upTo(maker, 50)}`;
