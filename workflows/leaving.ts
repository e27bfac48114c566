import { Fault } from "../contracts/faults.ts";
import { isWindow } from "../contracts/ids.ts";
import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import { planRefusals, type PlanRefusal } from "../language/plan-change.ts";
import type { Plan } from "../language/plan.ts";
import { exchanged, REFERENCE_BYTES, weigh } from "./travelling.ts";
import type { Walk, WalkState } from "./walk.ts";

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
  /** Values that were stored so that the state can travel. */
  readonly #references = new Map<Json, Json>();
  /** How much the walk must have got on before it looks again whether it can leave. */
  #progressNeeded = 1;
  #obstacle: string | undefined;

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
    if (!this.#change && (!isLong || this.#walk.ledger.progress < this.#progressNeeded)) return false;
    return this.#openLong === 0 || events > limits.historyEventsCalm || bytes > limits.historyBytesCalm;
  }

  /** Resolves in the moment; whoever awaits it takes the walk's state at once. */
  async moment(): Promise<undefined> {
    const { port, journal } = this.#walk;
    for (;;) {
      await port.until(() => this.#open === 0 && this.isNear && port.isUnattended());
      if (this.#walk.isOver) return new Promise(() => undefined);
      const untold = this.#isChangeTold ? undefined : this.#change;
      if (!untold && !journal.isEmpty) {
        await journal.drain();
        continue;
      }
      const { bytes, leastBytes, heavy } = weigh(this.#walk.state());
      const room = this.#room();
      if (leastBytes > room) this.#stay(leastBytes, room);
      else if (untold) this.#tellChange(untold);
      else if (bytes > room) await this.#store(heavy, bytes - room);
      else return undefined;
    }
  }

  /** The state as the next execution gets it. */
  travelling(state: WalkState): WalkState {
    return this.#references.size === 0 ? state : exchanged(state, (value) => this.#references.get(value) ?? value);
  }

  /** Why the run must end in this execution, for people; none when it can go on in another. */
  lines(): string[] {
    return this.#obstacle === undefined ? [] : [this.#obstacle];
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
  #tellChange(change: PlanChange): void {
    const { by, kind, plan } = change;
    const walk = this.#walk;
    const refusals = this.refusals(plan);
    const data = { by, kind, version: plan.version, planHash: plan.hash };
    if (refusals.length === 0) {
      this.#isChangeTold = true;
      const { version, hash: planHash } = walk.options.plan;
      return walk.tell("plan.changed", undefined, { ...data, from: { version, planHash } });
    }
    this.#refuse(change, refusals);
  }

  #refuse({ by, kind, plan }: PlanChange, refusals: PlanRefusal[]): void {
    const walk = this.#walk;
    this.#change = undefined;
    walk.tell("plan.refused", undefined, { by, kind, version: plan.version, planHash: plan.hash, refusals });
    walk.pause.wake();
  }

  /** What travels with the state: the definition, and what the run was started with. */
  #room(): number {
    const given = { ...this.#walk.options, plan: this.plan };
    return Math.min(limits.stateBytesMax, limits.continuedBytesMax - jsonBytes(given as unknown as Json));
  }

  /** The largest values become references, as many as it takes. */
  async #store(heavy: Json[], excess: number): Promise<void> {
    let saved = 0;
    const stored = heavy.slice(0, limits.storedTogetherMax).filter((value) => {
      if (saved > excess) return false;
      saved += jsonBytes(value) - REFERENCE_BYTES;
      return true;
    });
    await Promise.all(stored.map(async (value) => this.#references.set(value, await this.#walk.port.store(value, "run"))));
  }

  /**
   * It goes on where it is, as far as the history takes it: scopes that end take what they remember with them. A run that gets to the end of
   * the history fails there, in order; one whose task failed each time it tried to leave would hang for ever.
   */
  #stay(leastBytes: number, room: number): void {
    const { ledger, pause, inspector } = this.#walk;
    this.#progressNeeded = ledger.progress + limits.stayStepsMin;
    this.#obstacle = `What the run must remember needs ${leastBytes} bytes; a new execution takes ${room}.`;
    inspector.isDirty = true;
    if (this.#change) this.#refuse(this.#change, [{ path: "", why: this.#obstacle }]);
    else pause.wake();
  }
}
