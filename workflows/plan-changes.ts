import { Fault } from "../contracts/faults.ts";
import { isWindow } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import type { PlanStanding } from "../contracts/messages.ts";
import { isOtherBlock, isOtherStep, planRefusals, refuse, type PlanRefusal } from "../language/plan-change.ts";
import type { Plan, Step } from "../language/plan.ts";
import type { Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

/** Another plan for the run, and who wants it why. */
export interface PlanChange {
  plan: Plan;
  kind: "patch" | "migrate";
  by: string;
  /** Names it: asked for again it is the same. */
  id?: string;
  /** Hash of the plan it was made of; any other than the one to come, and it is refused. */
  of?: string;
  /** Of the request that asked for it. */
  requestId?: string;
}

/**
 * Changes of the plan that the run has taken in, in their order, each made of what the one before has left. They take effect together, in the
 * moment in which the run can go on in another execution. Until then nothing starts or ends by the old plan that the new one changes.
 */
export class PlanChanges {
  readonly #walk: Walk;
  readonly #pending: PlanChange[] = [];
  /** Of those, the first that the log has as made. */
  #told = 0;
  /** Of each that is held, whether it is for what the plan changes. */
  readonly #waiting = new Set<() => boolean>();
  readonly #others = new Map<string, boolean>();

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  get arePending(): boolean {
    return this.#pending.length > 0;
  }

  get areTold(): boolean {
    return this.#told === this.#pending.length;
  }

  /** What is walked when all of them have been made. */
  get plan(): Plan {
    return this.#pending.at(-1)?.plan ?? this.#walk.options.plan;
  }

  standing(): PlanStanding {
    const { version, hash: planHash } = this.plan;
    const pending = this.#pending.map(({ id = "", plan }) => ({ id, version: plan.version, planHash: plan.hash }));
    return { version, planHash, pending };
  }

  /** For people. */
  lines(): string[] {
    return this.#pending.map(({ kind, by, plan }) => `plan ${plan.version} (${kind} by ${by}) comes when the calls under way have ended`);
  }

  /** Why the run cannot go on with this plan; empty when it can. */
  refusals(plan: Plan): PlanRefusal[] {
    const { ledger, inspector, undoing, options, lockedPaths: held } = this.#walk;
    const { done, open } = ledger.known();
    // A call that is under way has no place.
    const calls = inspector.running().filter((path) => !ledger.place(path));
    // What a window has done is not for this run to undo before the window has ended.
    const undoable = [...undoing.state().map(({ path }) => path), ...[...done, ...open].filter(isWindow)];
    return planRefusals(options.plan, plan, { done: [...done, ...calls], open, undoable, held });
  }

  /** Faults `plan_refused`, `conflict`. */
  check(change: PlanChange): void {
    if (this.#isKnown(change)) return;
    const { hash } = this.plan;
    if (change.of !== undefined && change.of !== hash)
      throw new Fault("conflict", `The run is to walk plan ${hash} by now; make the change of that one.`);
    if (this.#pending.length >= limits.planChangesPendingMax)
      throw new Fault("conflict", `${this.#pending.length} changes wait for calls to end already; ask again when they have been made.`);
    refuse(this.refusals(change.plan));
  }

  ask(change: PlanChange): void {
    this.check(change);
    if (this.#isKnown(change) || change.plan.hash === this.plan.hash) return;
    this.#pending.push(change);
    this.#others.clear();
    this.#walk.inspector.isDirty = true;
  }

  /** In the moment: what ended since they were asked for may have made the last ones impossible. Then the run goes on without those. */
  settle(): void {
    for (let last = this.#untold(); last; last = this.#untold()) {
      const refusals = this.refusals(last.plan);
      if (refusals.length === 0) break;
      this.#drop(refusals);
    }
    for (; this.#told < this.#pending.length; this.#told += 1) {
      const { version, hash: planHash } = (this.#pending[this.#told - 1] ?? this.#walk.options).plan;
      this.#walk.tell("plan.changed", undefined, { ...dataOf(this.#pending[this.#told]!), from: { version, planHash } });
    }
  }

  /** None that the log has not as made will be. */
  drop(why: string): void {
    while (this.#untold()) this.#drop([{ path: "", why }]);
  }

  /** It must not start by the old plan, or would put the moment off for those that wait for it. */
  hold(step: Step, path: string): boolean {
    if (!this.arePending) return false;
    return this.#isOther(path) || (isLong(step) && [...this.#waiting].some((waitsForPlan) => waitsForPlan()));
  }

  /** A step is held, for whatever reason. */
  async held(path: string, { isHeld, scope }: { isHeld: () => boolean; scope: Scope }): Promise<void> {
    await this.#wait(() => this.arePending && this.#isOther(path), { isHeld, scope });
  }

  /** A list of steps has come to its end, which is another in the plan to come. */
  async end(path: string, scope: Scope): Promise<void> {
    const isHeld = (): boolean => this.arePending && isOtherBlock(this.#walk.options.plan, this.plan, path);
    if (isHeld()) await this.#wait(isHeld, { isHeld, scope });
  }

  /** What comes after all steps of the run is no more by the old plan than they are. */
  async over(scope: Scope): Promise<void> {
    const isHeld = (): boolean => this.arePending;
    await this.#wait(isHeld, { isHeld, scope });
  }

  async #wait(waitsForPlan: () => boolean, { isHeld, scope }: { isHeld: () => boolean; scope: Scope }): Promise<void> {
    const { pause } = this.#walk;
    this.#waiting.add(waitsForPlan);
    try {
      while (isHeld()) await pause.passed(scope);
    } finally {
      this.#waiting.delete(waitsForPlan);
      // Who was held for its sake need not be any more.
      if (this.arePending) pause.wake();
    }
  }

  #isKnown({ id }: PlanChange): boolean {
    return id !== undefined && this.#pending.some((change) => change.id === id);
  }

  #untold(): PlanChange | undefined {
    return this.#pending.length > this.#told ? this.#pending.at(-1) : undefined;
  }

  #drop(refusals: PlanRefusal[]): void {
    const change = this.#pending.pop()!;
    this.#others.clear();
    this.#walk.tell("plan.refused", undefined, { ...dataOf(change), refusals: refusals.slice(0, limits.refusalsMax) });
    this.#walk.inspector.isDirty = true;
    this.#walk.pause.wake();
  }

  /** Once for all items of a list. */
  #isOther(path: string): boolean {
    const name = path.replaceAll(/\[\d+\]/g, "[0]");
    const known = this.#others.get(name);
    if (known !== undefined) return known;
    const isOther = isOtherStep(this.#walk.options.plan, this.plan, name);
    this.#others.set(name, isOther);
    return isOther;
  }
}

/** One that may take long: others go on beside it. */
export const isLong = (step: object): boolean => "timeoutMs" in step && (step.timeoutMs as number) > limits.longCallMs;

const dataOf = ({ by, kind, plan, id, requestId }: PlanChange) => ({
  by,
  kind,
  version: plan.version,
  planHash: plan.hash,
  ...(id === undefined ? {} : { change: id }),
  ...(requestId === undefined ? {} : { requestId }),
});
