import { isReply } from "../contracts/agent-messages.ts";
import { limits } from "../contracts/limits.ts";
import type { ParkedStep, ShownEvent, WindowHears, WindowSays } from "../contracts/messages.ts";
import { Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

/** A window as its run knows it. */
interface Known {
  /** Events that it waits for, or has waited for. */
  names: Set<string>;
  parked: ParkedStep[];
  /** What it is to be told next. */
  hears: Required<WindowHears>;
  telling?: Promise<void>;
}

/** What the next execution of the run must know: whatever windows are to be told they have been told before. */
export type WindowMailState = [id: string, names: string[], parked: ParkedStep[]][];

/**
 * Items of a large `foreach` stand in runs of their own, and are spoken to under the id of the run that they are part of. An event stays
 * in that run's mailbox: each window that waits for one of its name is shown it once, and one whose `listen` it fits claims it. The run
 * lets the first one have it and tells the others that it is gone. So it is taken once, wherever a worker dies: words are signals.
 * Windows also say which of their steps wait for a person: these are steps of the run.
 */
export class WindowMail {
  readonly #walk: Walk;
  readonly #windows: Map<string, Known>;
  /** Of a window: what it has asked its run for. */
  readonly #claims = new Map<string, (isOurs: boolean) => void>();
  /** Names of which its run knows. */
  readonly #announced = new Set<string>();
  #says: Omit<WindowSays, "window"> = {};
  #saying: Promise<void> | undefined;

  constructor(walk: Walk, state: WindowMailState = []) {
    this.#walk = walk;
    this.#windows = new Map(state.map(([id, names, parked]) => [id, { ...newcomer(), names: new Set(names), parked }]));
    for (const [id, , parked] of state) this.#show(id, parked);
  }

  state(): WindowMailState {
    return [...this.#windows].map(([id, { names, parked }]) => [id, [...names], parked]);
  }

  /** Steps of windows, and of windows in them, that wait for a person. */
  get parked(): ParkedStep[] {
    return [...this.#windows.values()].flatMap(({ parked }) => parked).slice(0, limits.detailsRowsMax);
  }

  /** A window has said something. */
  async hear({ window, listens = [], isAnew, claims = [], returned = [], parked }: WindowSays): Promise<void> {
    const known = this.#windows.get(window) ?? newcomer();
    this.#windows.set(window, known);
    if (isAnew) known.names.clear();
    for (const name of listens) known.names.add(name);
    if (listens.length > 0) this.listen(listens);
    if (parked) this.#park(window, known, parked);
    for (const shown of returned) this.#takeBack(shown);
    this.offer();
    for (const id of claims) {
      const isTheirs = await this.#walk.mailbox.claimed(id, window);
      known.hears[isTheirs ? "granted" : "gone"].push(id);
      this.#tell(window);
    }
  }

  /** Show windows what they have not seen of what they wait for. What was sent to all has reached them by itself. */
  offer(): void {
    if (this.#windows.size === 0) return;
    for (const entry of this.#walk.mailbox.unread) {
      if (entry.event.toAll || entry.heardBy !== undefined) continue;
      for (const [id, { names, hears }] of this.#windows) {
        if (!names.has(entry.event.event) || entry.shownTo?.includes(id)) continue;
        (entry.shownTo ??= []).push(id);
        hears.shown.push({ event: entry.event, at: entry.at });
        this.#tell(id);
      }
    }
  }

  /** An event that these windows were shown is another's. */
  gone(id: string, windows: readonly string[] = []): void {
    for (const window of windows) {
      const known = this.#windows.get(window);
      if (!known) continue;
      const unsent = known.hears.shown.findIndex(({ event }) => event.id === id);
      if (unsent >= 0) known.hears.shown.splice(unsent, 1);
      else known.hears.gone.push(id);
      this.#tell(window);
    }
  }

  ended(id: string): void {
    const known = this.#windows.get(id);
    if (!known) return;
    this.#park(id, known, []);
    this.#windows.delete(id);
    for (const entry of this.#walk.mailbox.unread) if (entry.shownTo) entry.shownTo = entry.shownTo.filter((other) => other !== id);
  }

  /** From here on: what a window says to its run. A run that is no window has nobody to say it to. */
  listen(names: readonly string[]): void {
    if (!this.#isWindow) return;
    const news = names.filter((name) => !isReply(name) && !this.#announced.has(name));
    if (news.length === 0) return;
    // The first word of an execution, and one after very many names: what was before it is told anew or over.
    const isAnew = this.#announced.size === 0 || this.#announced.size + news.length > limits.windowListensMax;
    if (isAnew) this.#announced.clear();
    const all = isAnew ? [...this.#walk.mailbox.names(), ...[...this.#windows.values()].flatMap((each) => [...each.names]), ...news] : news;
    const listens = [...new Set(all)].filter((name) => !isReply(name)).slice(-limits.windowListensMax);
    for (const name of listens) this.#announced.add(name);
    this.#say({ listens: isAnew ? listens : [...(this.#says.listens ?? []), ...listens], ...(isAnew ? { isAnew: true } : {}) });
  }

  /** Whether the event, which this window was shown, is its own now. */
  claim(id: string): Promise<boolean> {
    return this.#walk.outside(
      () =>
        new Promise<boolean>((resolve) => {
          this.#claims.set(id, resolve);
          this.#say({ claims: [...(this.#says.claims ?? []), id] });
        }),
    );
  }

  /** What was claimed, and nobody here waits for any more. */
  giveBack(shown: ShownEvent): void {
    const { event, at } = shown;
    if (this.#isWindow) this.#say({ returned: [...(this.#says.returned ?? []), { event, at }] });
  }

  /** Steps that wait for a person are others than before. */
  changed(): void {
    this.#walk.inspector.isDirty = true;
    if (this.#isWindow) this.#say({ parked: [...this.#walk.attention.parked(), ...this.parked] });
  }

  /** Of a window: its run has said something. */
  heard({ shown = [], granted = [], gone = [] }: WindowHears): void {
    for (const id of granted) this.#settle(id, true);
    for (const id of gone) this.#settle(id, false);
    this.#walk.mailbox.lose(gone);
    this.#walk.mailbox.show(shown);
  }

  /** Until its run knows all it has said, and has answered: what is granted to one that ends must go back. */
  async over(): Promise<void> {
    await this.#said();
    while (this.#claims.size > 0) {
      await this.#answered();
      // A run that was terminated answers nothing: asked again, it is found to be gone.
      if (this.#claims.size > 0) this.#say({ claims: [...this.#claims.keys()] });
      await this.#said();
    }
  }

  async #said(): Promise<void> {
    while (this.#saying) await this.#saying;
  }

  async #answered(): Promise<void> {
    const { port } = this.#walk;
    const scope = new Scope();
    const time = port.sleep(limits.claimAnswerMs, "an answer of the run that this is a part of", scope).catch(() => undefined);
    await Promise.race([port.until(() => this.#claims.size === 0), time]);
    scope.cancel("it is answered");
    await time;
  }

  get #isWindow(): boolean {
    return this.#walk.options.part !== undefined;
  }

  #settle(id: string, isOurs: boolean): void {
    this.#claims.get(id)?.(isOurs);
    this.#claims.delete(id);
  }

  #takeBack(shown: ShownEvent): void {
    if (this.#isWindow) this.giveBack(shown);
    else this.#walk.mailbox.putBack(shown);
  }

  #park(id: string, known: Known, parked: ParkedStep[]): void {
    for (const { path } of known.parked) this.#walk.inspector.unpark(path);
    known.parked = parked;
    this.#show(id, parked);
    this.changed();
  }

  #show(id: string, parked: ParkedStep[]): void {
    for (const step of parked) this.#walk.inspector.park(step, id);
  }

  // One word at a time: the server keeps their order, and what comes meanwhile goes together.
  #tell(id: string): void {
    const known = this.#windows.get(id)!;
    known.telling ??= this.#walk.outside(() => this.#tellAll(id, known));
  }

  async #tellAll(id: string, known: Known): Promise<void> {
    while (this.#windows.has(id) && Object.values(known.hears).some((list) => list.length > 0)) {
      const { hears } = known;
      known.hears = nothing();
      await this.#walk.port.toWindow(id, hears);
    }
    // In the same breath as the look: what comes after it begins anew.
    delete known.telling;
  }

  #say(more: Omit<WindowSays, "window">): void {
    Object.assign(this.#says, more);
    this.#saying ??= this.#walk.outside(() => this.#sayAll());
  }

  async #sayAll(): Promise<void> {
    while (Object.keys(this.#says).length > 0) {
      const says = this.#says;
      this.#says = {};
      const isThere = await this.#walk.port.toParent({ window: this.#walk.options.run.id, ...says });
      if (!isThere) for (const id of says.claims ?? []) this.#settle(id, false);
    }
    this.#saying = undefined;
  }
}

const nothing = (): Required<WindowHears> => ({ shown: [], granted: [], gone: [] });
const newcomer = (): Known => ({ names: new Set(), parked: [], hears: nothing() });
