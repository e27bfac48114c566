import type { Outgoing } from "../contracts/agent-messages.ts";
import type { AgentOrder, Approved, Settled } from "../contracts/agent-task.ts";
import type {
  Activities,
  BriefedStep,
  LeftByWindow,
  Listed,
  ListRequest,
  RunRef,
  ShortCalls,
  StepCall,
  StepDone,
} from "../contracts/activities.ts";
import type { BudgetRef, Raise } from "../contracts/budgets.ts";
import type { Counts } from "../contracts/counts.ts";
import type { LockKind } from "../contracts/ids.ts";
import type { LockAsk } from "../contracts/locks.ts";
import type { Holds } from "../contracts/holds.ts";
import type { ExternalEvent, Origin, RunPart, WindowHears, WindowSays } from "../contracts/messages.ts";
import type { Json, JsonObject, JsonSchema } from "../contracts/json.ts";
import type { Problem } from "../contracts/faults.ts";
import type { RunEvent, RunStatus } from "../contracts/events.ts";
import type { CallOptions, Template } from "../language/plan.ts";
import type { Scope } from "./scope.ts";

/** Steps that our own workers perform and record. */
export type CallKind = "llm" | "think" | "tool" | "http";

export interface CallRequest {
  kind: CallKind;
  /** The arguments of that activity, whatever its fields. */
  call: Parameters<Activities[CallKind]>[0] | StepCall<unknown>;
  options: CallOptions;
  /** `options.fairnessKey`, filled. */
  fairnessKey?: string;
  /** Shown in the Temporal Web UI. */
  summary: string;
  next?: NextCalls;
}

/** Calls of the steps right after one, which may be made with it. */
export interface NextCalls {
  calls: ShortCalls;
  /** From now on the first so many may have been made. */
  begin(count: number): void;
  /** The first so many have been made, the others have not. Never called: nobody knows. */
  made(count: number): void;
}

export interface ForeignRequest {
  activity: string;
  taskQueue?: string;
  arguments: Json[];
  path: string;
  attempt: number;
  options: CallOptions;
  fairnessKey?: string;
  summary: string;
}

export interface ChildRequest {
  id: string;
  workflow: string;
  version?: string;
  input: Json;
  origin?: Origin;
  planHash?: string;
  effectRoot?: string;
  path: string;
  await: boolean;
  summary: string;
  /** The child walks only these items of a `foreach`. */
  part?: RunPart;
  /** Of a part. */
  undone?: Counts;
  /** An execution before this one has started it: only its end is awaited. */
  isStarted?: boolean;
  /** What it may spend. */
  budgets?: readonly BudgetRef[];
  /** The published agent whose model has asked for it. */
  agent?: string;
  /** What holds it from its start on. */
  word?: Holds;
}

export interface LockRequest {
  kind: LockKind;
  key: string;
  /** For what it is asked; with the run it makes asking twice asking once. */
  ticket: string;
  limit: number;
  onLimit: LockAsk["onLimit"];
  path: string;
}

export interface RaiseRequest {
  path: string;
  by: string;
  raises: Raise[];
  /** The question's payload as it was approved, or its reference. */
  approved: Json;
  /** How long it took: wall time that nobody has used. */
  waitedMs: number;
}

export interface BroadcastRequest {
  event: ExternalEvent;
  path: string;
  attempt: number;
  summary: string;
}

/**
 * All that the walk needs from the world. On Temporal it is `temporal-port.ts`; a plain test brings its own.
 *
 * Every method rejects with `Fault` for an expected error and with `Canceled` when `scope` was cancelled;
 * a cancelled call is awaited to its end before that, so that nothing runs on behind a scope that was left.
 */
export interface ChildWatch {
  /** The child exists; from then on it is found by its id. */
  started(): void;
  /** It has ended, well or badly. */
  ended(left: ChildLeft): void;
}

/** Of a child, what may count in its parent, too. */
export interface ChildLeft {
  spent: Json | undefined;
  /** Of one that ended well, those that it let pass. */
  errors?: readonly Problem[] | undefined;
}

export interface Port {
  /** Milliseconds since 1970, equal in every replay. */
  now(): number;
  uuid(): string;
  call(request: CallRequest, scope: Scope): Promise<StepDone>;
  /** The result of a call that was made with the one before it, once; one that has failed is asked for as any other. */
  made(call: Pick<StepCall<unknown>, "path" | "attempt">): StepDone | undefined;
  foreign(request: ForeignRequest, scope: Scope): Promise<Json>;
  child(request: ChildRequest, scope: Scope, told: ChildWatch): Promise<Json>;
  /** Tell a child run what holds it now; nothing happens when it has ended. */
  hold(id: string, holds: Holds): Promise<void>;
  /** How long people were asked in runs that the task has started since then; resolves when nobody is. */
  peopleAsked(task: { path: string; since: number }, scope: Scope): Promise<number>;
  /** Say something to the run that this one is a window of; durable once resolved. Gives whether it is there. */
  toParent(says: WindowSays): Promise<boolean>;
  /** Say something to a window; nothing happens when it has ended. */
  toWindow(id: string, hears: WindowHears): Promise<void>;
  /** Ask a child run to stop; nothing happens when it has ended. */
  cancelChild(id: string): Promise<void>;
  sleep(ms: number, summary: string, scope: Scope): Promise<void>;
  /** Resolves in another workflow task; nothing cancels it. */
  nextTask(): Promise<void>;
  /** Resolves at a quiet moment (nothing left to do right now) at which the predicate holds. */
  until(predicate: () => boolean): Promise<void>;
  /** Send an event to another run of the tenant; durable once resolved. */
  send(run: string, event: ExternalEvent, scope: Scope): Promise<void>;
  /** Ask for a lock: true = held, false = in line. Fault `lock` or `concurrency` when refused. */
  acquire(request: LockRequest, scope: Scope): Promise<boolean>;
  /** Resolves when it is our turn after waiting in line. */
  turn(request: LockRequest, scope: Scope): Promise<void>;
  /** Give a lock back, or leave its line. */
  release(request: LockRequest): Promise<void>;
  /** Send an event to all runs of the tenant that wait for one of its name; gives how many got it. */
  broadcast(request: BroadcastRequest, scope: Scope): Promise<number>;
  /** Send a message; it is on its way once this resolves. */
  message(outgoing: Omit<Outgoing, "tenant" | "run">, path: string): ReturnType<Activities["sendMessage"]>;
  record(run: RunRef, events: RunEvent[]): Promise<void>;
  /** From here on `path` is whose step asks: people see it beside the event. */
  store(value: Json, path: string): Promise<Json>;
  evaluate(template: Template, read: { roots: JsonObject; steps: JsonObject }, path: string): Promise<Json>;
  list(request: ListRequest, path: string): Promise<Listed>;
  /** What a window that has ended leaves to this run; null when it has left no trace. `undone`: what this run knows of its items. */
  left(window: { id: string; path: string; undone: Counts }): Promise<LeftByWindow | null>;
  /** A stored list, as it is: references inside it stay. */
  page(reference: Json, path: string): Promise<Json>;
  /** One value of many pages of a list, or of parts of an object. */
  concat(pages: Json[], path: string): Promise<Json>;
  /** Raise budgets as a person has approved, and let who waits for them elsewhere try again. */
  raise(request: RaiseRequest): Promise<void>;
  /** Settle and store what an agent gets in each turn. */
  brief(order: AgentOrder, step: Omit<BriefedStep, "runId">): Promise<Settled>;
  /** Whether an agent may begin a call. Fault `agent_state`. */
  admit(agent: string, path: string): Promise<void>;
  validate(schema: JsonSchema, value: Json, path: string): Promise<Problem | null>;
  /** Add to the thread of an agent's task what people have let pass. */
  exchange(approved: Approved, path: string): Promise<void>;
  /** Show the run to people; costs nothing. */
  show(markdown: string): void;
  /** Where the Temporal Web UI shows a run, as a link in what `show` shows. */
  pageOf(run: string): string;
  /** Where it shows the first event of what this execution asks for now. */
  pageOfNow(): string;
  /** A coarse change of state that lists and filters see. */
  mark(change: { status: RunStatus; approvals: number }): void;
  /** The history of this execution so far. When it has become long, the run should go on in another. */
  history(): { events: number; bytes: number; isLong: boolean };
  /** No message to the run is being answered. */
  isUnattended(): boolean;
}
