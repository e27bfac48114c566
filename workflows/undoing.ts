import { Fault, type Problem } from "../contracts/faults.ts";
import type { Undo } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import type { Json } from "../contracts/json.ts";
import { findStep } from "../language/plan-steps.ts";
import type { Step } from "../language/plan.ts";
import type { Context, Here } from "./context.ts";
import { Frame } from "./frame.ts";
import { Canceled, Scope } from "./scope.ts";
import { frameOf, seenBy } from "./sight.ts";
import type { Walk } from "./walk.ts";

/** Steps of a window that can be undone: the list of them, or its reference. */
export interface UndoPage {
  path: string;
  page: Json;
}

/**
 * Steps that can be undone, in the order in which they ended. When the run fails or is cancelled, their `compensate`
 * steps run in reverse order, one after the other, and no cancel cuts them short; one that fails for good is named in
 * the run's error and does not keep the others from running.
 */
export class Undoing {
  readonly #walk: Walk;
  readonly #stack: (Undo | UndoPage)[];

  constructor(walk: Walk, stack: (Undo | UndoPage)[] = []) {
    this.#walk = walk;
    this.#stack = stack;
  }

  state(): (Undo | UndoPage)[] {
    return this.#stack;
  }

  /** The step has ended, or nobody knows whether it did what it should. */
  async register({ step, path, attempt, context }: Here<Step>, output: Json): Promise<void> {
    if (!step.compensate) return;
    if (this.#stack.length >= limits.undosMax)
      throw new Fault("limit", `A run can have ${limits.undosMax} steps to undo; split the work into sub-workflows.`, { instance: path });
    const undo = { path, attempt, ...(await seenBy(this.#walk, step.compensate, { frame: new Frame(context.frame, { output }), path })) };
    const known = this.#stack.findIndex((other) => other.path === path);
    if (known >= 0) this.#stack.splice(known, 1);
    this.#stack.push(undo);
    this.#walk.tell("compensation.registered", { path, lane: context.lane, attempt }, { names: undo.names, steps: undo.steps });
  }

  registerPage(page: UndoPage): void {
    this.#stack.push(page);
  }

  /**
   * Undo what stands below `path` (all without it), once: handlers and `finally`, which come then, stand below it too, and may go
   * on in another execution. Gives what could not be undone.
   */
  async undo(context: Context, path = ""): Promise<Unresolved[]> {
    const unresolved = await this.#undoOnce(context, path);
    this.#walk.ledger.note(path, { isUndone: true });
    return unresolved;
  }

  async #undoOnce(context: Context, path: string): Promise<Unresolved[]> {
    const walk = this.#walk;
    // Noted, since undoing may go on in another execution.
    const unresolved = (walk.ledger.place(path)?.["unresolved"] as unknown as Unresolved[] | undefined) ?? [];
    if (walk.ledger.place(path)?.["isUndone"]) return unresolved;
    for (;;) {
      const undo = this.#stack.findLast((each) => path === "" || each.path.startsWith(`${path}.`) || each.path.startsWith(`${path}[`));
      if (!undo) return unresolved;
      if ("page" in undo) {
        await this.#unfold(undo);
        continue;
      }
      const problem = await this.#undoOne(undo, context);
      if (problem) unresolved.push({ path: undo.path, error: problem });
      if (problem) walk.ledger.note(path, { unresolved: unresolved as unknown as Json });
      this.#stack.splice(this.#stack.indexOf(undo), 1);
    }
  }

  async #unfold(page: UndoPage): Promise<void> {
    const size = limits.undosMax;
    const list = Array.isArray(page.page)
      ? { items: page.page }
      : await this.#walk.list({ list: page.page, itemsMax: size, pageSize: size, mayPage: false }, page.path);
    const undos = "items" in list ? (list.items as unknown as Undo[]) : [];
    if (undos.length > 0) this.#walk.ledger.spoil(page.path);
    this.#stack.splice(this.#stack.indexOf(page), 1, ...undos);
  }

  async #undoOne({ path, attempt, names, steps }: Undo, context: Context): Promise<Problem | undefined> {
    const walk = this.#walk;
    const about = { path, lane: context.lane, attempt };
    const step = findStep(walk.options.plan, path);
    try {
      if (!step?.compensate) throw new Fault("not_found", `The plan has no \`compensate\` for step ${path} any more.`);
      const frame = frameOf(context.frame, { names, steps });
      // In a scope of its own, below which nothing parks: what cannot be undone is told, and the others are undone.
      const around = { ...context, path: `${path}.compensate`, frame, scope: new Scope(), takes: () => true, exports: {} };
      await walk.block(step.compensate, around);
      walk.tell("step.compensated", about, { type: step.type });
      walk.ledger.undone(path);
      walk.inspector.set(path, step.type, "compensated", attempt);
      return undefined;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      walk.tell("compensation.failed", about, { error: error.problem as Json });
      return error.problem;
    }
  }
}

export type Unresolved = { path: string; error: Problem };

/** Whether the step may have done its work although it gave no result. */
export function isUnknown(step: Step, error: unknown): boolean {
  if (!("timeoutMs" in step) || step.effect === "read") return false;
  if (error instanceof Canceled) return true;
  if (!(error instanceof Fault)) return false;
  const { type, code, retryable } = error.problem;
  return type === "timeout" || type === "canceled" || type === "effect_unknown" || (code === "http" && retryable === true);
}

/** The error with what undoing left. */
export function withUnresolved(error: unknown, unresolved: Unresolved[]): unknown {
  if (unresolved.length === 0) return error;
  const left = `Not undone: ${unresolved.map(({ path }) => path).join(", ")}.`.slice(0, limits.errorDetailMax);
  if (error instanceof Canceled) return new Canceled(`${error.message}. ${left}`);
  if (!(error instanceof Fault)) return error;
  const named = unresolved
    .slice(0, limits.unresolvedMax)
    .map(({ path, error: { type, detail } }) => ({ path, type, detail: detail.slice(0, 200) }));
  return Fault.of({ ...error.problem, detail: `${error.problem.detail} ${left}`, unresolved: named });
}
