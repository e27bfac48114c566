import type { Answer, Mail, OpenedMail, Outgoing, Party } from "./agent-messages.ts";
import type { AgentOrder, Approved, MemoryScope, Settled, ThinkFields } from "./agent-task.ts";
import type { BudgetLeft, BudgetRef, Raise } from "./budgets.ts";
import type { Counts } from "./counts.ts";
import type { Json, JsonObject, JsonSchema } from "./json.ts";
import type { RunEvent, StepStatus } from "./events.ts";
import type { Retry } from "./limits.ts";
import type { Problem } from "./faults.ts";
import type { GuardOrder } from "./guardrails.ts";
import type { Holds } from "./holds.ts";
import type { LockKind } from "./ids.ts";
import type { LockAsk } from "./locks.ts";
import type { Manner } from "./model-calls.ts";
import type { ExternalEvent, Meaning, MemorySearch, Notice, Origin, PausedScope } from "./messages.ts";
import type { RunResult } from "./run-end.ts";

/** Which run an activity works for. Enough to create the run's row when its first append finds none. */
export interface RunRef {
  tenant: string;
  id: string;
  workflow: string;
  version: string;
  planHash: string;
  /** Temporal's id of the first execution of the chain. */
  temporalRunId: string;
  startedAt: number;
  startedBy: string;
  parentId?: string;
  /** It does some items of a `foreach` for its parent. */
  isWindow?: true;
}

/** A run whose row is there: its log has taken the run's first event. */
export type RunKey = Pick<RunRef, "tenant" | "id">;

/** What every step activity gets beside its own fields. Each byte of it stands in the run's history, once per call. */
export interface StepCall<Fields> {
  run: RunRef | RunKey;
  path: string;
  /** Rounds a person asked for (`needs_attention` → retry); Temporal's own attempts are counted by Temporal. */
  attempt: number;
  /** There was an attempt before this one, beside the walk or before the call's turn; it may have been recorded. */
  again?: true;
  /** It goes on with what models have said since this attempt: only a budget has kept it from going on. */
  since?: number;
  /** The run that it tries again: what models have said to it there stands, as far as only a budget has kept it from going on. */
  retryOf?: string;
  /** `ends`: the step itself is not recorded. */
  record?: "ends";
  /** Equal for all attempts of the step, also in retries and forks of the run. */
  idempotencyKey: string;
  /** Events of the walk that no append has acknowledged yet; appended before this step's own. */
  carried: RunEvent[];
  /** Temporal does not tell its own copy to an activity that it starts eagerly. */
  retry: Retry;
  /** What `output` must look like; checked in the activity (fault `schema`, for `llm` repaired first). */
  outputSchema?: JsonSchema;
  /** What it may spend; absent: whatever it takes, as far as the definition says. */
  budgets?: readonly BudgetRef[];
  /** Agents that must be active for it to begin: whoever has had the run started. */
  agents?: readonly string[];
  /** A compiled expression over `output`: true = try again (content-based retry). */
  retryWhile?: Json;
  fields: Fields;
}

export interface StepDone {
  /** The step's output, or its reference when it is above `limits.inlineBytesMax`. */
  output: Json;
  usage?: Usage;
  /** The origin of a fork has done it: it is not this run's to undo. */
  reusedFrom?: string;
  /** It has not begun: the walk is to ask again after this. */
  delay?: Delay;
  /** What guardrails decided: shown in the Temporal Web UI. */
  guarded?: string[];
  /** What its run's budgets left after it: shown there, too. */
  budgets?: BudgetLeft[];
}

/** A short tool's call, and those of the steps right after it, which need nothing but what came before. */
export interface ShortCall {
  call: StepCall<ToolFields>;
  next?: ShortCalls;
}

export interface ShortCalls {
  /** The step that all of them come after. */
  after: string;
  /** In their order; `arguments` is the template of `fields.arguments`. */
  calls: { id: string; call: StepCall<Omit<ToolFields, "arguments">>; arguments: Json }[];
  /** What the templates read, apart from each other's results. May hold references. */
  roots: JsonObject;
  steps: JsonObject;
}

/** Of a short tool beside the walk; neither: it has given no answer. */
export interface ShortAnswer {
  done?: StepDone;
  /** `isFinal`: another attempt would not help. */
  failed?: { problem: Problem; isFinal: boolean; retryAfterMs: number };
  /** Of the steps after it, as many as have one. */
  next?: ShortAnswer[];
  /** As its activity's would be, when it is done: the history says which calls were made as one. */
  id?: string;
}

export interface Delay {
  /** What it waits for, in words. */
  for: string;
  ms: number;
  /** Of something that may never come: a step waits for it as long as all its attempts may take, and fails then. */
  isOutage?: true;
}

export interface Usage {
  model: string;
  inputTokens: number;
  outputTokens: number;
  /** null when the model's price is not known. */
  costUsd: number | null;
  calls: number;
  /** Of an agent: calls of tools that it asked for. */
  toolCalls?: number;
  /** An earlier answer stands for a call. */
  cached?: true;
}

/** A finished step: what the ledger keeps and later steps see. */
export interface Entry {
  status: StepStatus;
  output: Json;
  error?: Problem;
  usage?: Usage;
  exports: JsonObject;
  /** The log of the run it comes from does not know what the step exported: the walk works it out again, under what `exports` says. */
  lacksExports?: true;
  /** Of another run, and not met yet: its variables are to be set. */
  isTaken?: true;
  /** What it left to the scope around had not ended there. */
  hasRest?: true;
}

/** What it takes to undo a step later: where it stood, and what its `compensate` steps read of what they could see then. */
export interface Undo {
  path: string;
  attempt: number;
  names: JsonObject;
  steps: JsonObject;
  /** How often it had been undone when it was done. */
  undone?: number;
  /** The window whose item did it. */
  window?: string;
}

/** What it takes to undo what a window did: a list, or its reference. A window can have several. */
export interface UndoPage {
  /** The window's. */
  path: string;
  page: Json;
  /** The run that did it, for the next one to go on from; without it the window is done anew. */
  run?: string;
}

/** What a window leaves to the run it is part of, however it has ended. */
export interface LeftByWindow {
  /** Lists, or their references. */
  undos: Json[];
  undone: Counts;
  /** The first of those that `onError: continue` let pass in it. */
  errors: Problem[];
}

/** What a retry or fork takes over of its origin. */
export interface TakenOver {
  /** Lists of `[path, entry]`, each small enough for one answer: the only one as it is, several as references. */
  pages: Json[];
  children: [path: string, child: ChildOrigin][];
  undos: (Undo | UndoPage)[];
  /** How often steps were undone under the keys that this run goes on with. */
  undone: Counts;
  /** Stand in for the Plan's initial variables. */
  vars: JsonObject;
  /** Lists of events that are to be heard again. */
  events?: Json[];
}

/** A child that had not finished, of the origin or of an attempt before: the step's next child goes on from it. */
export interface ChildOrigin {
  origin: Origin;
  /** Of a run of its own; a window walks the Plan of the run it is part of, under its keys. */
  version?: string;
  planHash?: string;
  effectRoot?: string;
}

export interface LlmFields {
  /** The wanted model, then its fallbacks: an alias or `provider/model`. */
  models: string[];
  messages: { role: "system" | "user" | "assistant"; content: string }[];
  repairs: number;
  manner?: Manner;
  /** Tell what the model says while it says it. */
  stream?: true;
  /** Take an earlier answer to the same request, or to the same key. */
  cache?: { key?: Json; ttlMs: number };
  guard?: GuardOrder;
}

export interface ToolFields {
  tool: string;
  /** A version or a range. */
  version?: string;
  /** The MCP server that has it. */
  server?: string;
  /** The agent that calls it: one that was stopped calls nothing. */
  agent?: string;
  /** Of a memory tool. */
  memory?: MemoryScope;
  arguments: Json;
  /** Hosts that the definition's policy lets it call. */
  hosts?: string[];
  /** Nothing is done: an earlier attempt gave no answer, and this one is to say what became of it. */
  settle?: true;
  /** What a person says of an effect that nobody knew the outcome of. */
  told?: Told;
}

/** It has happened, with this result; or it has not, and may be done (again). `effect`: which one they were asked about. */
export type Told = { by: string; effect?: string } & ({ happened: true; result: Json } | { happened: false });

export interface HttpFields {
  method: string;
  /** Literal text and values by turns: `{ value }` is percent-encoded where it falls into the path or query. */
  url: (string | { value: Json })[];
  headers: Record<string, string>;
  query: Record<string, Json>;
  body?: Json;
  /** Statuses that count as success; absent = 2xx. */
  expect?: number[];
  /** Hosts that the definition's policy lets it call. */
  hosts?: string[];
  /** What the definition says, where its method says something else. */
  effect?: "read" | "write" | "dangerous";
  idempotent?: boolean;
  /** As in `ToolFields`. */
  settle?: true;
  told?: Told;
}

export interface PreparedRun {
  version: string;
  /** Allow-listed environment, frozen into the run. */
  env: Record<string, string>;
}

/** A list, or the reference of one. */
export interface ListRequest {
  list: Json;
  /** Up to so many come as items: small ones as they are, large ones as references. */
  itemsMax: number;
  pageSize: number;
  /** Whether a longer one may come as pages. */
  mayPage: boolean;
}

export type Listed = { items: Json[]; from: 0 } | { pages: Json[] };

/** `holds` when the child's definition or tenant is paused. */
export interface LoadedPlan {
  plan: Json;
  holds?: Holds;
}

/** The step that an agent is briefed for, and what it may spend. */
export interface BriefedStep {
  runId: string;
  path: string;
  budgets: readonly BudgetRef[];
}

/**
 * Everything a workflow asks of the outside. `createActivities(deps)` satisfies it.
 * Faults leave an activity as an ApplicationFailure whose `type` is the problem's type and whose first detail is the Problem.
 */
export interface Activities {
  llm(call: StepCall<LlmFields>): Promise<StepDone>;
  tool(call: StepCall<ToolFields>): Promise<StepDone>;
  /**
   * Short ones beside each other, each with those after it, as one local activity; the answers in the order of the calls. A failed one
   * fails none beside it, and nothing is called after it.
   */
  shortTools(calls: ShortCall[]): Promise<ShortAnswer[]>;
  /** One turn of an agent: one model call; the conversation is kept outside of the history. */
  think(call: StepCall<ThinkFields>): Promise<StepDone>;
  http(call: StepCall<HttpFields>): Promise<StepDone>;

  /** Append events of the walk. Idempotent by event identity; gap-free numbering by Postgres. */
  record(call: { run: RunRef; events: RunEvent[] }): Promise<void>;
  /** The result of a step that an earlier attempt finished; null when the record knows none. */
  finished(call: { run: RunKey; path: string; attempt: number }): Promise<StepDone | null>;
  /** Put a value into the content-addressed store. Gives its reference. */
  store(call: { tenant: string; value: Json }): Promise<Json>;
  /** Fill a template whose expressions read inside stored values. `roots` may hold references. Large results come back as references. */
  evaluate(call: { tenant: string; template: Json; roots: JsonObject; steps: JsonObject }): Promise<Json>;
  /** The items of a list, or its pages. Fault `expression` when it is no list, `limit` when it is too long. */
  list(call: { tenant: string } & ListRequest): Promise<Listed>;
  /** Lists after one another as one list, objects as one object; a reference when that is large. */
  concat(call: { tenant: string; pages: Json[] }): Promise<Json>;
  /** What a child run begins with: the Plan of a published definition (highest version when none is named), with `input` checked against its schema. */
  loadPlan(call: { tenant: string; workflow: string; version?: string; planHash?: string; input: Json }): Promise<LoadedPlan>;
  /**
   * A retry or fork begins: enter what it takes over into its own log, and give it. `undone` is what the caller knows and the record
   * may not yet. Fault `limit` when it is too much.
   */
  loadLedger(call: {
    run: RunRef;
    input: Json;
    origin: Origin;
    effectRoot: string;
    budgetRoot?: string;
    undone?: Counts;
  }): Promise<TakenOver>;
  /** A stored page, as it is: references inside it stay. */
  loadPage(call: { tenant: string; page: Json }): Promise<Json>;
  /** What a window that has ended leaves; null when it has recorded nothing. `undone` as in `loadLedger`. */
  leftByWindow(call: { tenant: string; run: string; undone: Counts }): Promise<LeftByWindow | null>;
  /** What a run started by a schedule begins with: the version of that moment (the highest when none is named), its input checked. */
  prepareRun(call: { tenant: string; workflow: string; version?: string; input: Json }): Promise<PreparedRun>;
  /** Ask a lock, which is made when there is none. Asking twice is asking once; the answer comes as a signal. */
  askLock(call: { tenant: string; kind: LockKind; key: string; ask: LockAsk }): Promise<void>;
  /** Which of the runs have ended, or are not known to Temporal. */
  endedRuns(call: { tenant: string; runs: string[] }): Promise<string[]>;
  /**
   * Raise budgets as a person has approved after `waitedMs`, which wall time is given on top; never lower one. Let the steps of other
   * runs that wait for them try again.
   */
  raiseBudgets(call: { run: RunKey; path: string; by: string; raises: Raise[]; approved: Json; waitedMs: number }): Promise<void>;
  /** Settle versions, descriptions and schemas of an agent's tools, and store what it gets in each turn. Faults: `tool_input`, `not_found`. */
  brief(call: { tenant: string; run: string; step: BriefedStep; order: AgentOrder }): Promise<Settled>;
  /** Whether an agent may begin a call. Fault `agent_state`. */
  admit(call: { tenant: string; agent: string }): Promise<void>;
  /** Check a value (or a reference) against a JSON Schema: fault `schema` with the pointer of each mismatch. */
  validate(call: { tenant: string; schema: JsonSchema; value: Json }): Promise<Problem | null>;
  /** Add what an agent has answered to its thread, when people had to let it pass. Added twice is added once. */
  addExchange(call: { run: RunKey } & Approved): Promise<void>;
  /** Send an event to the runs of the tenant that wait for one of its name, as the record knows them. Gives how many got it. */
  broadcast(call: { tenant: string; event: ExternalEvent }): Promise<number>;
  /**
   * How a child run ended. Fails while it has not: Temporal tries it again. A bad end is the cause of a failure
   * that is not tried again.
   */
  childEnd(call: { tenant: string; run: string }): Promise<RunResult>;
  /**
   * How long, since the moment `since`, people were asked in runs that the task at `path` has started, deep; in ms. Fails while somebody is
   * asked: Temporal tries it again.
   */
  peopleAsked(call: { tenant: string; run: string; path: string; since: number }): Promise<number>;
  /** What a search among an agent's memories means; null where it can go by words alone. */
  embedQuery(query: MemorySearch): Promise<Meaning | null>;
  /** Compare Temporal with the record and heal what crashes, terminations and timeouts left behind. Gives the number of rows healed. */
  reconcile(): Promise<number>;
  /** Send a notice out. Rejects while nobody has taken it: Temporal tries it again. */
  sendNotice(notice: Notice): Promise<void>;
  /** Take a message of a run, and have it delivered. The problem of one that is refused. */
  sendMessage(message: Outgoing): Promise<{ id: string; correlationId: string } | { problem: Problem }>;
  /** Deliver what waits for one recipient of a sender, in its order. `isEmpty`: nothing waits any more. */
  deliver(lane: { tenant: string; sender: Party; to: Party }): Promise<{ delivered: number; isEmpty: boolean }>;
  /** What an agent's mailbox should have in hand, in the order in which it was accepted. */
  unfinishedMail(call: { tenant: string; agent: string }): Promise<Mail[]>;
  /** What an agent's run on a message is started with; null when there is nothing to do. Rejects while the agent is paused. */
  openMail(call: { tenant: string; agent: string; mail: Mail }): Promise<OpenedMail | null>;
  /** Close a delivery with how its run has ended, and answer its sender. */
  answerMail(call: { tenant: string; agent: string; mail: Mail; answer: Answer }): Promise<void>;
  /** Tell a child what its parent is held for now. Gives false when it has ended. */
  hold(call: { tenant: string; run: string; holds: Holds }): Promise<boolean>;
  /** Tell the open runs of a scope what holds them now. Gives how many were told. Goes on where a lost attempt stood. */
  spreadPause(scope: PausedScope): Promise<number>;
}
