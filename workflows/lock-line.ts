import { makeProblem } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import type { LockAsk, LockPlace, LockState } from "../contracts/locks.ts";
import type { Problem } from "../contracts/faults.ts";

/** What the line wants said: to a run about its ticket, or, with `stop`, that the run shall stop. */
export type Word =
  | { to: LockAsk; state: "granted" | "waiting" }
  | { to: LockAsk; state: "refused"; problem: Problem }
  | { to: LockAsk; state: "stop" };

/**
 * Who holds a lock and who waits for it: pure, so that it can be tried in every order.
 *
 * First come, first served: only the head of the line is let in, when fewer than its own `limit` hold the lock. Each
 * change gives the words that follow from it.
 */
export class LockLine {
  #holders: LockAsk[];
  #line: LockAsk[];
  #leaving: string[];
  readonly #title: string;

  constructor(title: string, { holders, line, leaving }: LockState = { holders: [], line: [], leaving: [] }) {
    this.#title = title;
    this.#holders = holders;
    this.#line = line;
    this.#leaving = leaving;
  }

  get state(): LockState {
    return { holders: this.#holders, line: this.#line, leaving: this.#leaving };
  }

  get isEmpty(): boolean {
    return this.#holders.length === 0 && this.#line.length === 0;
  }

  get isWaitedFor(): boolean {
    return this.#line.length > 0;
  }

  /** Somebody wants to know now whether there is a place: the holders must be looked at. */
  get isDoubted(): boolean {
    return this.#line.some(({ onLimit }) => onLimit === "reject");
  }

  ask(ask: LockAsk): Word[] {
    if (this.#holders.some(isFor(ask))) return [{ to: ask, state: "granted" }];
    if (this.#line.some(isFor(ask))) return [{ to: ask, state: "waiting" }];
    // It asks again: as long as the line is full, those beyond it have no order among them.
    if (bytesOf(this.#line) >= limits.lockLineBytesMax) return [ask.onLimit === "reject" ? this.#full(ask) : { to: ask, state: "waiting" }];
    this.#line.push(ask);
    const words = this.#admit();
    if (!this.#line.includes(ask)) return words;
    if (ask.onLimit === "queue") return [...words, { to: ask, state: "waiting" }];
    return ask.onLimit === "reject" ? words : [...words, { to: ask, state: "waiting" }, ...this.#makeRoom(ask)];
  }

  release(place: LockPlace): Word[] {
    return this.#drop((ask) => isFor(place)(ask));
  }

  /** A run is over: whatever it held or waited for is free. */
  forget(run: string): Word[] {
    this.#leaving = this.#leaving.filter((id) => id !== run);
    return this.#drop((ask) => ask.run === run);
  }

  /** The holders have been looked at: who did not want to wait, and asked before that, goes away. */
  refuse(asked: LockAsk[]): Word[] {
    const refused = this.#line.filter((ask) => ask.onLimit === "reject" && asked.includes(ask));
    this.#line = this.#line.filter((ask) => !refused.includes(ask));
    return [...refused.map((ask) => this.#full(ask)), ...this.#admit()];
  }

  #full(to: LockAsk): Word {
    const detail = `As many as allowed hold ${this.#title}; start again when one of them has ended.`;
    return { to, state: "refused", problem: makeProblem("concurrency", detail) };
  }

  #drop(isGone: (ask: LockAsk) => boolean): Word[] {
    this.#holders = this.#holders.filter((ask) => !isGone(ask));
    this.#line = this.#line.filter((ask) => !isGone(ask));
    this.#leaving = this.#leaving.filter((run) => [...this.#holders, ...this.#line].some((ask) => ask.run === run));
    return this.#admit();
  }

  #admit(): Word[] {
    const words: Word[] = [];
    for (let head = this.#line[0]; head && this.#holders.length < head.limit; head = this.#line[0]) {
      this.#line.shift();
      this.#holders.push(head);
      words.push({ to: head, state: "granted" });
    }
    return words;
  }

  /** The newest goes first: of those before it, as many may stay as leaves one place; the oldest stop. */
  #makeRoom(newest: LockAsk): Word[] {
    const before = [...this.#holders, ...this.#line].filter((ask) => ask !== newest && !this.#leaving.includes(ask.run));
    const surplus = before.slice(0, Math.max(0, before.length - newest.limit + 1));
    this.#leaving.push(...surplus.map(({ run }) => run));
    return surplus.map((to) => ({ to, state: "stop" }));
  }
}

const isFor =
  ({ run, ticket }: LockPlace) =>
  (ask: LockAsk): boolean =>
    ask.run === run && ask.ticket === ticket;

/** About as long as it is in the arguments of the execution that goes on. */
const bytesOf = (asks: LockAsk[]): number => asks.reduce((sum, { run, ticket }) => sum + 3 * (run.length + ticket.length) + 100, 0);
