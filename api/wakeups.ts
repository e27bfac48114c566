import type { Redis } from "ioredis";
import { runChannel } from "../contracts/messages.ts";

/** With Redis a poll only heals a lost message; without it the poll is the clock. */
const POLL_WITH_REDIS_MS = 5_000;
const POLL_MS = 500;

/** Tells readers that a run's log may have grown. What has grown they read in Postgres. */
export interface Wakeups {
  watch(run: string): Watch;
}

export interface Watch {
  /** Resolves at the next sign of news since the last call, at the poll interval, at `deadline` or when aborted; never rejects. */
  next(options: { signal: AbortSignal; deadline?: number }): Promise<void>;
  close(): void;
}

/** One subscriber connection serves all readers of the process; without one they poll. */
export function makeWakeups(subscriber?: Redis): Wakeups {
  const watches = new Map<string, Set<Bell>>();
  subscriber?.on("message", (channel: string) => watches.get(channel)?.forEach((bell) => bell.ring()));
  const pollMs = (): number => (subscriber?.status === "ready" ? POLL_WITH_REDIS_MS : POLL_MS);
  return {
    watch(run) {
      const channel = runChannel(run);
      const bell = new Bell(pollMs);
      const bells = watches.get(channel) ?? new Set();
      if (bells.size === 0) subscribe(channel);
      watches.set(channel, bells.add(bell));
      return { next: (options) => bell.next(options), close: () => leave(channel, bell) };
    },
  };

  // A subscription that fails is made good by the poll, and by ioredis after a reconnect.
  function subscribe(channel: string): void {
    subscriber?.subscribe(channel).then(() => watches.get(channel)?.forEach((bell) => bell.ring()), ignore);
  }

  function leave(channel: string, bell: Bell): void {
    const bells = watches.get(channel);
    if (!bells?.delete(bell) || bells.size > 0) return;
    watches.delete(channel);
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
