import type { Json, JsonObject } from "../contracts/json.ts";

export const workloadNames = ["W1", "W2", "W3"] as const;
export type WorkloadName = (typeof workloadNames)[number];

/** Task queue of the hand-written side: its workflows, and its activity for whoever calls it. */
export const handWrittenQueue = "bench-hand-written";

export interface Workload {
  /** Also of the workflow in hand-written.ts. */
  name: string;
  title: string;
  /** Steps that call out, per run. */
  steps: number;
  /** The run waits for the event `go`. */
  isSignalled: boolean;
  /** Runs per mode and round. */
  runs: { oneByOne: number; together: number };
  /** The definition's steps, made of the given no-op. */
  stepsOf(noop: JsonObject): Json[];
}

/** The same work as the workflow of that name in hand-written.ts. */
export const workloads: Record<WorkloadName, Workload> = {
  W1: {
    name: "W1",
    title: "12 no-op steps, one after the other",
    steps: 12,
    isSignalled: false,
    runs: { oneByOne: 10, together: 40 },
    stepsOf: (noop) => inOrder(12, noop),
  },
  W2: {
    name: "W2",
    title: "fan-out of 50 no-op steps, join",
    steps: 50,
    isSignalled: false,
    runs: { oneByOne: 8, together: 20 },
    stepsOf: (noop) => [{ id: "all", type: "foreach", items: "${range(50)}", concurrency: 50, steps: inOrder(1, noop) }],
  },
  W3: {
    name: "W3",
    title: "wait for a signal, then 2 no-op steps",
    steps: 2,
    isSignalled: true,
    runs: { oneByOne: 10, together: 40 },
    stepsOf: (noop) => [{ id: "told", type: "listen", one: { event: "go" } }, ...inOrder(2, noop)],
  },
};

/** W1 that stays when its steps are done. */
export const heldW1: Workload = {
  ...workloads.W1,
  name: "W1Held",
  stepsOf: (noop) => [...inOrder(12, noop), { id: "held", type: "listen", one: { event: "go" } }],
};

const inOrder = (count: number, noop: JsonObject): JsonObject[] =>
  Array.from({ length: count }, (_, index) => ({ id: `step${index + 1}`, ...noop }));
