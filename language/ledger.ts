import { canonicalJson, type Json, type JsonObject } from "../contracts/json.ts";
import { isItemOf, isWindow } from "../contracts/ids.ts";
import type { Origin } from "../contracts/messages.ts";
import type { Block, Plan, Step } from "./plan.ts";
import { blocksOf, findStep } from "./plan-steps.ts";
import { prefixesOf } from "./step-path.ts";
import { whatItDoes, whatItDoesBut } from "./what-it-does.ts";

/** A step as a run's log has it; of a reused step, the step it stands for. */
export interface LoggedStep {
  path: string;
  status: string;
  /** It ended badly, or a handler of its own gave its output. */
  isCaught: boolean;
  /** It was compensated. */
  isUndone: boolean;
}

export interface Question {
  /** What the new run walks. */
  plan: Plan;
  /** What the origin walked; the same object when nothing was changed. */
  before: Plan;
  steps: readonly LoggedStep[];
  /** Steps and windows that have a child run. */
  children?: ReadonlyMap<string, string>;
  /** Streams of which each event is known that they took: they go on with the same ones, under the same numbers. */
  heard?: ReadonlySet<string>;
  /** Of a window: the `foreach` whose items it does. */
  part?: string;
  origin: Origin;
}

/** What of a run's log another run can go on from. */
export interface Kept {
  /** The ledger: finished steps, scopes as wholes. */
  entries: { path: string; step: Step; hasRest?: true }[];
  /** Of those with a rest (`rest: finish`) the slots that are over: nothing runs there again. */
  over: string[];
  /** `workflow` steps and windows that had not finished: their next child goes on from the old one. */
  children: string[];
  /** What will run, as far as the log can tell. */
  run: string[];
}

/**
 * Which finished steps of a run stay valid in another.
 *
 * A step is kept when it ended well, nothing inside it failed and was merely let pass, its definition is the same, nothing in
 * it shall run again, and all its `needs` are kept. A scope that is not kept as a whole keeps what it can of its inside.
 * Handlers and `finally` are never kept: they belong to the error or the end they came after.
 */
export function keep(question: Question): Kept {
  const keeper = new Keeper(question);
  if (question.part === undefined) keeper.block(question.plan.body, question.before.body, "");
  else keeper.part(question.part, findStep(question.plan, question.part), findStep(question.before, question.part));
  return keeper.kept;
}

/** Where steps inside a step stand. */
interface Slot {
  slot: string;
  block: Block;
}

class Keeper {
  readonly kept: Kept = { entries: [], over: [], children: [], run: [] };
  readonly #log: Log;
  readonly #windows: readonly string[];
  readonly #again: ReadonlySet<string>;
  readonly #byHand: ReadonlySet<string>;
  readonly #heard: ReadonlySet<string>;
  /** Everything around what is changed. */
  readonly #around: ReadonlySet<string>;

  constructor({ steps, children = new Map(), heard = new Set(), origin: { from = [], steps: outputs = {} } }: Question) {
    const byHand = Object.keys(outputs);
    this.#log = new Log(steps);
    this.#windows = [...children.keys()].filter(isWindow);
    this.#again = new Set(from);
    this.#byHand = new Set(byHand);
    this.#heard = heard;
    this.#around = new Set([...from, ...byHand].flatMap(prefixesOf));
  }

  /** Gives whether all of it is kept. */
  block(block: Block, before: Block | undefined, slot: string): boolean {
    const now = new Map(block.steps.map((step) => [step.id, step]));
    const old = this.#again.has(slot) ? undefined : new Map(before?.steps.map((step) => [step.id, step]));
    const known = new Map<string, boolean>();
    const isKept = (id: string): boolean => {
      const answer = known.get(id);
      if (answer !== undefined) return answer;
      const step = now.get(id)!;
      // All of them, so that each is looked at before what needs it.
      const isReady = step.needs.map(isKept).every(Boolean);
      const result = this.#step(step, isReady ? old?.get(id) : undefined, slot);
      known.set(id, result);
      return result;
    };
    return block.steps.map(({ id }) => isKept(id)).every(Boolean);
  }

  /** The items of a window. */
  part(path: string, step: Step | undefined, before: Step | undefined): void {
    if (!step || !before || !isSameWork(step, before)) this.kept.run.push(path);
    else this.#inside(step, before, path);
  }

  #step(step: Step, before: Step | undefined, slot: string): boolean {
    const path = slot === "" ? step.id : `${slot}.${step.id}`;
    if (this.#byHand.has(path)) return false;
    if (!before || this.#again.has(path) || this.#log.isCompensated(path) || !isSameWork(step, before)) {
      this.kept.run.push(path);
      return step.background === true;
    }
    if (this.#log.isFinished(path) && !this.#around.has(path) && this.#isSame(step, before, path) && this.#isClean(step, path)) {
      const hasRest = this.#hasRest(step, path);
      this.kept.entries.push({ path, step, ...(hasRest ? { hasRest } : {}) });
      if (hasRest) this.#rest(step, path);
      return true;
    }
    this.#inside(step, before, path);
    // It ends when the others do, whatever it has come to.
    return step.background === true;
  }

  #isSame(step: Step, before: Step, path: string): boolean {
    return this.#log.holdsCaught(path) ? isAllSame(step, before) : isSame(step, before);
  }

  /** What it left to the scope around has not ended. How many items a `foreach` has, the log does not say. */
  #hasRest(step: Step, path: string): boolean {
    if (!("rest" in step) || step.rest !== "finish") return false;
    return step.type === "foreach" || !this.#slots(step, path).every((slot) => this.#isOver(slot));
  }

  #rest(step: Step, path: string): void {
    for (const each of this.#slots(step, path))
      if (this.#isOver(each)) this.kept.over.push(each.slot);
      else this.block(each.block, each.block, each.slot);
  }

  /** All its steps have ended, or one has failed for good and none was left at its work. */
  #isOver({ slot, block }: Slot): boolean {
    const steps = block.steps.filter(({ background }) => !background).map((step) => ({ step, path: `${slot}.${step.id}` }));
    const hasFailed = (path: string): boolean => this.#log.status(path) === "failed";
    const open = steps.filter(({ path }) => !this.#log.isFinished(path) && !hasFailed(path));
    if (open.length === 0) return true;
    return open.every(({ path }) => !this.#log.has(path)) && steps.some(({ step, path }) => hasFailed(path) && step.onError !== "continue");
  }

  #inside(step: Step, before: Step, path: string): void {
    if (step.type === "workflow") this.kept.children.push(path);
    const windows = this.#windows.filter((window) => listOf(window) === path);
    this.kept.children.push(...windows);
    if (windows.length === 0) this.#items(step, before, path);
    else this.kept.run.push(path);
  }

  #items(step: Step, before: Step, path: string): void {
    const runBefore = this.kept.run.length;
    const old = new Map(this.#slots(before, path).map(({ slot, block }) => [slot, block]));
    for (const { slot, block } of this.#slots(step, path)) {
      const isWhole = this.block(block, old.get(slot), slot);
      // An iteration builds on the one before.
      if ((step.type === "loop" || step.type === "agent") && !isWhole) break;
    }
    if (this.kept.run.length === runBefore) this.kept.run.push(path);
  }

  /** Nothing in it failed that nobody took, or was undone. */
  #isClean(step: Step, path: string): boolean {
    if (this.#log.status(path) === "failed") return false;
    if (this.#log.holdsCompensated(path) && !this.#hasUndoneItself(step, path)) return false;
    // What was caught, or spared by a join, was meant to be.
    if (this.#log.isCaught(path) || ("join" in step && step.join !== "all") || isAct(step)) return true;
    if (step.type === "try" && step.catch.some((_, index) => this.#log.has(`${path}.catch${index}`))) return true;
    return this.#slots(step, path).every(({ slot, block }) => block.steps.every((inner) => this.#isClean(inner, `${slot}.${inner.id}`)));
  }

  /** A `try` with `undo`, before its handler made good for it. What a later error has undone is to be done again. */
  #hasUndoneItself(step: Step, path: string): boolean {
    if (step.type !== "try" || !step.undo) return false;
    const isCaught = step.body.steps.some(({ id }) => !this.#log.isFinished(`${path}.${id}`));
    return isCaught && !step.catch.some((_, index) => this.#log.holdsCompensated(`${path}.catch${index}`));
  }

  /** Where steps inside a step stand, as far as they can be kept. */
  #slots(step: Step, path: string): Slot[] {
    if (!scopes.has(step.type) && !this.#heard.has(path)) return [];
    return blocksOf(step)
      .filter(({ slot }) => !aftermath.test(slot))
      .flatMap(({ slot, block }) =>
        slot === "[]"
          ? this.#log.indexes(path).map((index) => ({ slot: `${path}[${index}]`, block }))
          : [{ slot: joined(path, slot), block }],
      )
      .filter(({ slot }) => step.type !== "switch" || this.#log.has(slot));
  }
}

/** Whether a path lies in what is kept. */
export function keptPaths({ entries, over }: Kept): (path: string) => boolean {
  const wholes = new Set([...entries.filter(({ hasRest }) => !hasRest).map(({ path }) => path), ...over]);
  const withRest = new Set(entries.filter(({ hasRest }) => hasRest).map(({ path }) => path));
  return (path) => withRest.has(path) || [path, ...prefixesOf(path)].some((around) => wholes.has(around));
}

/** The outputs put in by hand in the run itself, not in its children. */
export const ownOutputs = ({ steps = {} }: Origin): JsonObject =>
  Object.fromEntries(Object.entries(steps).filter(([path]) => !path.includes("/")));

/** The origin of a child: what the run's origin says of it. `children` are all that go on. */
export function originOfChild(origin: Origin, path: string, run: string, children: readonly string[] = []): Origin {
  const { kind, from = [], steps = {}, vars } = origin;
  const inner = isWindow(path) ? inWindow(path, children) : inChild(path);
  const innerSteps = Object.entries(steps).flatMap(([of, output]) => inner(of).map((name) => [name, output] as const));
  return { run, kind, from: from.flatMap(inner), steps: Object.fromEntries(innerSteps), ...(isWindow(path) && vars ? { vars } : {}) };
}

type Inner = (of: string) => string[];

const inChild =
  (path: string): Inner =>
  (of) =>
    of.startsWith(`${path}/`) ? [of.slice(path.length + 1)] : [];

// Inside a window steps have the same paths as outside it.
function inWindow(window: string, children: readonly string[]): Inner {
  const list = listOf(window);
  const first = firstOf(window);
  const end = Math.min(...children.filter((other) => listOf(other) === list && firstOf(other) > first).map(firstOf));
  return (of) => (isItemOf(list, of, { from: first, end }) ? [of] : []);
}

/** Of the path of a window: the `foreach`, and the number of its first item. */
const listOf = (window: string): string => window.slice(0, Math.max(0, window.lastIndexOf("[")));
const firstOf = (window: string): number => Number.parseInt(window.slice(window.lastIndexOf("[") + 1), 10);

/** The log by path, and by what stands around each path. */
class Log {
  readonly #steps: ReadonlyMap<string, LoggedStep>;
  readonly #around = new Set<string>();
  readonly #undone: ReadonlySet<string>;
  readonly #caught: ReadonlySet<string>;
  readonly #indexes = new Map<string, Set<number>>();

  constructor(steps: readonly LoggedStep[]) {
    this.#steps = new Map(steps.map((step) => [step.path, step]));
    const withAround = (some: readonly LoggedStep[]): Set<string> => new Set(some.flatMap(({ path }) => [path, ...prefixesOf(path)]));
    this.#undone = withAround(steps.filter(({ isUndone }) => isUndone));
    this.#caught = withAround(steps.filter(({ isCaught }) => isCaught));
    for (const { path } of steps) for (const prefix of prefixesOf(path)) this.#enter(prefix);
  }

  has(path: string): boolean {
    return this.#steps.has(path) || this.#around.has(path);
  }

  status = (path: string): string | undefined => this.#steps.get(path)?.status;
  isCompensated = (path: string): boolean => this.#steps.get(path)?.isUndone ?? false;
  holdsCompensated = (path: string): boolean => this.#undone.has(path);
  holdsCaught = (path: string): boolean => this.#caught.has(path);
  isCaught = (path: string): boolean => this.#steps.get(path)?.isCaught ?? false;

  isFinished(path: string): boolean {
    const status = this.status(path);
    return status === "completed" || status === "skipped";
  }

  indexes(path: string): number[] {
    return [...(this.#indexes.get(path) ?? [])].toSorted((a, b) => a - b);
  }

  #enter(prefix: string): void {
    if (this.#around.has(prefix)) return;
    this.#around.add(prefix);
    const item = /^(.*)\[(\d+)\]$/.exec(prefix);
    if (!item) return;
    const [, list, index] = item;
    this.#indexes.set(list!, (this.#indexes.get(list!) ?? new Set()).add(Number(index)));
  }
}

const joined = (path: string, slot: string): string => (slot === "" ? path : `${path}.${slot}`);

/** The calls of an agent's turn: what failed was told to the model, which has gone on from there. */
const isAct = (step: Step): boolean => step.type === "foreach" && step.body.steps.some(({ type }) => type === "call");

/** What an approval holds came after the lack of an answer, which may come in the new run; a `listen` may be a stream that heard the same. */
const scopes = new Set<Step["type"]>(["sequence", "try", "switch", "parallel", "foreach", "loop", "agent"]);
const aftermath = /^(catch\d+|finally|compensate|onTimeout|onExpire)$/;

/** Equal in all that a result depends on, its inside included. */
const isSame = (step: Step, before: Step): boolean => step === before || whatItDoes(step) === whatItDoes(before);

/** What was caught may have come of how long it was given, or how often it was tried. */
const isAllSame = (step: Step, before: Step): boolean => step === before || textOf(step) === textOf(before);

const textOf = (step: Step): string => canonicalJson({ ...step, needs: [], summary: null } as unknown as Json);

/** Equal but for the inside, and for how much of it there may be. */
const isSameWork = (step: Step, before: Step): boolean =>
  step === before || whatItDoesBut(step, scopeFields) === whatItDoesBut(before, scopeFields);

const inside = ["body", "branches", "cases", "default", "finally", "briefing", "turns"];
const bounds = ["concurrency", "maxConcurrency", "maxIterations", "onLimit", "keepLast", "maxTurns", "contextTokens"];
const scopeFields = [...inside, ...bounds];
