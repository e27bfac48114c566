import { eventIdentity, type EventType, type RunStatus } from "../contracts/events.ts";
import { limits } from "../contracts/limits.ts";
import type { JsonObject } from "../contracts/json.ts";
import type { RunEvent } from "../contracts/events.ts";
import type { RunKey, RunRef } from "../contracts/activities.ts";
import type { Plan, StepType } from "../language/plan.ts";
import type { Inspector } from "./inspector.ts";
import { Lane, Outbox } from "./outbox.ts";
import type { Port } from "./port.ts";

/** What lists and filters see of a run that is under way. */
export interface State {
  status: RunStatus;
  approvals: number;
  /** Steps that wait for somebody to see to them. */
  parked?: string[];
}

/** What the next execution of the run must know of what was told. */
export interface JournalState {
  ordinals: [EventType, number][];
  told: State;
}

/** What an event is about: absent = the run itself. */
export interface About {
  path: string;
  lane: Lane;
  attempt?: number;
  /** Tells apart events of one type within one attempt. */
  ordinal?: number;
}

/**
 * What happens only inside the walk, on its way to the run's log. Calls carry it (`carry`, `acknowledge`);
 * when nothing is about to leave, it is flushed by itself.
 */
export class Journal {
  readonly root = new Lane();
  readonly #outbox = new Outbox();
  readonly #run: RunRef;
  readonly #port: Port;
  readonly #isTerse: boolean;
  readonly #ordinals: Map<EventType, number>;
  #queued: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  #told: State;
  #isAppending = false;
  #isUrgent = false;
  #isClosed = false;
  #isKnown: boolean;

  constructor(run: RunRef, port: Port, { record, state }: { record?: Plan["record"]; state?: JournalState | undefined }) {
    this.#run = run;
    this.#port = port;
    this.#isTerse = record === "ends";
    this.#isKnown = state !== undefined;
    this.#ordinals = new Map(state?.ordinals);
    this.#told = state?.told ?? { status: "running", approvals: 0 };
  }

  state(): JournalState {
    return { ordinals: [...this.#ordinals], told: this.#told };
  }

  /** The state that was told last. */
  get told(): State {
    return this.#told;
  }

  /** Everything told is in the record. */
  get isEmpty(): boolean {
    return this.#outbox.size === 0 && !this.#isAppending;
  }

  tell(type: EventType, about: About | undefined, data: JsonObject): void {
    if (this.#isTerse && isDetail(type, data)) return;
    const event: RunEvent = {
      identity: eventIdentity(type, about?.path, about?.attempt, about ? about.ordinal : this.#nextOrdinal(type)),
      type,
      time: this.#port.now(),
      ...(about ? { step: about.path } : {}),
      data: about?.attempt === undefined ? data : { attempt: about.attempt, ...data },
    };
    this.#outbox.add(event, about?.lane ?? this.root);
    // At once: when the pause is over before anybody looks, what the run does then must be told again.
    if (type === "run.paused") this.#mark({ ...this.#told, status: "paused" });
    if (this.#outbox.size >= limits.outboxEventsMax) void this.flush();
  }

  /** What was told shall be in the record soon, also while calls are under way: somebody outside waits for it. */
  hurry(): void {
    this.#isUrgent = true;
  }

  /** The events a call takes along. They stay in the outbox until the call's end acknowledges them. */
  carry(lane: Lane): RunEvent[] | Promise<RunEvent[]> {
    return this.#outbox.carriedBy(lane) ?? this.drain().then(() => []);
  }

  acknowledge(events: RunEvent[]): void {
    this.#isKnown ||= events.some(({ type }) => type === "run.started");
    this.#outbox.acknowledge(events);
    if (this.#outbox.size === 0) this.#isUrgent = false;
  }

  /** The run for whoever appends: in full until the log has taken its first event. */
  get reference(): RunRef | RunKey {
    const { tenant, id } = this.#run;
    return this.#isKnown ? { tenant, id } : this.#run;
  }

  /** Run in a lane of its own, below `parent`. */
  async inLane<T>(parent: Lane, run: (lane: Lane) => Promise<T>): Promise<T> {
    const lane = new Lane(parent);
    try {
      return await run(lane);
    } finally {
      this.#outbox.mergeInto(parent, lane);
    }
  }

  /** Append all that was told so far. Callers of one moment share one append. */
  flush(): Promise<void> {
    // One that has not begun will take these events too; one that has begun will not.
    this.#queued ??= this.#last = this.#last.then(() => {
      this.#queued = undefined;
      return this.#append();
    });
    return this.#queued;
  }

  /** Append until nothing is pending. */
  async drain(): Promise<void> {
    while (this.#outbox.size > 0) await this.flush();
  }

  /** Tell changes of the run's state and show them to people, at quiet moments, until `close`. */
  async watch(seen: () => State, inspector: Inspector): Promise<void> {
    const state = (): State => {
      const now = seen();
      return now.status === "needs_attention" && now !== this.#told ? { ...now, parked: inspector.parked() } : now;
    };
    for (;;) {
      const isLeft = (): boolean => (inspector.isAtRest || this.#isUrgent) && this.#outbox.size > 0 && !this.#isAppending;
      // Shown while it looks: to go on costs the workflow thread more than anything that is told here.
      const look = (): boolean => {
        const now = state();
        if (inspector.isDirty) inspector.show(now.status);
        return this.#isClosed || this.#differs(now) || isLeft();
      };
      await this.#port.until(look);
      if (this.#isClosed) return;
      const now = state();
      if (this.#differs(now)) this.#tellState(now, inspector);
      // No call will take along what was told: it goes by itself.
      if (isLeft()) void this.flush();
    }
  }

  /** No more watching. Lists must not show an ended run as waiting; one that was only ever running needs no event for that. */
  close(status: RunStatus): void {
    this.#isClosed = true;
    if (areDifferent(this.#listed(this.#told), { status: "running", approvals: 0 })) this.#port.mark({ status, approvals: 0 });
  }

  #differs(state: State): boolean {
    return areDifferent(state, this.#told) || String(state.parked ?? "") !== String(this.#told.parked ?? "");
  }

  #tellState(state: State, inspector: Inspector): void {
    const { status } = state;
    const { status: before, parked: known = [] } = this.#told;
    this.#mark(state);
    // Somebody who has been told of one step does not know of the next.
    if (status === before && !state.parked?.some((path) => !known.includes(path))) return;
    // Pausing has told its own event.
    if (status === "running") return this.tell("run.running", undefined, {});
    if (status === "queued") this.tell("run.queued", undefined, { for: inspector.waits() });
    if (status === "waiting") this.tell("run.waiting", undefined, { for: inspector.waits() });
    if (status !== "needs_attention") return;
    this.hurry();
    // The run that it is part of needs it as well, and tells whoever is to be told.
    const within: JsonObject = this.#run.isWindow ? { isWindow: true } : {};
    this.tell("run.needs_attention", undefined, { steps: inspector.parked(), for: inspector.waits(), ...within });
  }

  #mark(state: State): void {
    const before = this.#listed(this.#told);
    this.#told = state;
    const now = this.#listed(state);
    if (areDifferent(now, before)) this.#port.mark(now);
  }

  /** What Temporal's lists show. A change costs its server about half of what a step does: a terse run that waits runs on there. */
  #listed({ status, approvals }: State): State {
    return { status: this.#isTerse && status === "waiting" ? "running" : status, approvals };
  }

  async #append(): Promise<void> {
    const events = this.#outbox.batch();
    if (events.length === 0) return;
    this.#isAppending = true;
    this.#isUrgent = false;
    await this.#port.record(this.#run, events);
    this.#isAppending = false;
    this.acknowledge(events);
  }

  #nextOrdinal(type: EventType): number {
    const ordinal = this.#ordinals.get(type) ?? 0;
    this.#ordinals.set(type, ordinal + 1);
    return ordinal;
  }
}

const areDifferent = (one: State, other: State): boolean => one.status !== other.status || one.approvals !== other.approvals;

/** What a run with `record: ends` does not tell. The end of a wait closes what its start opened. */
function isDetail(type: EventType, { type: stepType }: JsonObject): boolean {
  return details.has(type) && (type === "step.started" || !waits.has(stepType as StepType));
}

const details = new Set<EventType>(["step.started", "step.completed", "step.skipped", "step.canceled", "branch.taken"]);
const waits = new Set<StepType>(["wait", "listen", "approval"]);
