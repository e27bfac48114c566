import { expect, test } from "@jest/globals";
import type { Json, JsonObject } from "../../contracts/json.ts";
import { answerByPath } from "./answers.ts";
import type { Answer } from "./plain-port.ts";
import { plain } from "./plain.ts";
import { randomDefinition } from "./random-definition.ts";
import { runPlain, type PlainRun } from "./run-plain.ts";

const cases = Number(process.env["CONTINUE_CASES"] ?? 600);
const firstSeed = Number(process.env["CONTINUE_SEED"] ?? 1);

test(`${cases} random definitions that continue as new after every step do the same things at the same times`, async () => {
  let [executions, compared] = [0, 0];
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
    const definition = timedByWaits(randomDefinition(seed));
    const [whole, parts] = [await run(definition, seed, false), await run(definition, seed, true)];
    executions += parts.executions;
    if (isTie(whole)) continue;
    compared += 1;
    expect({ seed, ...toldBy(parts) }).toEqual({ seed, ...toldBy(whole) });
  }
  expect(executions).toBeGreaterThan(cases * 3);
  expect(compared).toBeGreaterThan(cases * 0.9);
}, 600_000);

const run = (definition: object, seed: number, continues: boolean): Promise<PlainRun> =>
  runPlain(definition, { input: { n: seed % 7 }, answer: atOnce, continues });

/** Whether a step began in the very moment in which it was cancelled: it might as well not have begun. */
function isTie({ port }: PlainRun): boolean {
  const started = new Set(port.log.filter(({ type }) => type === "step.started").map(({ step, time }) => `${step} ${time}`));
  return port.log.some(({ type, step, time }) => type === "step.canceled" && started.has(`${step} ${time}`));
}

const toldBy = ({ end, port }: PlainRun): object => ({
  output: plain(end.result.output),
  error: end.error?.type,
  trace: port.trace.map(({ at, what, path }) => `${at} ${what} ${path}`).toSorted(),
  events: port.log.map(({ identity }) => identity).toSorted(),
});

/** Calls that take no time: nothing has to wait for one of them before the run goes on elsewhere. */
const atOnce = (path: string, fields: unknown): Answer => ({ ...answerByPath(path, fields), afterMs: 0 });

/**
 * Every call comes after a wait of its own length: the time passes in waits, which outlast an execution. No two items
 * wait equally long, or which of them is first would be a matter of chance.
 */
function timedByWaits(value: JsonObject, indices: readonly string[] = []): JsonObject {
  const { id, type, if: condition, needs, ...rest } = value;
  if (type === "foreach" || type === "loop") return withOwnIndex(value, indices);
  if (type !== "tool") return timedInside(value, indices);
  const own = { ...(condition === undefined ? {} : { if: condition }), ...(needs === undefined ? {} : { needs }) };
  const spread = indices.map((name, depth) => ` + ${name} * ${[401, 90_001, 17, 1_009, 30_011][depth]!}`).join("");
  const wait = { id: `${id as string}w`, type: "wait", duration: `\${1000 + ${Number((id as string).slice(1)) * 7_919} % 10007${spread}}` };
  return { id: id!, type: "sequence", ...own, steps: [wait, { id: `${id as string}t`, type, ...rest }] };
}

function withOwnIndex(scope: JsonObject, indices: readonly string[]): JsonObject {
  const index = `${scope["id"] as string}_index`;
  const { items, if: condition, ...inner } = timedInside(scope, [...indices, index]) as { [key: string]: Json };
  const outside = { ...(items === undefined ? {} : { items }), ...(condition === undefined ? {} : { if: condition }) };
  return { ...(renamed(inner, index) as JsonObject), ...outside, index };
}

/** What is still called `index` inside means this one: inner ones have got their own names before. */
function renamed(value: Json, index: string): Json {
  if (typeof value === "string") return value.startsWith("${") ? value.replaceAll(/\bindex\b/g, index) : value;
  if (Array.isArray(value)) return value.map((item) => renamed(item, index));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, renamed(item, index)]));
}

const timedInside = (value: JsonObject, indices: readonly string[]): JsonObject =>
  Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, timed(inner, indices)]));

function timed(value: Json, indices: readonly string[]): Json {
  if (Array.isArray(value)) return value.map((item) => timed(item, indices));
  return typeof value === "object" && value !== null ? timedByWaits(value, indices) : value;
}
