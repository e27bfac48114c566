import { isTerminal, type RunEvent } from "../../contracts/events.ts";
import { findStep } from "../../language/plan-steps.ts";
import type { Plan } from "../../language/plan.ts";

/** A call as the far end saw it. */
export interface Told {
  at: number;
  what: "start" | "end" | "cancel";
  path: string;
  isGood?: boolean;
  /** Of a start: its idempotency key. */
  key?: string;
}

export interface Ended {
  /** The plan that was walked last. */
  plan: Plan;
  log: readonly RunEvent[];
  /** Of runs that walk parts of the plan. */
  logsOfParts?: readonly (readonly RunEvent[])[];
  trace: readonly Told[];
  canceledAt?: number;
  /** What was under way when the run was paused begins no later than so long after; at once where nothing else is said. */
  pauseBeginsWithinMs?: number;
}

/** What is wrong with a run that has ended, whatever was done to it. */
export const broken = (ended: Ended): string[] => [
  ...callsTwice(ended),
  ...underOldKeys(ended),
  ...startsWhilePaused(ended),
  ...startsAfterCancel(ended),
  ...endsBadly(ended),
  ...openSteps(ended),
  ...notUndone(ended),
];

/** A call that was good is not made again, unless it was undone in between. Handlers and `finally` belong to one end of their step. */
function callsTwice({ trace, log, logsOfParts = [] }: Ended): string[] {
  const undone = new Map<string, number>();
  for (const { type, step, time } of [...log, ...logsOfParts.flat()])
    if (type === "step.compensated") undone.set(step!, Math.max(time, undone.get(step!) ?? 0));
  const good = new Map<string, number>();
  return trace.flatMap(({ what, path, isGood, at }) => {
    if (what === "end" && isGood) good.set(path, at);
    const before = good.get(path);
    if (what !== "start" || before === undefined || isAftermath(path)) return [];
    const undoneAt = undone.get(path);
    return undoneAt !== undefined && undoneAt >= before && undoneAt <= at
      ? []
      : [`${path} was called again at ${at}, it was good at ${before}`];
  });
}

/** What was undone is not called again under its key: the other side would answer with what was taken back. */
export function underOldKeys({ trace, log, logsOfParts = [] }: Pick<Ended, "trace" | "log" | "logsOfParts">): string[] {
  const undone = [...log, ...logsOfParts.flat()].filter(({ type }) => type === "step.compensated");
  const begun = new Map<string, string>();
  const good = new Map<string, { path: string; at: number }>();
  return trace.flatMap(({ what, path, at, key, isGood }) => {
    if (what === "start" && key !== undefined) begun.set(path, key);
    if (what === "end" && isGood && begun.has(path)) good.set(begun.get(path)!, { path, at });
    const before = what === "start" ? good.get(key!) : undefined;
    const isUndone = before !== undefined && undone.some(({ step, time }) => step === path && time >= before.at && time <= at);
    return isUndone ? [`${path} was called again at ${at} under ${key}, which was undone`] : [];
  });
}

const isAftermath = (path: string): boolean => /(^|\.)(catch\d+|finally|compensate)\./.test(path);

function startsWhilePaused({ log, trace, pauseBeginsWithinMs = 0 }: Ended): string[] {
  let from: number | undefined;
  const spans: [number, number][] = [];
  for (const { type, time } of log) {
    if (type === "run.paused") from ??= time;
    if (type === "run.resumed" && from !== undefined) spans.push([from, time]);
    if (type === "run.resumed") from = undefined;
  }
  return trace
    .filter(({ what, at }) => what === "start" && spans.some(([begin, end]) => at > begin + pauseBeginsWithinMs && at < end))
    .map(({ path, at }) => `${path} was called at ${at}, while the run was paused`);
}

function startsAfterCancel({ trace, canceledAt = Infinity }: Ended): string[] {
  return trace
    .filter(({ what, at, path }) => what === "start" && at > canceledAt && !/(^|\.)(finally|compensate)\./.test(path))
    .map(({ path, at }) => `${path} was called at ${at}, the run was cancelled at ${canceledAt}`);
}

function endsBadly({ log }: Ended): string[] {
  const ends = log.filter(({ type }) => type.startsWith("run.") && isTerminal(type.slice("run.".length)));
  const faults = ends.length === 1 && log.at(-1) === ends[0] ? [] : [`The log ends with ${log.at(-1)?.type} and tells ${ends.length} ends`];
  if (new Set(log.map(({ identity }) => identity)).size !== log.length) faults.push("An identity stands twice in the log");
  return faults;
}

const ends = new Set(["step.completed", "step.failed", "step.skipped", "step.canceled", "step.retrying"]);

function openSteps({ log: own, logsOfParts = [], trace }: Ended): string[] {
  const attemptOf = ({ step, data }: RunEvent): string => `${step}#${(data["attempt"] as number | undefined) ?? 1}`;
  const log = [...own, ...logsOfParts.flat()];
  const over = log.filter(({ type }) => ends.has(type));
  const attempts = new Set(over.map(attemptOf));
  const paths = new Set(over.map(({ step }) => step));
  const steps = log.filter((event) => event.type === "step.started" && !attempts.has(attemptOf(event))).map(attemptOf);
  const calls = trace.filter(({ what, path }) => what === "start" && !paths.has(path) && !path.includes("+]")).map(({ path }) => path);
  return [...new Set([...steps, ...calls])].map((step) => `${step} has begun and the log does not tell its end`);
}

/** Of a run that failed or was cancelled, what can be undone was undone, the last first, or is named. */
function notUndone({ log: own, logsOfParts = [], plan }: Ended): string[] {
  const end = own.at(-1)!;
  const log = [...own, ...logsOfParts.flat()].toSorted((a, b) => a.time - b.time);
  if (end.type !== "run.failed" && end.type !== "run.canceled") return [];
  const faults: string[] = [];
  const isOrdered = logsOfParts.length === 0 && !JSON.stringify(plan).includes('"undo":true');
  const open = new Map<string, number>();
  let last = Infinity;
  for (const { type, step, time } of log) {
    if (type === "compensation.registered") open.set(step!, time);
    if (type !== "step.compensated" && type !== "compensation.failed") continue;
    const registered = open.get(step!);
    if (registered === undefined) faults.push(`${step} was undone and could not be`);
    open.delete(step!);
    // What a `try` undoes comes in between, and windows are one entry each.
    if (isOrdered && registered !== undefined && registered > last) faults.push(`${step} was undone after what came before it`);
    last = registered ?? last;
  }
  const done = log.filter(({ type, step }) => type === "step.completed" && findStep(plan, step!)?.compensate !== undefined);
  const known = new Set(log.filter(({ type }) => type === "compensation.registered").map(({ step }) => step));
  const left = [...open.keys()].filter((path) => !path.startsWith("finally."));
  const unknown = done.filter(({ step, data }) => !known.has(step) && data["caught"] === undefined).map(({ step }) => step!);
  return [...faults, ...[...left, ...unknown].map((path) => `${path} was not undone`)];
}
