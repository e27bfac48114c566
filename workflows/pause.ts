import { holdReasons, type Held, type Hold, type Holds } from "../contracts/holds.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { UpdateArguments } from "../contracts/messages.ts";
import type { Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

/** What the next execution of the run must know. */
export interface PauseState {
  own: Hold[];
  told: Holds[];
}

/**
 * A gate that every step passes before it starts. It is closed as long as somebody holds the run: it was asked itself
 * (by update), or its parent or the platform says so (by signal, each time all that they hold it for).
 *
 * What runs already goes on to its end. Timers go on or stand still, as whoever pauses says.
 */
export class Pause {
  readonly #walk: Walk;
  readonly #waiting = new Set<() => void>();
  readonly #own: Map<string, Hold>;
  readonly #told: Map<Holds["source"], Holds>;
  #isPaused: boolean;

  constructor(walk: Walk, state: PauseState) {
    this.#walk = walk;
    this.#own = new Map(state.own.map((hold) => [hold.reason, hold]));
    this.#told = new Map(state.told.map((holds) => [holds.source, holds]));
    this.#isPaused = this.holds().length > 0;
    walk.clock.freeze(this.#isFreezing);
  }

  state(): PauseState {
    return { own: [...this.#own.values()], told: [...this.#told.values()] };
  }

  /** Asked before every step. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Everything that holds the run, its own first. */
  holds(): Held[] {
    const own = [...this.#own.values()].map((hold): Held => ({ ...hold, source: "run" }));
    return [...own, ...[...this.#told.values()].flatMap(({ source, holds }) => holds.map((hold): Held => ({ ...hold, source })))];
  }

  /** What children are held for as well: everything but a pause of this run alone, which holds only parts of it. */
  inherited(isPart: boolean): Hold[] {
    const all = [...this.#own.values(), ...[...this.#told.values()].flatMap(({ holds }) => holds)];
    const passed = all.filter(({ reason }) => isPart || reason !== holdReasons.run);
    return [...new Map(passed.map((hold) => [hold.reason, hold])).values()];
  }

  /** A run that begins paused tells it right after its start. */
  tellStart(): void {
    if (this.isPaused) this.#tell(this.holds()[0]!.by, 0);
  }

  pause({ by, scope, timers, why }: UpdateArguments["pause"]): Promise<void> {
    const reason = this.#reasonOf(scope);
    const at = new Date(this.#walk.port.now()).toISOString();
    return this.#change(by, () => {
      const before = this.#own.get(reason);
      if (before && before.timers === timers && before.why === why) return;
      this.#own.set(reason, { reason, by, at, timers, ...(why === undefined ? {} : { why }) });
    });
  }

  resume({ by, scope }: UpdateArguments["resume"]): Promise<void> {
    return this.#change(by, () => this.#own.delete(this.#reasonOf(scope)));
  }

  /** A source says for what it holds the run from now on. */
  hold(said: Holds): Promise<void> {
    return this.#change(said.by, () => {
      if (said.version >= (this.#told.get(said.source)?.version ?? 0)) this.#told.set(said.source, said);
    });
  }

  /** Let those that are held look again. */
  wake(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Until the next change of the gate. */
  async passed(scope: Scope): Promise<void> {
    await scope.guard<void>((resolve) => {
      this.#waiting.add(resolve);
      return () => this.#waiting.delete(resolve);
    });
  }

  /** Until nothing holds the run. */
  async over(scope: Scope): Promise<void> {
    while (this.isPaused) await this.passed(scope);
  }

  /** For people who look at the run in the Temporal Web UI: plain text. */
  lines(): string[] {
    return this.holds().map(({ reason, by, at, timers, why }) => {
      const stopped = timers === "freeze" ? ", its timers stand still" : "";
      return `paused (${reason}) by ${by} since ${at}${stopped}${why === undefined ? "" : `: ${why}`}`;
    });
  }

  async #change(by: string, change: () => void): Promise<void> {
    if (this.#walk.isOver) return;
    const before = JSON.stringify(this.holds());
    change();
    if (JSON.stringify(this.holds()) === before) return;
    this.#isPaused = this.holds().length > 0;
    this.#tell(by, this.#walk.clock.freeze(this.#isFreezing));
    this.#walk.inspector.isDirty = true;
    this.#walk.cascade.spread(by);
    if (!this.isPaused) this.wake();
    await this.#walk.journal.drain();
  }

  #tell(by: string, frozenMs: number): void {
    const thawed: JsonObject = frozenMs === 0 ? {} : { frozenMs };
    if (this.isPaused) this.#walk.tell("run.paused", undefined, { by, holds: this.holds() as unknown as Json, ...thawed });
    else this.#walk.tell("run.resumed", undefined, { by, ...thawed });
  }

  get #isFreezing(): boolean {
    return this.holds().some(({ timers }) => timers === "freeze");
  }

  #reasonOf(scope: "run" | "tree"): string {
    return scope === "run" ? holdReasons.run : holdReasons.tree(this.#walk.options.run.id);
  }
}
