import type { Counts } from "./counts.ts";
import type { Json, JsonObject } from "./json.ts";
import type { BudgetRef } from "./budgets.ts";
import { isTerminal, type RunStatus, type StepStatus } from "./events.ts";
import type { Holds, Timers } from "./holds.ts";

/** Names and shapes of what can be said to a running workflow. Plain data, so that both ends may import it. */

export const workflowTypes = {
  run: "run",
  maintenance: "maintenance",
  lock: "lock",
  fire: "fire",
  spreadPause: "spreadPause",
  notice: "notice",
  delivery: "delivery",
  mailbox: "mailbox",
  embed: "embed",
} as const;

/** A search among an agent's memories; the only argument of workflow type `embed`. */
export interface MemorySearch {
  tenant: string;
  agent: string;
  text: string;
}

/** What a text means to a model; what workflow type `embed` gives, or null. */
export interface Meaning {
  /** `provider/model` */
  model: string;
  vector: number[];
}

/** Events of a run's log that a person must know of. */
export const noticed = ["run.needs_attention", "approval.requested", "approval.reminded", "approval.escalated"] as const;

/** A person is needed; the only argument of workflow type `notice`, and what is sent out. */
export interface Notice {
  type: (typeof noticed)[number] | "workflow.paused";
  tenant: string;
  /** ISO 8601 */
  at: string;
  /** Path of the API, and where there is one the page in the Temporal Web UI. */
  links: { self: string; temporal?: string };
  /** Of a run: its id, and what it needs, by step, or who is asked what; of a workflow: its name, and why it was paused. */
  data: JsonObject;
}

/** The only argument of workflow type `run`. */
export interface RunArguments {
  tenant: string;
  id: string;
  /** `ENGINE_VERSION` of who started the run, or its tree's. */
  engine: number;
  /** The compiled Plan; absent in a child run, which loads it in its first local activity. */
  plan?: Json;
  workflow: string;
  version?: string;
  /** Of a child that goes on from another: the very Plan that one walked. */
  planHash?: string;
  input: Json;
  /** Allow-listed environment, frozen at start. */
  env: Record<string, string>;
  startedBy: string;
  parentId?: string;
  /** Depth below the run that was started over HTTP. */
  depth: number;
  /** Root of the idempotency keys; a retry keeps its origin's. */
  effectRoot?: string;
  /** Root of its budgets' scopes, where it is another: a retry or fork keeps its origin's. */
  budgetRoot?: string;
  /** The run walks only these items of a `foreach` of its parent's plan. */
  part?: RunPart;
  /** How often steps of the part's items were undone before. */
  undone?: Counts;
  /** The run whose finished steps this one takes over. */
  origin?: Origin;
  /** When the run was started: known to the executions that go on with it. */
  startedAt?: number;
  /** What holds the run from its start on; absent when nothing does. */
  holds?: Holds[];
  /** Budgets of the runs above that its calls fall under. */
  budgets?: readonly BudgetRef[];
  /** Published agents whose models have asked for this run, or for one above it: while one of them is stopped, nothing begins here either. */
  agents?: readonly string[];
  /** Go on in a new execution after so many history events, whatever the server suggests; for tests. */
  continueAfterEvents?: number;
}

/** A window of a large `foreach`: a child run that does it for some of the items, at the paths they have in the parent. */
export interface RunPart {
  /** The `foreach`. */
  path: string;
  attempt: number;
  /** Number of the first item. */
  from: number;
  /** The items, or the reference of their list. */
  items: Json;
  concurrency: number;
  /** What the items' steps see of what encloses them. */
  names: JsonObject;
  steps: JsonObject;
  /** What around it may take an error, so that `onError` does not apply; absent: nothing. */
  takers?: PartTaker[];
  /** How often all of it was undone: what stands around it, added up. */
  undone?: number;
  /** It undoes a step: it asks nobody. */
  isUndoing?: true;
}

/** A handler around a part, and what its `when` reads. Without all of them: it takes whatever comes. */
export interface PartTaker {
  errors?: string[];
  when?: Json;
  as: string;
  names: JsonObject;
  steps: JsonObject;
}

/** A retry or fork: which run it continues, and what of it is not taken over. */
export interface Origin {
  run: string;
  kind: "retry" | "fork";
  /** Step paths (`call/child.step`: in a child) whose results are dropped, with everything inside them and everything that may depend on them. */
  from?: string[];
  /** Variables and outputs of steps that stand in for those of the origin. */
  vars?: { [name: string]: Json };
  steps?: { [path: string]: Json };
  /** Of a fork: what the origin has done outside is done again. */
  reexecuteEffects?: true;
}

/** The only argument of workflow type `fire`: what a schedule starts. Its input may be a reference. */
export interface FireArguments {
  tenant: string;
  schedule: string;
  workflow: string;
  version?: string;
  input: Json;
  priority?: number;
  fairnessKey?: string;
  /** The schedule in its maker's words, to be read back. */
  words: Json;
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
  /** Sent to all that wait for one of its name: most of them want another. */
  toAll?: true;
}

/** An event that nobody has taken yet. */
export interface UnreadEvent {
  event: ExternalEvent;
  /** In a run that goes on from another: the `listen` that had taken it there and did not end well. Nobody else gets it. */
  heardBy?: string;
}

/** An event that a window is shown, and when its run got it. */
export interface ShownEvent {
  event: ExternalEvent;
  /** Milliseconds since 1970 */
  at: number;
}

/** A step that waits for a person, and what it asks. */
export type ParkedStep = { path: string; type: string; for: string };

/** What a window of a `foreach` says to the run that it is part of. */
export interface WindowSays {
  window: string;
  /** Names of events that it waits for, from now on too; `isAnew`: and for no others. */
  listens?: string[];
  isAnew?: true;
  /** Ids of events that it was shown and would have. */
  claims?: string[];
  /** What it was granted and nobody there waits for any more. */
  returned?: ShownEvent[];
  /** All its steps that wait for a person. */
  parked?: ParkedStep[];
}

/** What a run says to one of its windows: events it may claim, ids of those that are its own now, and of those that are not. */
export interface WindowHears {
  shown?: ShownEvent[];
  granted?: string[];
  gone?: string[];
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
  /** `tree`: its children as well, deep, also those that it starts later. */
  pause: { by: string; scope: "run" | "tree"; timers: Timers; why?: string };
  resume: { by: string; scope: "run" | "tree" };
  decide: { path: string; decision: "approve" | "reject"; payloadHash?: string; data?: Json; comment?: string; by: Principal };
  /** `take`: what the step asked about has happened, and gave `result`. */
  attend: { path: string; action: "retry" | "skip" | "fail" | "take"; by: string; result?: Json };
  /**
   * The run goes on with this plan once nothing but waits is open. `id`: the same asked for again is not another; `of`: the hash of the plan
   * it was made of.
   */
  changePlan: { plan: Json; kind: "patch" | "migrate"; by: string; id?: string; of?: string; requestId?: string };
}

/** Answer of the `plan` query: what the run is to walk when all changes that it has taken in are made, and those that are not made yet. */
export interface PlanStanding {
  version: string;
  planHash: string;
  pending: { id: string; version: string; planHash: string }[];
}

/** One person's answer to an approval. */
export type Vote = { by: string; decision: "approved" | "rejected"; at: string; comment: string | null };

/** What `decide` answers: how the approval stands after the vote. */
export interface Voted {
  status: "pending" | "approved" | "rejected";
  votes: Vote[];
}

/**
 * `deliver`: an event of another run (`emit`). `lockAnswer`: by a lock that was asked. `hold`: what a source holds the run for. `fromWindow` and
 * `toWindow`: what windows and the run that they are part of say to each other. Durable also when no worker runs.
 */
export const signals = {
  deliver: "deliver",
  lockAnswer: "lockAnswer",
  hold: "hold",
  fromWindow: "fromWindow",
  toWindow: "toWindow",
} as const;

export const queries = { state: "state", planRefusals: "planRefusals", plan: "plan" } as const;

/** Answer of the `state` query: what the walk itself knows. */
export interface RunState {
  status: RunStatus;
  steps: { path: string; type: string; status: StepStatus }[];
  waitingFor: { path: string; for: string }[];
}

/** Redis channel that says "the run's log has grown"; each message is a `logNews`. Readers then read Postgres. */
export const runChannel = (run: string): string => `tenuto:run:${run}`;

export const logNews = (lastSeq: number, status: string): string => `${lastSeq} ${status}`;

/** Whether it is worth a look for who waits for the run's end: an older worker does not say how the run stands. */
export function mayHaveEnded(news: string): boolean {
  const [, status] = news.split(" ");
  return status === undefined || isTerminal(status);
}

/** Redis channel of what happens in a run and is not kept: each message is a `LiveHint`. */
export const liveChannel = (run: string): string => `tenuto:live:${run}`;

/** What a model is saying. `attempt`: rounds that a person asked for; `call`: which call of the step says it; `index`: from 0, without gap. */
export type LiveHint = { step: string; attempt: number; call: number } & (
  | { type: "model.delta"; index: number; kind: "text" | "thinking"; text: string }
  /** What calls before this one have said is no part of the answer. */
  | { type: "model.reset" }
);

/** The only argument of workflow type `spreadPause`: whose open runs are told what holds them now. */
export interface PausedScope {
  tenant: string;
  /** Absent: all of the tenant. */
  workflow?: string;
}
