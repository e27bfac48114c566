import type { Json } from "./json.ts";
import type { Problem } from "./faults.ts";
import type { RunStatus, StepStatus } from "./events.ts";

/** Names and shapes of what can be said to a running workflow. Plain data, so that both ends may import it. */

export const workflowTypes = { run: "run", maintenance: "maintenance" } as const;

/** The only argument of workflow type `run`. */
export interface RunArguments {
  tenant: string;
  id: string;
  /** The compiled Plan; absent in a child run, which loads it in its first local activity. */
  plan?: Json;
  workflow: string;
  version?: string;
  input: Json;
  /** Allow-listed environment, frozen at start. */
  env: Record<string, string>;
  startedBy: string;
  parentId?: string;
  /** Depth below the run that was started over HTTP. */
  depth: number;
  /** Root of the idempotency keys; a retry or fork keeps its origin's. */
  effectRoot?: string;
  /** The run whose finished steps this one takes over. */
  origin?: Origin;
  /** When the run was started: known to the executions that go on with it. */
  startedAt?: number;
  /** Go on in a new execution after so many history events, whatever the server suggests; for tests. */
  continueAfterEvents?: number;
}

/** A retry or fork: which run it continues, and what of it is not taken over. */
export interface Origin {
  run: string;
  kind: "retry" | "fork";
  /** Step paths whose results are dropped, with everything inside them and everything that may depend on them. */
  from?: string[];
  /** Variables and outputs of steps that stand in for those of the origin. */
  vars?: { [name: string]: Json };
  steps?: { [path: string]: Json };
}

export interface RunResult {
  status: "completed" | "completed_with_errors" | "failed" | "canceled";
  /** May be a reference. */
  output: Json;
  errors?: Problem[];
}

/** Who asks. Checked by the API, bound to the decision in the run's log. */
export interface Principal {
  name: string;
  kind: "person" | "service" | "agent";
  roles: string[];
}

export interface ExternalEvent {
  event: string;
  data: Json;
  /** The same id counts once. */
  id: string;
  at: number;
}

export const updates = {
  signal: "signal",
  pause: "pause",
  resume: "resume",
  decide: "decide",
  attend: "attend",
  changePlan: "changePlan",
} as const;

export interface UpdateArguments {
  signal: ExternalEvent;
  pause: { by: string };
  resume: { by: string };
  decide: { path: string; decision: "approve" | "reject"; payloadHash?: string; data?: Json; comment?: string; by: Principal };
  attend: { path: string; action: "retry" | "skip" | "fail"; by: string };
  /** The run goes on with this plan once nothing but waits is open. */
  changePlan: { plan: Json; kind: "patch" | "migrate"; by: string };
}

/** One person's answer to an approval. */
export type Vote = { by: string; decision: "approved" | "rejected"; at: string; comment: string | null };

/** What `decide` answers: how the approval stands after the vote. */
export interface Voted {
  status: "pending" | "approved" | "rejected";
  votes: Vote[];
}

/** Sent by other runs (`emit`); durable also when no worker runs. */
export const signals = { deliver: "deliver" } as const;

export const queries = { state: "state", planRefusals: "planRefusals" } as const;

/** Answer of the `state` query: what the walk itself knows. */
export interface RunState {
  status: RunStatus;
  steps: { path: string; type: string; status: StepStatus }[];
  waitingFor: { path: string; for: string }[];
}

/** Redis channel that says "the run's log has grown"; the message is the last seq. Readers then read Postgres. */
export const runChannel = (run: string): string => `tenuto:run:${run}`;
