import { isReply } from "../contracts/agent-messages.ts";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { jsonBytes, type Json, type JsonSchema } from "../contracts/json.ts";
import type { ExternalEvent, UnreadEvent } from "../contracts/messages.ts";
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
  /** Events before this number are not for it: it came later (`early: ignore`), or has seen that they do not fit. */
  since: number;
  got: (received: Received) => void;
  failed: (error: unknown) => void;
}

interface Unread extends UnreadEvent {
  number: number;
  /** It was sent to all, and somebody here has looked at it and wants another: it goes first when room is needed. */
  isLeft?: true;
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
    for (const { event } of state.unread) this.#unreadBytes += bytesOf(event);
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
    const kept = this.#unread.filter(({ isLeft }) => !isLeft);
    return kept.length >= limits.mailboxUnreadMax || kept.reduce((sum, { event }) => sum + bytesOf(event), 0) >= limits.mailboxBytesMax;
  }

  get #isOver(): boolean {
    return this.#unread.length >= limits.mailboxUnreadMax || this.#unreadBytes >= limits.mailboxBytesMax;
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
    this.#received += 1;
    this.#walk.ledger.progress += 1;
    const entry: Unread = { event, number: this.#received };
    this.#unread.push(entry);
    this.#unreadBytes += bytesOf(event);
    void this.#pump().then(() => this.#tellKept(entry));
  }

  /** A retry of the run reads it there: from its mailbox nobody can, once it has ended. An answer is to a message of this run alone. */
  #tellKept(entry: Unread): void {
    const { event, isLeft } = entry;
    // What was sent to all that wait for the name would else be told by each of them.
    if (isLeft || isReply(event.event) || !this.#unread.includes(entry) || this.#walk.isOver) return;
    this.#walk.tell("event.kept", undefined, receivedEvent(event));
    this.#walk.journal.hurry();
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
    this.#unreadBytes -= bytesOf(entry.event);
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
  async next(interests: Interest[], options: { frame: Frame; scope: Scope; since: number; order: number }): Promise<Received> {
    return options.scope.guard((resolve, reject) => {
      const listener: Listener = {
        interests,
        order: options.order,
        frame: options.frame,
        since: options.since,
        got: resolve,
        failed: reject,
      };
      this.#listeners.add(listener);
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
    this.#pumping = (this.#pumping ?? Promise.resolve()).then(() => this.#match());
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
        this.#listeners.delete(listener);
        listener.got({ ...entry, interest });
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
const isFor = ({ frame, since }: Listener, { heardBy, number }: Unread): boolean =>
  heardBy === undefined ? number >= since : heardBy === frame.path;

const stateWith = (left: UnreadEvent[]): MailboxState => ({
  unread: left.map((each, index) => ({ ...each, number: index + 1 })),
  seen: left.map(({ event }) => event.id),
  received: left.length,
  opened: 0,
});

/** With its name and id: of 2,000 events without data they are all there is. */
const bytesOf = ({ event, id, data }: ExternalEvent): number => jsonBytes([event, id, data]);

export const receivedEvent = ({ event, data, id, at }: ExternalEvent): { [key: string]: Json } => ({
  event,
  data,
  id,
  at: new Date(at).toISOString(),
});
