import { canonicalJson, type Json } from "../contracts/json.ts";
import type { Block, Step } from "./plan.ts";
import { blocksOf } from "./plan-steps.ts";

/**
 * All of a step, its inside included, that decides what it does. When it begins, how long it may take, how often it is tried and what people
 * read of it do not: a step that has ended well has done the same without them.
 */
export const whatItDoes = (step: Step): string => canonicalJson(doing(step));

/** The step without the steps inside it. */
export const outside = (step: Step): string => canonicalJson(outsideOf(step, {}));

/** Of what decides what it does, only some fields: without these. */
export const whatItDoesBut = (step: Step, without: Iterable<string>): string =>
  canonicalJson(JSON.parse(JSON.stringify({ ...step, ...settingsOf(step), ...absent(without) })) as Json);

export const whatTheyDo = (block: Block): string => canonicalJson(doingOf(block));

const doing = (step: Step): Json => [
  outsideOf(step, settingsOf(step)),
  ...blocksOf(step).map(({ slot, block }): Json => [slot, doingOf(block)]),
];

const doingOf = ({ steps, output }: Block): Json => [(output ?? null) as Json, steps.map(doing)];

function outsideOf(step: Step, instead: object): Json {
  const blocks = new Set<unknown>(blocksOf(step).map(({ block }) => block));
  return JSON.parse(JSON.stringify({ ...step, ...instead }, (_, value: unknown) => (blocks.has(value) ? "steps" : value))) as Json;
}

/** Of `retry` stays what it asks of the answer: that has chosen it. */
const settingsOf = ({ retry }: Step): object => ({ ...absent(settings), ...(retry?.while ? { retry: { while: retry.while } } : {}) });

const absent = (fields: Iterable<string>): object => Object.fromEntries([...fields].map((field) => [field, undefined]));

const settings = [
  "needs",
  "summary",
  "retry",
  "timeoutMs",
  "totalTimeoutMs",
  "heartbeatMs",
  "timeLimitMs",
  "totalTimeLimitMs",
  "priority",
  "fairnessKey",
  "lock",
];
