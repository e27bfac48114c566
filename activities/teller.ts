import { eventIdentity, type EventType, type RunEvent } from "../contracts/events.ts";
import type { Delay, StepCall, StepDone } from "../contracts/activities.ts";
import type { JsonObject } from "../contracts/json.ts";
import type { Record } from "./record.ts";

/** A start is told by itself only when the work takes longer than this; otherwise together with its end. */
const tellStartAfterMs = 50;

/** Tells a run's log of one step: what the walk gave along, its start, its end. */
export class Teller {
  readonly #type: string;
  readonly #call: StepCall<unknown>;
  readonly #record: Record;
  readonly #startedAt = Date.now();
  #timer: NodeJS.Timeout | undefined;
  #started: Promise<unknown> | undefined;
  /** The log has the beginning: nothing of it need be told again. */
  #isBegun = false;

  constructor(type: string, call: StepCall<unknown>, record: Record) {
    this.#type = type;
    this.#call = call;
    this.#record = record;
  }

  startSoon(): void {
    // Lost when Postgres is away: the end tells it again.
    const tell = (): void => void (this.#started = this.#begin().catch(() => undefined));
    this.#timer = setTimeout(tell, tellStartAfterMs);
  }

  /** Whether the log did not know it yet. */
  async end(done: StepDone): Promise<boolean> {
    clearTimeout(this.#timer);
    const data = { durationMs: Date.now() - this.#startedAt, ...(done as unknown as JsonObject) };
    return this.#append([...this.#beginning(), ...this.#own("step.completed", Date.now(), data)]);
  }

  /** What has not begun is not told to have. */
  async delay({ for: what, ms }: Delay): Promise<void> {
    clearTimeout(this.#timer);
    const now = Date.now();
    const until = new Date(now + ms).toISOString();
    await this.#append([...this.#call.carried, ...this.#own("wait.started", now, { for: what, until }, now)]);
  }

  /** What the walk gave along, alone. */
  async carry(): Promise<void> {
    await this.#append(this.#call.carried);
  }

  /** What was decided before the end. */
  async note(kind: EventType, ordinal: number, data: JsonObject): Promise<void> {
    await this.#append([...this.#beginning(), ...this.#own(kind, Date.now(), data, ordinal)]);
  }

  async settle(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#started;
  }

  async #begin(): Promise<void> {
    await this.#append(this.#beginning());
    this.#isBegun = true;
  }

  #beginning(): RunEvent[] {
    if (this.#isBegun) return [];
    return [...this.#call.carried, ...this.#own("step.started", this.#startedAt, {})];
  }

  /** Nothing when only the run's own ends are recorded. */
  #own(kind: EventType, time: number, data: JsonObject, ordinal = 0): RunEvent[] {
    const { path, attempt, record } = this.#call;
    if (record === "ends") return [];
    return [
      { identity: eventIdentity(kind, path, attempt, ordinal), type: kind, time, step: path, data: { type: this.#type, attempt, ...data } },
    ];
  }

  async #append(events: RunEvent[]): Promise<boolean> {
    return events.length === 0 || (await this.#record.append(this.#call.run, events)).isNew;
  }
}
