import type { Redis } from "ioredis";
import { liveChannel, runChannel } from "../contracts/messages.ts";

/** With Redis a poll only heals a lost message; without it the poll is the clock. */
const POLL_WITH_REDIS_MS = 5_000;
const POLL_MS = 500;

/** Tells readers that a run's log may have grown. What has grown they read in Postgres. */
export interface Wakeups {
  /** `isWorthIt`: which news of the run's log wake at all. */
  watch(run: string, isWorthIt?: (news: string) => boolean): Watch;
  /** Calls back with each thing that happens in the run and is not kept; nothing comes without Redis. Gives what ends it. */
  hints(run: string, listener: (hint: string) => void): () => void;
}

export interface Watch {
  /** Resolves at the next sign of news since the last call, at the poll interval, at `deadline` or when aborted; never rejects. */
  next(options: { signal: AbortSignal; deadline?: number }): Promise<void>;
  close(): void;
}

type Listener = (message: string) => void;

/** One subscriber connection serves all readers of the process; without one they poll. */
export function makeWakeups(subscriber?: Redis): Wakeups {
  const channels = new Map<string, Set<Listener>>();
  subscriber?.on("message", (channel: string, message: string) => channels.get(channel)?.forEach((listener) => listener(message)));
  const pollMs = (): number => (subscriber?.status === "ready" ? POLL_WITH_REDIS_MS : POLL_MS);
  return {
    watch(run, isWorthIt = () => true) {
      const bell = new Bell(pollMs);
      const hear = (news: string): void => void (isWorthIt(news) && bell.ring());
      const close = listen(runChannel(run), hear, () => bell.ring());
      return { next: (options) => bell.next(options), close };
    },
    hints: (run, listener) => listen(liveChannel(run), listener),
  };

  // A subscription that fails is made good by the poll, and by ioredis after a reconnect.
  function listen(channel: string, listener: Listener, onSubscribed: () => void = ignore): () => void {
    const listeners = channels.get(channel) ?? new Set();
    if (listeners.size === 0) subscriber?.subscribe(channel).then(onSubscribed, ignore);
    channels.set(channel, listeners.add(listener));
    return () => leave(channel, listener);
  }

  function leave(channel: string, listener: Listener): void {
    const listeners = channels.get(channel);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    channels.delete(channel);
    subscriber?.unsubscribe(channel).catch(ignore);
  }
}

/** Remembers a ring that nobody waited for, so that news between a read and the next wait is not slept through. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;
  readonly #pollMs: () => number;

  constructor(pollMs: () => number) {
    this.#pollMs = pollMs;
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async next({ signal, deadline }: { signal: AbortSignal; deadline?: number }): Promise<void> {
    const waitMs = Math.min(this.#pollMs(), (deadline ?? Infinity) - Date.now());
    if (!this.#rung && !signal.aborted && waitMs > 0) await this.#sleep(waitMs, signal);
    this.#rung = false;
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal.addEventListener("abort", wake);
      this.#wake = wake;
    });
  }
}

const ignore = (): void => {};
