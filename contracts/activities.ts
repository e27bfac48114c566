import type { Json, JsonObject, JsonSchema } from "./json.ts";
import type { RunEvent, RunStatus } from "./events.ts";
import type { Retry } from "./limits.ts";
import type { Problem } from "./faults.ts";
import type { ExternalEvent, RunResult } from "./messages.ts";

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
}

/** What every step activity gets beside its own fields. */
export interface StepCall<Fields> {
  run: RunRef;
  path: string;
  /** Rounds a person asked for (`needs_attention` → retry); Temporal's own attempts are counted by Temporal. */
  attempt: number;
  /** Equal for all attempts of the step, also in retries and forks of the run. */
  idempotencyKey: string;
  /** Events of the walk that no append has acknowledged yet; appended before this step's own. */
  carried: RunEvent[];
  retry: Retry;
  /** What `output` must look like; checked in the activity (fault `schema`, for `llm` repaired first). */
  outputSchema?: JsonSchema;
  /** A compiled expression over `output`: true = try again (content-based retry). */
  retryWhile?: Json;
  fields: Fields;
}

export interface StepDone {
  /** The step's output, or its reference when it is above `limits.inlineBytesMax`. */
  output: Json;
  usage?: Usage;
}

export interface Usage {
  model: string;
  inputTokens: number;
  outputTokens: number;
  /** null when the model's price is not known. */
  costUsd: number | null;
  calls: number;
}

export interface LlmFields {
  /** The wanted model, then its fallbacks: an alias or `provider/model`. */
  models: string[];
  messages: { role: "system" | "user" | "assistant"; content: string }[];
  repairs: number;
}

export interface ToolFields {
  tool: string;
  arguments: Json;
}

export interface HttpFields {
  method: string;
  /** Literal text and values by turns: `{ value }` is percent-encoded where it falls into the path or query. */
  url: (string | { value: Json })[];
  headers: Record<string, string>;
  query: Record<string, Json>;
  body?: Json;
  /** Statuses that count as success; absent = 2xx. */
  expect?: number[];
}

export interface Appended {
  /** The run's status in the record: the first terminal status wins and the walk adopts it. */
  status: RunStatus;
  lastSeq: number;
}

/**
 * Everything a workflow asks of the outside. `createActivities(deps)` satisfies it.
 * Faults leave an activity as an ApplicationFailure whose `type` is the problem's type and whose first detail is the Problem.
 */
export interface Activities {
  llm(call: StepCall<LlmFields>): Promise<StepDone>;
  tool(call: StepCall<ToolFields>): Promise<StepDone>;
  http(call: StepCall<HttpFields>): Promise<StepDone>;

  /** Append events of the walk. Idempotent by event identity; gap-free numbering by Postgres. */
  record(call: { run: RunRef; events: RunEvent[] }): Promise<Appended>;
  /** The result of a step that an earlier attempt finished; null when the record knows none. */
  finished(call: { run: RunRef; path: string; attempt: number }): Promise<StepDone | null>;
  /** Put a value into the content-addressed store. Gives its reference. */
  store(call: { tenant: string; value: Json }): Promise<Json>;
  /** Fill a template whose expressions read inside stored values. `roots` may hold references. Large results come back as references. */
  evaluate(call: { tenant: string; template: Json; roots: JsonObject; steps: JsonObject }): Promise<Json>;
  /** The items of a stored list: small ones as they are, large ones as references. At most `limits.foreachItemsMax`. */
  listItems(call: { tenant: string; list: Json }): Promise<Json[]>;
  /** The Plan of a published definition (highest version when none is named), with `input` checked against its schema. */
  loadPlan(call: { tenant: string; workflow: string; version?: string; input: Json }): Promise<Json>;
  /** Check a value (or a reference) against a JSON Schema: fault `schema` with the pointer of each mismatch. */
  validate(call: { tenant: string; schema: JsonSchema; value: Json }): Promise<Problem | null>;
  /** Send an event to the runs of the tenant that wait for one of its name, as the record knows them. Gives how many got it. */
  broadcast(call: { tenant: string; event: ExternalEvent }): Promise<number>;
  /**
   * How a child run ended. Fails while it has not: Temporal tries it again. A bad end is the cause of a failure
   * that is not tried again.
   */
  childEnd(call: { tenant: string; run: string }): Promise<RunResult>;
  /** Compare Temporal with the record and heal what crashes, terminations and timeouts left behind. Gives the number of rows healed. */
  reconcile(): Promise<number>;
}
