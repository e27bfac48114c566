import type { Evidence } from "./evidence.ts";

/** One run of two calls that went well. */
export const wellRun = (): Evidence => ({
  starts: [{ run: "r", isAccepted: true, ends: "completed" }],
  answers: [{ what: "start 0", ms: 12, status: 202, isProblem: false }],
  requests: [
    { run: "r", step: "a", key: "r:a", time: 1_000 },
    { run: "r", step: "b", key: "r:b", time: 2_000 },
  ],
  rows: [{ run: "r", status: "completed", parent: null, forkOf: null, waitingFor: null }],
  steps: [
    { run: "r", path: "a", status: "completed", reusedFrom: null },
    { run: "r", path: "b", status: "completed", reusedFrom: null },
  ],
  events: [
    { run: "r", seq: 1, type: "run.started", step: null, time: 900 },
    { run: "r", seq: 2, type: "step.completed", step: "a", time: 1_100 },
    { run: "r", seq: 3, type: "step.completed", step: "b", time: 2_100 },
    { run: "r", seq: 4, type: "run.completed", step: null, time: 2_200 },
  ],
  executions: [{ run: "r", status: "completed" }],
  cancels: [],
  patience: 1,
});
