import { isReply } from "../contracts/agent-messages.ts";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json, type JsonSchema } from "../contracts/json.ts";
import type { ExternalEvent, ShownEvent, UnreadEvent } from "../contracts/messages.ts";
import type { Expression } from "../language/plan.ts";
import { Frame } from "./frame.ts";
import type { Scope } from "./scope.ts";
import type { Walk } from "./walk.ts";

/** What one listening step takes. */
export interface Interest {
  event: string;
  when?: Expression;
  schema?: JsonSchema;
  as: string;
}

export interface Received {
  event: ExternalEvent;
  interest: Interest;
  /** Events up to this one were looked at. */
  number: number;
}

interface Listener {
  interests: Interest[];
  /** Its place in the order of opening. */
  order: number;
  frame: Frame;
  /** What its run has got before is not for it (`early: ignore`); of events that it is shown as a window. */
  openedAt?: number;
  /** Events before this number are not for it: it came later (`early: ignore`), or has seen that they do not fit. */
  since: number;
  got: (received: Received) => void;
  failed: (error: unknown) => void;
}

interface Unread extends UnreadEvent {
  number: number;
  /** It was sent to all, and somebody here has looked at it and wants another: it goes first when room is needed. */
  isLeft?: true;
  /** When the run got it. */
  at: number;
  /** It is the run's that this one is a window of: to be claimed there. */
  isShown?: true;
  /** Windows that have seen it. */
  shownTo?: string[];
}

export interface MailboxState {
  unread: Unread[];
  seen: string[];
  received: number;
  opened: number;
}

/**
 * Events sent to the run. Each is kept until a listener takes it, the first that opened first; the same id counts
 * once; `limits.mailboxUnreadMax` may wait, then the sender is refused.
 */
export class Mailbox {
  readonly #walk: Walk;
  readonly #listeners = new Set<Listener>();
  readonly #seen: Set<string>;
  #unread: MailboxState["unread"];
  #seenBytes = 0;
  #unreadBytes = 0;
  #received: number;
  #opened: number;
  #pumping: Promise<void> | undefined;

  /** `left`: what the run that this one goes on from had not heard, or in vain. */
  constructor(walk: Walk, given?: MailboxState, left: UnreadEvent[] = []) {
    const state = given ?? stateWith(left);
    this.#walk = walk;
    this.#seen = new Set(state.seen);
    this.#unread = state.unread;
    this.#received = state.received;
    this.#opened = state.opened;
    for (const id of state.seen) this.#seenBytes += jsonBytes(id);
    for (const { event } of state.unread.filter(isOwn)) this.#unreadBytes += bytesOf(event);
  }

  state(): MailboxState {
    return { unread: this.#unread, seen: [...this.#seen], received: this.#received, opened: this.#opened };
  }

  /** Fault `mailbox_full`. A repeated id is welcome: it changes nothing. */
  check(event: ExternalEvent): void {
    if (this.#isFull && !this.#seen.has(event.id))
      throw new Fault("mailbox_full", `${this.#unread.length} events wait unread; send again when the run has listened.`);
  }

  get #isFull(): boolean {
    if (!this.#isOver) return false;
    const kept = this.#unread.filter(({ isLeft, isShown }) => !isLeft && !isShown);
    return kept.length >= limits.mailboxUnreadMax || kept.reduce((sum, { event }) => sum + bytesOf(event), 0) >= limits.mailboxBytesMax;
  }

  get #isOver(): boolean {
    return this.#unread.filter(isOwn).length >= limits.mailboxUnreadMax || this.#unreadBytes >= limits.mailboxBytesMax;
  }

  /**
   * An event that came by signal: its sender can be told nothing, the log can. For the answer to a message of the run there is
   * always room: there are no more of them than it has sent.
   */
  post(event: ExternalEvent): void {
    const { event: name, id } = event;
    if (this.#isFull && !isReply(name) && !this.#seen.has(id)) this.#walk.tell("event.refused", undefined, { event: name, id });
    else this.deliver(event);
  }

  deliver(event: ExternalEvent): void {
    if (this.#seen.has(event.id) || (isReply(event.event) && this.#seen.has(event.event))) return;
    this.#remember(event.id);
    this.#makeRoom();
    const entry = this.#keep({ event, at: this.#walk.port.now() });
    void this.#pump().then(() => this.#tellKept(entry));
  }

  /** What a window had claimed and does not want any more. */
  putBack(shown: ShownEvent): void {
    this.#keep(shown);
    void this.#pump();
  }

  #keep({ event, at }: ShownEvent): Unread {
    this.#received += 1;
    this.#walk.ledger.progress += 1;
    const entry: Unread = { event, number: this.#received, at };
    this.#unread.push(entry);
    this.#unreadBytes += bytesOf(event);
    return entry;
  }

  /** A retry of the run reads it there: from its mailbox nobody can, once it has ended. An answer is to a message of this run alone. */
  #tellKept(entry: Unread): void {
    const { event, isLeft } = entry;
    // What was sent to all that wait for the name would else be told by each of them.
    if (isLeft || isReply(event.event) || !this.#unread.includes(entry) || this.#walk.isOver) return;
    this.#walk.tell("event.kept", undefined, receivedEvent(event));
    this.#walk.journal.hurry();
  }

  get unread(): readonly Unread[] {
    return this.#unread;
  }

  /** What steps here wait for. */
  names(): string[] {
    return [...this.#listeners].flatMap(({ interests }) => interests.map(({ event }) => event));
  }

  /** Events of the run that this one is a window of: they stay there until one is claimed. */
  show(shown: readonly ShownEvent[]): void {
    for (const { event, at } of shown) {
      this.#received += 1;
      this.#unread.push({ event, number: this.#received, at, isShown: true });
    }
    if (shown.length > 0) void this.#pump();
  }

  /** Events that were shown here are others'. */
  lose(ids: readonly string[]): void {
    for (const entry of this.#unread.filter(({ event, isShown }) => isShown && ids.includes(event.id))) this.#drop(entry);
  }

  /** A window would have an event that it was shown; whether it gets it. Then nobody else does. */
  async claimed(id: string, window: string): Promise<boolean> {
    const entry = this.#unread.find(({ event, shownTo }) => event.id === id && shownTo?.includes(window));
    if (!entry) return false;
    entry.shownTo = entry.shownTo!.filter((other) => other !== window);
    this.#drop(entry);
    return !entry.isShown || this.#walk.windowMail.claim(id);
  }

  /** The oldest of what was sent to all and is wanted by others. */
  #makeRoom(): void {
    while (this.#isOver) {
      const left = this.#unread.find(({ isLeft }) => isLeft);
      if (!left) return;
      this.#drop(left);
    }
  }

  #drop(entry: Unread): void {
    this.#unread = this.#unread.filter((other) => other !== entry);
    if (isOwn(entry)) this.#unreadBytes -= bytesOf(entry.event);
    this.#walk.windowMail.gone(entry.event.id, entry.shownTo);
  }

  /** Nobody waits for the answer of this name any more: it takes no room when it comes late. */
  close(name: string): void {
    this.#remember(name);
    for (const entry of this.#unread.filter(({ event }) => event.event === name)) this.#drop(entry);
  }

  /** The place of a step that listens from now on; it keeps it when the run goes on elsewhere. */
  open(): number {
    return this.#opened++;
  }

  /** The next event that fits one of the interests. */
  async next(
    interests: Interest[],
    options: Pick<Listener, "frame" | "since" | "order" | "openedAt"> & { scope: Scope },
  ): Promise<Received> {
    const { scope, ...place } = options;
    return scope.guard((resolve, reject) => {
      const listener: Listener = { interests, ...place, got: resolve, failed: reject };
      this.#listeners.add(listener);
      this.#walk.windowMail.listen(interests.map(({ event }) => event));
      void this.#pump();
      return () => this.#listeners.delete(listener);
    });
  }

  /** The number the next event will have: what came before is early. */
  get now(): number {
    return this.#received + 1;
  }

  // One pass at a time: a `when` may have to look into a stored value, which takes a while.
  #pump(): Promise<void> {
    this.#pumping = (this.#pumping ?? Promise.resolve()).then(() => this.#match()).then(() => this.#walk.windowMail.offer());
    return this.#pumping;
  }

  async #match(): Promise<void> {
    for (const listener of [...this.#listeners].toSorted((a, b) => a.order - b.order)) {
      for (const entry of this.#unread) {
        // It may have been dropped while another was looked at.
        if (!isFor(listener, entry) || !this.#listeners.has(listener) || !this.#unread.includes(entry)) continue;
        // Looked at once: asking again would give the same answer and may cost an event in the history.
        listener.since = Math.max(listener.since, entry.number + 1);
        const interest = await this.#fitting(listener, entry.event);
        if (!interest && entry.event.toAll && listener.interests.some(({ event }) => event === entry.event.event)) entry.isLeft = true;
        // Whoever had heard it does not want it any more.
        if (!interest) this.#letGo(entry);
        if (!interest || !this.#listeners.has(listener) || !this.#unread.includes(entry)) continue;
        this.#drop(entry);
        if (entry.isShown && !(await this.#walk.windowMail.claim(entry.event.id))) continue;
        if (!this.#listeners.has(listener)) {
          this.#walk.windowMail.giveBack(entry);
          continue;
        }
        this.#listeners.delete(listener);
        listener.got({ event: entry.event, number: entry.number, interest });
      }
    }
  }

  #letGo(entry: Unread): void {
    if (entry.heardBy === undefined) return;
    delete entry.heardBy;
    void this.#pump();
  }

  async #fitting(listener: Listener, event: ExternalEvent): Promise<Interest | undefined> {
    try {
      for (const interest of listener.interests) if (await this.#fits(interest, event, listener.frame)) return interest;
    } catch (error) {
      this.#listeners.delete(listener);
      listener.failed(error);
    }
    return undefined;
  }

  async #fits(interest: Interest, event: ExternalEvent, frame: Frame): Promise<boolean> {
    if (interest.event !== event.event) return false;
    const { schema } = interest;
    if (schema && (await this.#walk.outside(() => this.#walk.port.validate(schema, event.data, frame.path)))) return false;
    return !interest.when || this.#walk.condition(interest.when, new Frame(frame, { event: receivedEvent(event) }));
  }

  #remember(id: string): void {
    if (this.#seen.has(id)) return;
    this.#seen.add(id);
    this.#seenBytes += jsonBytes(id);
    for (const oldest of this.#seen) {
      if (this.#seen.size <= limits.seenEventIdsMax && this.#seenBytes <= limits.seenEventBytesMax) return;
      this.#seen.delete(oldest);
      this.#seenBytes -= jsonBytes(oldest);
    }
  }
}

/** What a `listen` has heard in the run before is no early event to it. */
const isFor = ({ frame, since, openedAt = 0 }: Listener, { heardBy, number, isShown, at }: Unread): boolean =>
  heardBy === undefined ? number >= since && (!isShown || at >= openedAt) : heardBy === frame.path;

const stateWith = (left: UnreadEvent[]): MailboxState => ({
  unread: left.map((each, index) => ({ ...each, number: index + 1, at: each.event.at })),
  seen: left.map(({ event }) => event.id),
  received: left.length,
  opened: 0,
});
const isOwn = ({ isShown }: Unread): boolean => isShown !== true;

/** With its name and id: of 2,000 events without data they are all there is. */
const bytesOf = ({ event, id, data }: ExternalEvent): number => jsonBytes([event, id, data]);

export const receivedEvent = ({ event, data, id, at }: ExternalEvent): { [key: string]: Json } => ({
  event,
  data,
  id,
  at: new Date(at).toISOString(),
});
