import { limits } from "../contracts/limits.ts";
import type { RunEvent } from "../contracts/events.ts";

/**
 * A line of work whose events must reach the log in their order: the run itself, or one branch or item of a fan-out.
 * A call carries the events of its own lane and of those around it, so that no event overtakes its cause
 * and a fan-out of 50 does not carry 50 times 50 events.
 */
export class Lane {
  readonly parent: Lane | undefined;

  constructor(parent?: Lane) {
    this.parent = parent;
  }

  isWithin(other: Lane): boolean {
    for (let lane: Lane | undefined = this; lane; lane = lane.parent) if (lane === other) return true;
    return false;
  }
}

/** Events of the walk that no append has acknowledged yet, oldest first. */
export class Outbox {
  #pending: { event: RunEvent; lane: Lane }[] = [];

  add(event: RunEvent, lane: Lane): void {
    this.#pending.push({ event, lane });
  }

  get size(): number {
    return this.#pending.length;
  }

  /** The oldest, as many as one append takes. */
  batch(): RunEvent[] {
    let bytes = 0;
    const fits = ({ event }: { event: RunEvent }): boolean => (bytes += JSON.stringify(event).length) <= limits.appendBytesMax;
    const events = this.#pending.map(({ event }) => event);
    const tooMany = this.#pending.findIndex((entry) => !fits(entry));
    return tooMany < 0 ? events : events.slice(0, Math.max(1, tooMany));
  }

  /** What a call of this lane takes along; undefined when it is too much to carry and must be flushed first. */
  carriedBy(lane: Lane): RunEvent[] | undefined {
    const events = this.#pending.filter((entry) => lane.isWithin(entry.lane)).map(({ event }) => event);
    return events.length === 0 || JSON.stringify(events).length <= limits.carriedBytesMax ? events : undefined;
  }

  acknowledge(events: readonly RunEvent[]): void {
    if (events.length === 0) return;
    const identities = new Set(events.map((event) => event.identity));
    this.#pending = this.#pending.filter(({ event }) => !identities.has(event.identity));
  }

  /** A lane has ended: what it left behind goes with the next append of the lane around it. */
  mergeInto(parent: Lane, lane: Lane): void {
    for (const entry of this.#pending) if (entry.lane === lane) entry.lane = parent;
  }
}
