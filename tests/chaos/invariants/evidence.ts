import type { RunStatus, StepStatus } from "../../../contracts/events.ts";

/** Everything that is known of one trial when it is over; what the invariants judge. */
export interface Evidence {
  starts: Start[];
  answers: Answered[];
  requests: Effect[];
  rows: Row[];
  steps: StepRow[];
  events: EventRow[];
  executions: Execution[];
  cancels: Cancel[];
  /** Factor on the times by which something must have happened. */
  patience: number;
}

/** A run that was asked for. */
export interface Start {
  /** The id that its Idempotency-Key gives it, whether or not an answer came. */
  run: string;
  isAccepted: boolean;
  /** How it ends when all is well; absent: any end will do. */
  ends?: RunStatus;
}

/** How one request to the API ended. */
export interface Answered {
  what: string;
  ms: number;
  /** `refused`: nobody listened. `cut`: the connection broke. `late`: the client gave up. */
  status: number | "refused" | "cut" | "late";
  isProblem: boolean;
}

/** A request that the outside got. */
export interface Effect {
  run: string;
  /** Step path. */
  step: string;
  key: string;
  time: number;
}

export interface Row {
  run: string;
  status: RunStatus;
  parent: string | null;
  forkOf: string | null;
  waitingFor: unknown;
}

export interface StepRow {
  run: string;
  path: string;
  status: StepStatus;
  /** The run whose result it took. */
  reusedFrom: string | null;
}

export interface EventRow {
  run: string;
  seq: number;
  type: string;
  step: string | null;
  time: number;
}

/** A run as Temporal knows it. */
export interface Execution {
  run: string;
  status: RunStatus;
}

export interface Cancel {
  run: string;
  /** When the API had answered. */
  time: number;
}

/** What is broken, a sentence each; none when the invariant holds. */
export type Invariant = (evidence: Evidence) => string[];

export function groupBy<Item>(items: Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
