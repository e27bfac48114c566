import type { JsonObject } from "./json.ts";

export const runStatuses = [
  "queued",
  "running",
  "waiting",
  "paused",
  "needs_attention",
  "completed",
  "completed_with_errors",
  "failed",
  "timed_out",
  "canceled",
  "terminated",
] as const;
export type RunStatus = (typeof runStatuses)[number];

export const terminalStatuses = ["completed", "completed_with_errors", "failed", "timed_out", "canceled", "terminated"] as const;
export type TerminalStatus = (typeof terminalStatuses)[number];

export const isTerminal = (status: string): status is TerminalStatus => (terminalStatuses as readonly string[]).includes(status);

export const stepStatuses = [
  "running",
  "waiting",
  "needs_attention",
  "completed",
  "completed_with_errors",
  "failed",
  "skipped",
  "canceled",
  "reused",
  "compensated",
] as const;
export type StepStatus = (typeof stepStatuses)[number];

/** Every type an event of a run can have, with what its `data` holds. */
export const eventTypes = {
  "run.started":
    "workflow, version, input (or its reference), parentId; retryOf or forkOf: the run it goes on from, vars: given by hand, undone: how often steps were undone before, `each[0-199].pay` for many at once, budgetRoot: the run whose budgets it goes on with, where that is not the root of its keys, reexecuteEffects: a fork does again what its origin has done outside",
  "run.queued": "for: the concurrency key that has no free place",
  "run.running": "the run works again after waiting, a pause or needed attention",
  "run.waiting": "for: step paths that wait, each with what it waits for",
  "run.paused": "by, holds: everything that holds the run now; frozenMs: how long its time stood still, when it goes on",
  "run.resumed": "by; frozenMs: how long its time stood still",
  "run.needs_attention": "steps: paths that a person must retry, skip or fail; for: as in run.waiting",
  "plan.changed": "by, kind (patch, migrate), version, planHash, from: version and planHash before, change: its id, requestId",
  "plan.refused": "by, kind, version, planHash, change, requestId, refusals: paths that had started, each with why",
  "run.completed": "output (or its reference)",
  "run.completed_with_errors": "output (or its reference), errors: problems of steps that were let pass",
  "run.failed": "error: the problem",
  "run.canceled": "reason",
  "run.timed_out": "written by reconcile",
  "run.terminated": "written by reconcile: reason",
  "step.started": "type, attempt",
  "step.completed":
    "durationMs, output (or its reference), usage; reusedFrom: the origin that had done it outside; exports: variables set by it or inside it, unless it is a call",
  "step.failed": "error: the problem, attempt; letPass: by `onError: continue`",
  "step.skipped": "why: `if` was false, or a person skipped it",
  "step.canceled": "the scope was left or the run canceled",
  "step.retrying": "error: the problem; at: when the step is tried again",
  "compensation.registered":
    "the step can be undone from now on; names, steps: what its `compensate` reads; undone: how often it had been undone before",
  "step.compensated": "the step was undone; undone: how often by now",
  "compensation.failed": "error: the problem; the step could not be undone",
  "step.reused": "type, status it ended with; runId: the run that performed it, or output: put in by hand; exports",
  "step.parked": "error: the problem; a person must say retry, skip or fail, of `effect_unknown` also take",
  "step.attended": "action, by",
  "branch.taken": "name of the case, or null when none matched",
  "wait.started": "until (time); for: what a call of a model waits for before it begins",
  "listen.started": "events, until",
  "listen.ended": "why: its time has passed, or the stream's `until` was true",
  "event.kept": "event, id, at, data: nobody takes it yet; heardBy: the step that had taken it in the run that this one goes on from",
  "event.received": "event, id, at, data, waitsFor: events that the step still waits for",
  "event.refused": "event, id: it came by signal and the mailbox was full",
  "message.sent": "id, correlationId, to, messageType; until: how long its answer is waited for",
  "event.emitted": "event, to; without `to` runs: how many got it",
  "agent.handed_over": "from, to: agents; reason, as the model gave it",
  "guardrail.decided": "rule, on, tool, outcome (retry, raise, fix, human), why: what a guardrail did not let pass as it was",
  "approval.requested": "id, title, payload, payloadHash, assignees, quorum, editable, form, expiresAt",
  "approval.voted": "decision, by, at, comment, data, payloadHash, votes: all that count; payload: when it was edited",
  "approval.reminded": "count, assignees",
  "approval.escalated": "to, assignees: who may decide now",
  "approval.decided": "decision, by, comment, data",
  "approval.expired": "at",
  "child.started": "runId, workflow, parentClosePolicy",
  "child.kept": "runId of the origin's child: reused with its step, or what the step's child will go on from",
} as const;
export type EventType = keyof typeof eventTypes;

/**
 * What a run's log is made of before Postgres numbers it.
 * `identity` is equal whenever the same thing is told again (retry, replay, a carried copy): the log keeps the first.
 */
export interface RunEvent {
  identity: string;
  type: EventType;
  /** Milliseconds since 1970 of whoever did the work. */
  time: number;
  /** Step path. */
  step?: string;
  data: JsonObject;
}

/** The same event for any teller: (step path, attempt, type, ordinal); the run is the log's own. */
export const eventIdentity = (type: EventType, step = "", attempt = 1, ordinal = 0): string => `${step}#${attempt}/${type}/${ordinal}`;
