import type { Json, JsonObject } from "../../contracts/json.ts";
import {
  attempt,
  block,
  call,
  chance,
  choice,
  condition,
  createRandom,
  foreach,
  inner,
  loop,
  parallel,
  pick,
  sequence,
  set,
  shortenSome,
  upTo,
  type Make,
  type Maker,
} from "./random-definition.ts";

/**
 * A definition as `randomDefinition` makes them, with everything that keeps a run open or puts things back besides: waits,
 * events, questions, parked steps, locks, background steps, variables, retries of scopes, compensation, `finally`, joins that
 * let the rest finish, loops that forget, children; now and then a `foreach` that goes in windows.
 */
export function richDefinition(seed: number): JsonObject {
  const random = createRandom(seed ^ 0x71c3);
  const maker: Maker = { random, stepsLeft: 4 + Math.floor(random() * 26), nextId: 0, kinds: { leaves, scopes, finish } };
  const sight = ["input.n", "vars.one", "vars.two"];
  const steps = block(maker, sight, 0);
  if (chance(maker, 0.015)) steps.push(windows(maker));
  const dear = createRandom(seed ^ 0xdea7);
  const budget = dear() < 0.3 && { tokens: 1, onExceed: "ask" };
  if (budget) makeSomeDear(steps, dear);
  isolateSome(steps, createRandom(seed ^ 0x1501));
  if (seed % 2 === 0) {
    const random = createRandom(seed ^ 0x54a7);
    makeRows(steps, random);
    shortenSome(steps, random);
  }
  return {
    name: "random",
    version: "1.0.0",
    ...(budget ? { budget } : {}),
    vars: { one: 1, two: 2 },
    steps,
    ...(chance(maker, 0.15) ? { catch: [{ steps: inner(maker, sight, 3) }] } : {}),
    ...(chance(maker, 0.3) ? { finally: inner(maker, sight, 3) } : {}),
  };
}

/** Some calls that the run's budget refuses at first. */
function makeSomeDear(value: Json, random: () => number): void {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value) && value["type"] === "tool" && random() < 0.4) value["tool"] = "test.dear";
  if (Array.isArray(value) || !Array.isArray(value["items"])) for (const inner of Object.values(value)) makeSomeDear(inner, random);
}

/** Some of the `foreach`es whose items ask nobody: people who answer know only the run itself. */
function isolateSome(value: Json, random: () => number): void {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value) && value["type"] === "foreach" && !asking.test(JSON.stringify(value)) && random() < 0.5)
    value["isolate"] = true;
  for (const inner of Object.values(value)) isolateSome(inner, random);
}

/** In place of some that only reckon: calls in a row, each with what the one before gave. */
function makeRows(value: Json, random: () => number): void {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value) && value["type"] === "set" && random() < 0.5) {
    const { values, id } = value as { values: string; id: string };
    delete value["values"];
    const row = [values, `\${steps.${id}_a.output + 1}`, `\${steps.${id}_b.output + steps.${id}_a.output}`];
    const call = { type: "tool", tool: random() < 0.1 ? "test.flaky" : "test.number", retry: { maxAttempts: 1 } };
    Object.assign(value, {
      type: "sequence",
      steps: row.map((n, index) => ({ ...call, id: `${id}_${"abc"[index]!}`, arguments: { n } })),
    });
    return;
  }
  for (const inner of Object.values(value)) makeRows(inner, random);
}

export const isInRow = (id: string): boolean => id.includes("_");

const asking = /"type":"(listen|approval|end)"|"(join|until|rest|isolate)":|park|test\.dear/;

const newId = (maker: Maker): string => `s${maker.nextId++}`;

const doing: Make = (maker, id, sight, depth) => {
  const step = call(maker, id, sight, depth);
  return {
    ...step,
    ...(chance(maker, 0.1) ? { tool: "test.flaky" } : {}),
    ...(chance(maker, 0.4) ? { compensate: [call(maker, newId(maker), ["input.n"], depth)] } : {}),
    ...(chance(maker, 0.2) ? { onError: "park" } : {}),
  };
};
const wait: Make = (_, id) => ({ id, type: "wait", duration: "10s" });
const listen: Make = (maker, id, sight, depth) => {
  const kind = pick(maker, ["one", "one", "any", "all"]);
  const timeout: JsonObject = chance(maker, 0.3) ? { timeout: `${upTo(maker, 30)}s`, onTimeout: inner(maker, sight, depth + 2) } : {};
  const events = [{ event: id }, { event: `${id}_b` }];
  return { id, type: "listen", [kind]: kind === "one" ? events[0]! : events, ...timeout };
};
const approval: Make = (maker, id, sight, depth) => ({
  id,
  type: "approval",
  title: id,
  ...(chance(maker, 0.3) ? { expiresAfter: `${1 + upTo(maker, 30)}s`, onExpire: inner(maker, sight, depth + 2) } : {}),
  ...(chance(maker, 0.2) ? { remindAfter: "1s" } : {}),
});
const child: Make = (maker, id) => ({ id, type: "workflow", workflow: "other", input: { n: upTo(maker, 9) } });
const leave: Make = (maker, id, sight) => ({
  id,
  type: "end",
  if: `\${${condition(maker, sight)}}`,
  status: pick(maker, ["completed", "failed", "canceled"]),
});
const leaves: Make[] = [doing, doing, doing, doing, set, wait, listen, approval, child];

const tried: Make = (maker, id, sight, depth) => ({
  ...attempt(maker, id, sight, depth),
  ...(chance(maker, 0.4) ? { undo: true } : {}),
  ...(chance(maker, 0.4) ? { finally: inner(maker, sight, depth + 1) } : {}),
});
const resting: Make = (maker, id, sight, depth) => {
  const step = parallel(maker, id, sight, depth);
  return "join" in step && chance(maker, 0.4) ? { ...step, rest: "finish" } : step;
};
const joined: Make = (maker, id, sight, depth) => ({
  ...foreach(maker, id, sight, depth),
  ...untilEnough(maker),
});
const untilEnough = (maker: Maker): JsonObject =>
  chance(maker, 0.6) ? {} : { until: `\${size(done) >= ${upTo(maker, 3)}}`, ...(chance(maker, 0.5) ? { rest: "finish" } : {}) };
const forgetting: Make = (maker, id, sight, depth) => ({ ...loop(maker, id, sight, depth), keepLast: upTo(maker, 2) });
const ending: Make = (maker, id, sight, depth) => ({
  id,
  type: "sequence",
  steps: [...inner(maker, sight, depth), leave(maker, newId(maker), sight, depth)],
});
const scopes: Make[] = [sequence, choice, resting, resting, joined, joined, forgetting, forgetting, tried, tried, ending];

const isScope = (step: JsonObject): boolean =>
  !["tool", "set", "wait", "listen", "approval", "workflow", "end"].includes(step["type"] as string);

/** What may stand at any step that takes time. Locks are ordered by depth, so that no two steps wait for each other. */
function finish(maker: Maker, step: JsonObject, { depth, isFirst }: { depth: number; isFirst: boolean }): JsonObject {
  if (step["type"] === "set" || step["type"] === "end") return step;
  return {
    ...step,
    ...(chance(maker, 0.2) ? { export: { [pick(maker, ["one", "two"])]: "${(output == null ? 1 : 2) + vars.one * 3 % 1009}" } } : {}),
    ...(chance(maker, 0.08) ? { lock: { key: `depth${depth}`, limit: 1 } } : {}),
    ...(!isFirst && chance(maker, 0.08) ? { background: true } : {}),
    ...(isScope(step) && chance(maker, 0.3) ? { retry: { maxAttempts: 2, initialInterval: `${upTo(maker, 9)}s`, jitter: 0 } } : {}),
    ...(isScope(step) && chance(maker, 0.06) ? { timeout: `${10 * upTo(maker, 9)}s` } : {}),
  };
}

function windows(maker: Maker): JsonObject {
  const step = {
    ...call(maker, newId(maker), ["index"], 0),
    if: "${index % 97 == 0}",
    compensate: [call(maker, newId(maker), ["input.n"], 0)],
  };
  return { id: newId(maker), type: "foreach", items: Array.from({ length: 501 }, (_, n) => n), concurrency: 200, needs: [], steps: [step] };
}
