import type { Trial } from "./trial.ts";

/** A worker that is gone is noticed after 2 s: a trial need not wait for the usual 15. */
export const noticedSoon = { heartbeat: "2s", retry: { maxAttempts: 20, initialInterval: "20ms", maxInterval: "200ms" } };

const idOf = (path: string): string => path.split(".").at(-1)!;

/** A call by an `http` step. */
export const call = (trial: Trial, path: string, more: object = {}): object => ({
  id: idOf(path),
  type: "http",
  method: "POST",
  url: trial.url(path),
  // It knows keys, as the invariants do.
  idempotent: true,
  ...more,
});

/** A call by a tool: it can be held before the call, during it, and after it. */
export const toolCall = (trial: Trial, path: string, more: object = {}): object => ({
  id: idOf(path),
  type: "tool",
  tool: "chaos.call",
  arguments: { url: trial.url(path) },
  ...more,
});

/** A run of about a second with all that a fault can hit: calls one by one and beside each other, a timer, the walk's own events. */
export const ordinary = (trial: Trial): object[] => [
  call(trial, "a"),
  { id: "pause", type: "wait", duration: "300ms" },
  {
    id: "p",
    type: "parallel",
    branches: { left: [call(trial, "p.left.x")], right: [toolCall(trial, "p.right.y")] },
  },
  { id: "s", type: "switch", cases: [{ name: "yes", when: "${true}", steps: [call(trial, "s.yes.z")] }] },
  call(trial, "b"),
];
