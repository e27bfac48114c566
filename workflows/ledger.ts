import type { ChildOrigin } from "../contracts/activities.ts";
import { mergeCounts, packCounts, unpackCounts, type Counts } from "../contracts/counts.ts";
import { Fault, type Problem } from "../contracts/faults.ts";
import { isItemOf, isWindow } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import { Ended, type Entry } from "./context.ts";
import { Canceled } from "./scope.ts";

/** How a step ended that gave no result: its scope must learn it again when the walk goes on elsewhere. */
export type Throw = { fault: Problem } | { canceled: string } | { ended: Ended["status"]; output: Json };

/** What a run that continues another begins with; plain JSON. */
export interface LedgerSeed {
  entries: (readonly [path: string, entry: Entry])[];
  places: (readonly [path: string, place: JsonObject])[];
  throws?: (readonly [path: string, thrown: Throw])[];
  badEnds?: (readonly [path: string, count: number])[];
  /** Steps that were undone and not done again. */
  undone?: string[];
  /** How often steps were undone in all. */
  undoneTimes?: Counts;
  /** The highest attempt so far, and which one came before a step was forgotten. */
  highest?: number;
  before?: (readonly [path: string, attempt: number])[];
  /** Children that had not finished, of the origin or of an attempt before, by the path of their step. */
  children?: (readonly [path: string, child: ChildOrigin])[];
}

/** What belongs to the error or the end it came after. */
const aftermath = /\.(catch\d+|finally)$/;

/** Ends the path under which a loop notes how far it has come, and a list its items: that stays when they are tried again. */
export const COUNTER = "[]";

/** In the place of `rest`: it was cancelled, and is not gone on with before the scope around is tried again. */
export const CUT = "cut";

/**
 * What the walk knows of its steps by path: finished ones, ones that threw, and where those that are open stand.
 *
 * A step found here resolves at once, whoever put it there: this execution or the one it continues. An open step finds
 * in its place what it decided before (the branch taken, a deadline, the items): nothing is decided twice.
 * When a scope is finished, what ran inside it can be seen by nobody and is dropped.
 */
export class Ledger {
  /** Entries made by this execution: without one, going on elsewhere would be going round in circles. */
  progress = 0;
  readonly #entries: Map<string, Entry>;
  readonly #throws: Map<string, Throw>;
  readonly #places: Map<string, JsonObject>;
  readonly #badEnds: Map<string, number>;
  readonly #children: Map<string, ChildOrigin>;
  readonly #undone: Set<string>;
  /** Never forgotten. */
  readonly #undoneTimes: Map<string, number>;
  #packed: Counts | undefined;
  #highest: number;
  readonly #before: Map<string, number>;
  readonly #inside = new Map<string, Set<string>>();

  constructor(seed: LedgerSeed = { entries: [], places: [] }) {
    this.#entries = new Map(seed.entries);
    this.#places = new Map(seed.places);
    this.#throws = new Map(seed.throws);
    this.#badEnds = new Map(seed.badEnds);
    this.#children = new Map(seed.children);
    this.#undone = new Set(seed.undone);
    this.#undoneTimes = mergeCounts([seed.undoneTimes]);
    this.#highest = seed.highest ?? 0;
    this.#before = new Map(seed.before);
    for (const known of [this.#entries, this.#places, this.#throws, this.#badEnds, this.#children, this.#undone, this.#before])
      for (const path of known.keys()) this.#hang(path);
  }

  seed(): LedgerSeed {
    return {
      entries: [...this.#entries],
      places: [...this.#places],
      throws: [...this.#throws],
      badEnds: [...this.#badEnds],
      children: [...this.#children],
      undone: [...this.#undone],
      undoneTimes: (this.#packed ??= packCounts(this.#undoneTimes)),
      highest: this.#highest,
      before: [...this.#before],
    };
  }

  /** Every path that something is known of. */
  known(): { done: string[]; open: string[] } {
    return { done: [...this.#entries.keys(), ...this.#throws.keys()], open: [...this.#places.keys()] };
  }

  get(path: string): Entry | undefined {
    return this.#entries.get(path);
  }

  /** Whether the step's result was taken over from another run and is asked for the first time. */
  takeOver(path: string): boolean {
    const { isTaken, ...entry } = this.#entries.get(path)!;
    if (isTaken) this.#entries.set(path, entry);
    return isTaken === true;
  }

  /** What the next child of a step goes on from. */
  child(path: string): ChildOrigin | undefined {
    return this.#children.get(path);
  }

  /** Its next child goes on from this one. */
  goOnFrom(path: string, child: ChildOrigin): void {
    this.#children.set(path, child);
    this.#hang(path);
  }

  /** The error with which a step ended, as it was thrown. */
  thrown(path: string): Error | undefined {
    const known = this.#throws.get(path);
    if (!known) return undefined;
    if ("fault" in known) return Fault.of(known.fault);
    return "canceled" in known ? new Canceled(known.canceled) : new Ended(known.ended, known.output);
  }

  /** Of these steps, the one that threw first. */
  firstThrown(paths: readonly string[]): string | undefined {
    const asked = new Set(paths);
    for (const path of this.#throws.keys()) if (asked.has(path)) return path;
    return undefined;
  }

  /** What an open step has noted. Each step has its own names; they are in the functions that perform it. */
  place(path: string): Readonly<JsonObject> | undefined {
    return this.#places.get(path);
  }

  note(path: string, more: JsonObject): void {
    if (!this.#places.has(path)) this.#hang(path);
    this.#places.set(path, { ...this.#places.get(path), ...more });
  }

  /** It has not begun after all. */
  unnote(path: string): void {
    this.#places.delete(path);
  }

  /** Which attempt comes next. No two tell the same, also when all that was known of the step was forgotten in between. */
  attempt(path: string): number {
    let attempt = (this.#badEnds.get(path) ?? 0) + 1;
    if (this.#before.size > 0) attempt += Math.max(0, ...[path, ...outersOf(path)].map((outer) => this.#before.get(outer) ?? 0));
    // One that has failed and waits for its handlers or for a person has not begun another.
    if (!this.#places.get(path)?.["failed"]) this.#highest = Math.max(this.#highest, attempt);
    return attempt;
  }

  /** What is done at the path and below comes after so many attempts that were told elsewhere. */
  startAfter(path: string, attempts: number): void {
    if (attempts === 0) return;
    this.#before.set(path, attempts);
    this.#hang(path);
  }

  countBadEnd(path: string): void {
    // A child that went on from another has ended badly: the next one begins anew.
    this.#children.delete(path);
    this.#hang(path);
    this.#badEnds.set(path, (this.#badEnds.get(path) ?? 0) + 1);
  }

  enter(path: string, entry: Entry): void {
    this.progress += 1;
    // What a step leaves to the scope around goes on inside it.
    if (!this.#places.get(path)?.["rest"]) this.drop(path);
    this.#badEnds.delete(path);
    this.#children.delete(path);
    this.#entries.set(path, entry);
    this.#hang(path);
  }

  /** A step threw. What it did inside stays: whoever picks it up again goes on from there. */
  throw(path: string, error: Fault | Canceled | Ended): void {
    this.#places.delete(path);
    this.throwLater(path, error);
  }

  /** What the step has left behind threw: the step itself is finished. */
  throwLater(path: string, error: Fault | Canceled | Ended): void {
    this.progress += 1;
    this.#throws.set(path, throwOf(error));
    this.#hang(path);
  }

  /**
   * The step is tried again: errors inside it count no more, its results do. What was undone is to be done again, with all that
   * came of it, and handlers and `finally` come anew.
   */
  again(path: string): void {
    this.#throws.delete(path);
    // So does what a finished step had left to the scope around, from where it was cut off.
    if (this.#places.get(path)?.["rest"]) this.note(path, { rest: true });
    else if (!path.endsWith(COUNTER)) this.#places.delete(path);
    for (const inner of this.#inside.get(path) ?? []) {
      if (!aftermath.test(inner) && !this.#isSpoilt(inner)) this.again(inner);
      else if (isWindow(inner)) this.#reopen(inner);
      else this.forget(inner);
    }
  }

  /** Something inside is about to be undone that stands under other paths: it is to be done again as a whole. */
  spoil(path: string): void {
    this.#undone.add(path);
    this.#hang(path);
  }

  /** How often what is done at the path has been undone: by itself, or with a step around it. */
  timesUndone(path: string): number {
    if (this.#undoneTimes.size === 0) return 0;
    return [path, ...outersOf(path)].reduce((sum, outer) => sum + (this.#undoneTimes.get(outer) ?? 0), 0);
  }

  /** How often it was undone by itself. */
  timesUndoneItself(path: string): number {
    return this.#undoneTimes.get(path) ?? 0;
  }

  /** How often each item of a `foreach`, from one number up to another, and what stands in it, was undone by itself. */
  undoneItems(list: string, items: { from: number; end: number }): Counts {
    return packCounts([...this.#undoneTimes].filter(([path]) => isItemOf(list, path, items)));
  }

  /** Another run has undone what is done here. */
  learnUndone(counts: Counts): void {
    for (const [path, times] of unpackCounts(counts)) this.#count(path, Math.max(times, this.timesUndoneItself(path)));
  }

  /** What is spoilt with it: itself, or the window that did it. Gives how often it was undone by now. */
  undone(path: string, spoilt = path): number {
    const times = this.timesUndoneItself(path) + 1;
    this.#count(path, times);
    this.spoil(spoilt);
    return times;
  }

  #count(path: string, times: number): void {
    this.#undoneTimes.set(path, times);
    this.#packed = undefined;
  }

  /** Finished, or a loop that is past it, with something inside that was undone. Items of a list stand each by itself. */
  #isSpoilt(path: string): boolean {
    const counter = this.#places.get(`${path}${COUNTER}`);
    const isLoop = counter !== undefined && counter["items"] === undefined && counter["pages"] === undefined;
    if (!this.#entries.has(path) && !isLoop) return false;
    for (const undone of this.#undone) if (undone === path || outersOf(undone).includes(path)) return true;
    return false;
  }

  /** The window is done again, going on from the run that did it: that one knows what was not undone. */
  #reopen(path: string): void {
    const child = this.#children.get(path);
    this.forget(path);
    if (child) this.goOnFrom(path, child);
  }

  /** All of it is done again, as another attempt. */
  forget(path: string): void {
    this.drop(path);
    this.#forgetOne(path);
    this.#before.set(path, this.#highest);
    this.#hang(path);
  }

  /** Nobody asks for it, or for what ran inside, any more. */
  clear(path: string): void {
    this.drop(path);
    this.#forgetOne(path);
  }

  /** Forget what ran inside, and where the step stood. */
  drop(outer: string): void {
    this.#places.delete(outer);
    const inside = this.#inside.get(outer);
    if (!inside) return;
    this.#inside.delete(outer);
    for (const path of inside) {
      this.#forgetOne(path);
      this.drop(path);
    }
  }

  #forgetOne(path: string): void {
    for (const known of [this.#entries, this.#throws, this.#badEnds, this.#children, this.#undone, this.#before]) known.delete(path);
  }

  /** A path lies inside each of its beginnings: `a`, `a.b` and `a.b[3]` for `a.b[3].c`. What goes with them goes. */
  #hang(path: string): void {
    for (let inner = path; inner !== "";) {
      const outer = outerOf(inner);
      const siblings = this.#inside.get(outer);
      if (siblings?.has(inner)) return;
      if (siblings) siblings.add(inner);
      else this.#inside.set(outer, new Set([inner]));
      inner = outer;
    }
  }
}

/** What a run begins with that goes on from another. */
export const takenOver = (seed: LedgerSeed): LedgerSeed => ({
  ...seed,
  entries: seed.entries.map(([path, entry]) => [path, { ...entry, isTaken: true }]),
});

/** An end that the walk knows; anything else is a defect. */
export const isEnd = (error: unknown): error is Fault | Canceled | Ended =>
  error instanceof Fault || error instanceof Canceled || error instanceof Ended;

function throwOf(error: Fault | Canceled | Ended): Throw {
  if (error instanceof Fault) return { fault: error.problem };
  return error instanceof Canceled ? { canceled: error.message } : { ended: error.status, output: error.output };
}

/** The slot or step that a path lies in; empty at the top. */
export const outerOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("."), path.lastIndexOf("[")));

function outersOf(path: string): string[] {
  const outers: string[] = [];
  for (let outer = outerOf(path); outer !== ""; outer = outerOf(outer)) outers.push(outer);
  return outers;
}
