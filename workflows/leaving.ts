import { Fault } from "../contracts/faults.ts";
import { isWindow } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { planRefusals, type PlanRefusal } from "../language/plan-change.ts";
import type { Plan } from "../language/plan.ts";
import type { Walk } from "./walk.ts";

/** Another plan for the run, and who wants it why. */
export interface PlanChange {
  plan: Plan;
  kind: "patch" | "migrate";
  by: string;
}

/**
 * When and with what the run goes on in another execution: because the history of this one has become long, or because
 * it is to walk another plan. No step starts any more, and when no call is in flight and everything told is in the
 * record, it is the moment.
 */
export class Leaving {
  readonly #walk: Walk;
  #open = 0;
  /** Of the open work, calls that may take long: while one is open, other steps go on as long as they can. */
  #openLong = 0;
  #change: PlanChange | undefined;
  #isChangeTold = false;

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  /** Work that must end before the moment can come. */
  async outside<T>(work: () => Promise<T>, isLong: boolean): Promise<T> {
    this.#open += 1;
    if (isLong) this.#openLong += 1;
    // The moment recedes: who was held for it goes on.
    if (isLong && this.#openLong === 1) this.#walk.pause.wake();
    try {
      return await work();
    } finally {
      this.#open -= 1;
      if (isLong) this.#openLong -= 1;
    }
  }

  /** No further step may start in this execution. */
  get isNear(): boolean {
    const { isLong, events, bytes } = this.#walk.port.history();
    // An execution that has got nowhere must not give way to another, or none ever would.
    if (!this.#change && (!isLong || this.#walk.ledger.progress === 0)) return false;
    return this.#openLong === 0 || events > limits.historyEventsCalm || bytes > limits.historyBytesCalm;
  }

  /** Resolves in the moment; whoever awaits it takes the walk's state at once. */
  async moment(): Promise<undefined> {
    const { port, journal } = this.#walk;
    for (;;) {
      await port.until(() => this.#open === 0 && this.isNear && port.isUnattended());
      if (this.#walk.isOver) return new Promise(() => undefined);
      if (this.#change && !this.#isChangeTold) this.#tellChange(this.#change);
      else if (!journal.isEmpty) await journal.drain();
      else if (!(await this.#lighten())) return undefined;
    }
  }

  /** The plan that is walked from the next execution on. */
  get plan(): Plan {
    return this.#change?.plan ?? this.#walk.options.plan;
  }

  /** Why the run cannot go on with this plan; empty when it can. */
  refusals(plan: Plan): PlanRefusal[] {
    const { ledger, inspector, undoing, options } = this.#walk;
    const { done, open } = ledger.known();
    // A call that is under way has no place.
    const calls = inspector.running().filter((path) => !ledger.place(path));
    // What a window has done is not for this run to undo before the window has ended.
    const undoable = [...undoing.state().map(({ path }) => path), ...[...done, ...open].filter(isWindow)];
    return planRefusals(options.plan, plan, { done: [...done, ...calls], open, undoable, held: this.#walk.lockedPaths });
  }

  /** Fault `plan_refused`. */
  check(plan: Plan): void {
    const refusals = this.refusals(plan);
    const [first, ...others] = refusals;
    if (!first) return;
    const more = others.length > 0 ? ` (and ${others.length} more)` : "";
    const detail = `${first.path || "The plan"}: ${first.why}${more}`;
    throw new Fault("plan_refused", detail, { extra: { refusals: refusals.slice(0, limits.refusalsMax) } });
  }

  changePlan(change: PlanChange): void {
    this.check(change.plan);
    this.#change = change;
    this.#isChangeTold = false;
  }

  /** What ended since the change was asked for may have made it impossible: then the run goes on as it was. */
  #tellChange({ by, kind, plan }: PlanChange): void {
    const walk = this.#walk;
    const refusals = this.refusals(plan);
    const data = { by, kind, version: plan.version, planHash: plan.hash };
    if (refusals.length === 0) {
      this.#isChangeTold = true;
      const { version, hash: planHash } = walk.options.plan;
      return walk.tell("plan.changed", undefined, { ...data, from: { version, planHash } });
    }
    this.#change = undefined;
    walk.tell("plan.refused", undefined, { ...data, refusals });
    walk.pause.wake();
  }

  /** Store the largest results until the state is small enough to travel. Gives whether that took a moment. */
  async #lighten(): Promise<boolean> {
    const { ledger, port } = this.#walk;
    const excess = jsonBytes(this.#walk.state() as unknown as Json) - limits.stateBytesMax;
    if (excess <= 0) return false;
    const heavy = ledger.heaviest(excess);
    if (heavy.length === 0) throw new Fault("limit", `What the run must remember needs more than ${limits.stateBytesMax} bytes.`);
    await Promise.all(heavy.map(async ({ path, output }) => ledger.replaceOutput(path, await port.store(output, path))));
    return true;
  }
}
