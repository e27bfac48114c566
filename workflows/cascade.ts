import type { Hold, Holds } from "../contracts/holds.ts";
import type { Walk } from "./walk.ts";

interface Child {
  /** It walks a part of this run, so that what holds this run alone holds it too. */
  isPart: boolean;
  /** For what it has heard that it is held. */
  heard: string;
  telling?: Promise<void>;
}

/** What the next execution of the run must know. */
export interface CascadeState {
  version: number;
  children: [id: string, isPart: boolean, heard: string][];
}

/** Children that are held with their run: what holds it and is not for it alone is told to each, as it changes. */
export class Cascade {
  readonly #walk: Walk;
  readonly #children: Map<string, Child>;
  #version: number;
  #by = "";

  constructor(walk: Walk, state: CascadeState = { version: 0, children: [] }) {
    this.#walk = walk;
    this.#children = new Map(state.children.map(([id, isPart, heard]) => [id, { isPart, heard }]));
    this.#version = state.version;
  }

  state(): CascadeState {
    return { version: this.#version, children: [...this.#children].map(([id, { isPart, heard }]) => [id, isPart, heard]) };
  }

  /** What a child that is about to start begins with. */
  word(isPart: boolean): Holds {
    const holds = this.#walk.isOver ? [] : this.#walk.pause.inherited(isPart);
    return { source: "parent", version: this.#version, by: this.#by, holds };
  }

  /** A child exists from now on; it has heard `word`. */
  started(id: string, { holds }: Holds, isPart: boolean): void {
    this.#children.set(id, { isPart, heard: textOf(holds) });
    void this.#tell(id);
  }

  ended(id: string): void {
    this.#children.delete(id);
    this.#walk.windowMail.ended(id);
  }

  /** The run is held for other reasons than before. */
  spread(by: string): void {
    this.#version += 1;
    this.#by = by;
    for (const id of this.#children.keys()) void this.#tell(id);
  }

  /** Children that outlive the run are not held by it any more. */
  async release(): Promise<void> {
    this.#version += 1;
    await Promise.all([...this.#children.keys()].map((id) => this.#tell(id)));
  }

  // One word at a time and always the newest: however often it changes, no more is under way than there are children.
  async #tell(id: string): Promise<void> {
    const child = this.#children.get(id);
    if (!child) return;
    // Looked at again: what changed as the last word was on its way back was not in it.
    while (this.#children.get(id) === child && textOf(this.word(child.isPart).holds) !== child.heard) {
      child.telling ??= this.#catchUp(id, child).finally(() => delete child.telling);
      await child.telling;
    }
  }

  async #catchUp(id: string, child: Child): Promise<void> {
    while (this.#children.has(id)) {
      const word = this.word(child.isPart);
      if (textOf(word.holds) === child.heard) return;
      await this.#walk.outside(() => this.#walk.port.hold(id, word));
      child.heard = textOf(word.holds);
    }
  }
}

const textOf = (holds: Hold[]): string => JSON.stringify(holds);
