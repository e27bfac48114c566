import { Fault, type Problem } from "../contracts/faults.ts";
import type { Undo, UndoPage } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import type { Json } from "../contracts/json.ts";
import { findStep } from "../language/plan-steps.ts";
import type { Step } from "../language/plan.ts";
import type { Context, Here } from "./context.ts";
import { Frame } from "./frame.ts";
import { Canceled, Scope } from "./scope.ts";
import { frameOf, seenBy } from "./sight.ts";
import type { Walk } from "./walk.ts";

/**
 * Steps that can be undone, in the order in which they ended. When the run fails or is cancelled, their `compensate`
 * steps run in reverse order, one after the other, and no cancel cuts them short; one that fails for good is named in
 * the run's error and does not keep the others from running.
 */
export class Undoing {
  readonly #walk: Walk;
  readonly #stack: (Undo | UndoPage)[];
  /** Steps at work that have room on it. */
  readonly #begun = new Set<string>();

  constructor(walk: Walk, stack: (Undo | UndoPage)[] = []) {
    this.#walk = walk;
    this.#stack = stack;
  }

  state(): (Undo | UndoPage)[] {
    return this.#stack;
  }

  /** Before the step does anything: once done, it must be possible to undo it. `isBegun`: an execution before this one has let it in. */
  reserve(path: string, isBegun: boolean): void {
    const isFull = this.#stack.length + this.#begun.size >= limits.undosMax;
    if (isFull && !isBegun && !this.#stack.some((known) => known.path === path))
      throw new Fault("limit", `A run can have ${limits.undosMax} steps to undo; split the work into sub-workflows.`, { instance: path });
    this.#begun.add(path);
  }

  /** Its attempt is over. */
  release(path: string): void {
    this.#begun.delete(path);
  }

  /** The step has ended, or nobody knows whether it did what it should. */
  async register({ step, path, attempt, context }: Here<Step>, output: Json): Promise<void> {
    if (!step.compensate) return;
    const sight = await seenBy(this.#walk, step.compensate, { frame: new Frame(context.frame, { output }), path });
    const times = this.#walk.ledger.timesUndoneItself(path);
    const undo = { ...sight, ...(times === 0 ? {} : { undone: times }) };
    // Here it is seen anyway; a run that goes on from this one reads it in the log.
    const { run: _, ...names } = sight.names;
    this.#replace(path, [{ path, attempt, ...undo, names }]);
    this.#walk.tell("compensation.registered", { path, lane: context.lane, attempt }, undo);
  }

  /** What a window did is undone here, as if its items had been done here. */
  registerWindow(path: string, pages: UndoPage[]): void {
    this.#replace(path, pages);
  }

  #replace(path: string, undos: (Undo | UndoPage)[]): void {
    for (let known; (known = this.#stack.findIndex((other) => other.path === path)) >= 0;) this.#stack.splice(known, 1);
    this.#stack.push(...undos);
  }

  /**
   * Undo what stands below `path` (all without it), once: handlers and `finally`, which come then, stand below it too, and may go
   * on in another execution. Gives what could not be undone.
   */
  async undo(context: Context, path = ""): Promise<Unresolved> {
    const unresolved = await this.#undoOnce(context, path);
    this.#walk.ledger.note(path, { isUndone: true });
    return unresolved;
  }

  async #undoOnce(context: Context, path: string): Promise<Unresolved> {
    const walk = this.#walk;
    // Noted, since undoing may go on in another execution.
    const unresolved = (walk.ledger.place(path)?.["unresolved"] as unknown as Unresolved | undefined) ?? { first: [], count: 0 };
    if (walk.ledger.place(path)?.["isUndone"]) return unresolved;
    for (;;) {
      const undo = this.#stack.findLast((each) => path === "" || each.path.startsWith(`${path}.`) || each.path.startsWith(`${path}[`));
      if (!undo) return unresolved;
      if ("page" in undo) {
        await this.#unfold(undo);
        continue;
      }
      const problem = await this.#undoOne(undo, context);
      if (problem) walk.ledger.note(path, { unresolved: withOneMore(unresolved, undo.path, problem) as unknown as Json });
      walk.ledger.clear(`${undo.path}.compensate`);
      this.#stack.splice(this.#stack.indexOf(undo), 1);
    }
  }

  async #unfold(page: UndoPage): Promise<void> {
    const { path: window, run } = page;
    const walk = this.#walk;
    const list = (await walk.loaded(page.page, window)) as unknown as Undo[];
    const undos = list.map((undo) => ({ ...undo, window }));
    if (run !== undefined) walk.ledger.goOnFrom(window, { origin: { run, kind: "retry" } });
    this.#stack.splice(this.#stack.indexOf(page), 1, ...undos);
  }

  async #undoOne({ path, attempt, names, steps, window }: Undo, context: Context): Promise<Problem | undefined> {
    const walk = this.#walk;
    const about = { path, lane: context.lane, attempt };
    const step = findStep(walk.options.plan, path);
    try {
      if (!step?.compensate) throw new Fault("not_found", `The plan has no \`compensate\` for step ${path} any more.`);
      const frame = frameOf(context.frame, { names, steps });
      walk.ledger.startAfter(`${path}.compensate`, attempt - 1);
      // In a scope of its own; what cannot be undone is told, and the others are undone.
      const own = { scope: new Scope(), takers: [], isUndoing: true as const, exports: {} };
      const around = { ...context, path: `${path}.compensate`, frame, ...own };
      await walk.block(step.compensate, around);
      walk.tell("step.compensated", about, { type: step.type, undone: walk.ledger.undone(path, window) });
      walk.inspector.set(path, step.type, "compensated", attempt);
      return undefined;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      walk.tell("compensation.failed", about, { error: error.problem as Json });
      return error.problem;
    }
  }
}

/** What could not be undone: the first of them, and how many. */
export interface Unresolved {
  first: { path: string; type: string; detail: string }[];
  count: number;
}

function withOneMore(unresolved: Unresolved, path: string, { type, detail }: Problem): Unresolved {
  unresolved.count += 1;
  if (unresolved.first.length < limits.unresolvedMax) unresolved.first.push({ path, type, detail: detail.slice(0, 200) });
  return unresolved;
}

/** Whether the step may have done its work although it gave no result. */
export function isUnknown(step: Step, error: unknown): boolean {
  if (!("timeoutMs" in step) || step.effect === "read") return false;
  if (error instanceof Canceled) return true;
  if (!(error instanceof Fault)) return false;
  const { type, mayHaveHappened, hasHappened } = error.problem;
  return mayHaveHappened === true || hasHappened === true || unknownEnds.has(type);
}

const unknownEnds = new Set(["timeout", "canceled", "effect_unknown"]);

/** The error with what undoing left. */
export function withUnresolved(error: unknown, { first, count }: Unresolved): unknown {
  if (count === 0) return error;
  const more = count > first.length ? ` and ${count - first.length} more` : "";
  const left = `Not undone: ${first.map(({ path }) => path).join(", ")}${more}.`.slice(0, limits.errorDetailMax);
  if (error instanceof Canceled) return new Canceled(`${error.message}. ${left}`);
  if (!(error instanceof Fault)) return error;
  return Fault.of({ ...error.problem, detail: `${error.problem.detail} ${left}`, unresolved: first });
}
