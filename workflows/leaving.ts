import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json } from "../contracts/json.ts";
import type { Step } from "../language/plan.ts";
import type { Scope } from "./scope.ts";
import { exchanged, REFERENCE_BYTES, weigh } from "./travelling.ts";
import type { Walk, WalkState } from "./walk.ts";

/** A step that is about to start. */
interface Starting {
  step: Step;
  path: string;
  /** It takes no time, so that it need not wait for another execution. */
  isInstant: boolean;
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
    if (!this.#walk.changes.arePending && (!isLong || this.#walk.ledger.progress < this.#progressNeeded)) return false;
    return this.#openLong === 0 || events > limits.historyEventsCalm || bytes > limits.historyBytesCalm;
  }

  /** Steps may be called before their turn has come. */
  get mayRunAhead(): boolean {
    return !this.#walk.pause.isPaused && !this.isNear && !this.#walk.changes.arePending;
  }

  /** It does not start now: the run is paused, or about to go on in another execution or by another plan. */
  holds({ step, path, isInstant }: Starting): boolean {
    const { pause, changes } = this.#walk;
    return pause.isPaused || (!isInstant && this.isNear) || changes.hold(step, path);
  }

  /** In the moment nobody of them wakes up: the next execution comes to the step anew. */
  held(starting: Starting, scope: Scope): Promise<void> {
    return this.#walk.changes.held(starting.path, { isHeld: () => this.holds(starting), scope });
  }

  /** Resolves in the moment; whoever awaits it takes the walk's state at once. */
  async moment(): Promise<undefined> {
    const { port, journal, changes } = this.#walk;
    for (;;) {
      await port.until(() => this.#open === 0 && this.isNear && port.isUnattended());
      if (this.#walk.isOver) return new Promise(() => undefined);
      if (changes.areTold && !journal.isEmpty) {
        await journal.drain();
        continue;
      }
      const { bytes, leastBytes, heavy } = weigh(this.#walk.state());
      const room = this.#room();
      const isTooMuch = leastBytes > room;
      if (isTooMuch && !(changes.arePending && changes.areTold)) this.#stay(leastBytes, room);
      else if (!changes.areTold) changes.settle();
      // Nothing left to store: a change that was told must take effect, and below Temporal's own limit there is room for what came since.
      else if (bytes > room && heavy.length > 0) await this.#store(heavy, bytes - room);
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

  /** What travels with the state: the definition, and what the run was started with. */
  #room(): number {
    const given = { ...this.#walk.options, plan: this.#walk.changes.plan };
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
    const { ledger, pause, inspector, changes } = this.#walk;
    this.#progressNeeded = ledger.progress + limits.stayStepsMin;
    this.#obstacle = `What the run must remember needs ${leastBytes} bytes; a new execution takes ${room}.`;
    inspector.isDirty = true;
    changes.drop(this.#obstacle);
    pause.wake();
  }
}
