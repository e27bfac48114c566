import path from "node:path";
import { faults } from "../contracts/faults.ts";
import { eventTypes, runStatuses, stepStatuses, terminalStatuses } from "../contracts/events.ts";
import { callDefaults, defaults, limits } from "../contracts/limits.ts";
import { problemCodes } from "../contracts/definition.ts";
import { queues, scheduleIds } from "../contracts/ids.ts";
import { queries, signals, updates, workflowTypes } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";

export const referenceFile = path.join(path.dirname(import.meta.dirname), "docs/reference.md");

/** `docs/reference.md`: every name and number that people meet, taken from where the code takes it. */
export const referencePage = (): string =>
  [
    "# Reference",
    "",
    "Made from `contracts/` by `npm run generate`; `npm run check` fails when it differs.",
    "",
    ...table(
      "Events of a run",
      ["type", "data"],
      Object.entries(eventTypes).map(([type, data]) => [code(type), data]),
    ),
    ...table(
      "Statuses",
      ["of", "values"],
      [
        ["run", `${runStatuses.map(code).join(" ")}; ended: ${terminalStatuses.map(code).join(" ")}`],
        ["step", stepStatuses.map(code).join(" ")],
      ],
    ),
    ...table(
      "Faults",
      ["code", "HTTP status", "tried again", "title"],
      Object.entries(faults).map(([name, { status, retryable, title }]) => [code(name), String(status), retryable ? "yes" : "no", title]),
    ),
    ...table(
      "Problems of a definition",
      ["code", "meaning"],
      Object.entries(problemCodes).map(([name, meaning]) => [code(name), meaning]),
    ),
    ...table(
      "Limits",
      ["name", "value", "what it bounds, and what happens beyond"],
      Object.entries(limits).map(([name, value]) => [code(name), amount(name, value), meanings[name as keyof typeof limits]]),
    ),
    ...table(
      "Defaults of calls",
      ["step", "attempts", "first wait, factor, longest, jitter", "timeout", "total"],
      Object.entries(callDefaults).map(([type, { retry, timeoutMs, totalTimeoutMs }]) => [
        code(type),
        String(retry.maxAttempts),
        `${span(retry.initialIntervalMs)}, ×${retry.backoff}, ${span(retry.maxIntervalMs)}, ${retry.jitter * 100} %`,
        span(timeoutMs),
        span(totalTimeoutMs),
      ]),
    ),
    ...table(
      "Other defaults",
      ["name", "value"],
      Object.entries(defaults).map(([name, value]) => [code(name), typeof value === "number" ? amount(name, value) : code(value)]),
    ),
    ...table("Ids, queues and names in Temporal", ["what", "form"], names()),
    ...table(
      "Search attributes",
      ["name", "type"],
      Object.values(searchAttributes).map(({ name, type }) => [code(name), type.toLowerCase()]),
    ),
  ].join("\n");

const names = (): string[][] => [
  ["workflow id of a run", "`run.{tenant}.{runId}`"],
  ["workflow id of a pause that is being told", "`spread-pause.{tenant}`, of a workflow with `.{name}`"],
  [
    "run id",
    "`r_` and 26 characters of base 32, from the `Idempotency-Key` when there is one; `r_{tenant}_{id}` with an `id` of the caller's",
  ],
  ["run id of a child", "`{parent}.{step path}`, brackets as `-n`; with a random tail above 200 characters"],
  ["approval id", "`{runId}~{step path}`, brackets as `-n`"],
  ["activity id", "the step path; `{path}#{attempt}` after a person said retry"],
  [
    "idempotency key of a step",
    "`{runId}:{step path}`, and `#2`, `#3` … when the step or a scope around it was undone once, twice …; in a retry with the id of the first run; `:fallbackN`, `:againN` and `:repairN` for a model's further calls",
  ],
  [
    "workflow id of a notice",
    "`notice.{tenant}.{150 characters of the runId}.{hash}`; of a workflow that paused itself `notice.{tenant}.{name}.{time}`",
  ],
  ["task queue", code(queues.runs)],
  [
    "workflow id of a lock",
    "`lock.{tenant}.step.{key}`; of a concurrency key `lock.{tenant}.run.{key}`; other characters than letters, digits, `.` and `-` as `_` and hex",
  ],
  ["schedule", `${code(scheduleIds.reconcile)}; a tenant's own: \`schedule.{tenant}.{id}\``],
  ["workflow types", Object.values(workflowTypes).map(code).join(" ")],
  ["updates", Object.values(updates).map(code).join(" ")],
  ["signals", Object.values(signals).map(code).join(" ")],
  ["query", Object.values(queries).map(code).join(" ")],
];

const meanings: Record<keyof typeof limits, string> = {
  definitionBytesMax: "a definition's text: 413",
  planBytesMax: "a compiled Plan: problem `too_large`",
  definitionStepsMax: "steps of a definition: problem `too_large`",
  nestingMax: "scopes within scopes: problem `too_deep`",
  expressionBytesMax: "an expression's text: problem `too_large`",
  expressionDepthMax: "an expression's tree: problem `too_deep`",
  expressionMacroNestingMax: "macros within macros: problem `too_deep`",
  expressionStepsMax: "work of one evaluation: fault `limit`",
  regexBytesMax: "a pattern of `matches` or of a schema",
  regexInputMax: "the text that `matches` looks at: fault `limit`",
  yamlAliasesMax: "aliases in YAML: problem `alias`",
  yamlDepthMax: "nesting of values in YAML and JSON: problem `too_deep`",
  lockLimitMax: "`limit` of a `lock`",
  concurrencyLimitMax: "`limit` of a definition's `concurrency`",
  policyEntriesMax: "entries of each list of a definition's `policy`",
  triggersMax: "triggers of a definition",
  scheduleEveryMinMs: "`every` of a schedule, at least",
  approvalQuorumMax: "`quorum` of an approval",
  remindAfterMinMs: "`remindAfter` of an approval, at least",
  remindersMax: "reminders of one approval; then nobody is reminded any more",
  eventNameMax: "characters of an event's name: fault `expression`",
  idBytesMax: "a step's id",
  ownRunIdMax: "characters of the `id` of `POST /runs`: 422",
  foreachItemsMax: "items of a `foreach`: fault `limit`",
  foreachInlineMax: "items of a `foreach` that its run does itself; more are done in windows, each a child run",
  foreachJoinMax: "items of a `foreach` whose join is not `all`, or has `until` or `rest: finish`: fault `limit`",
  windowItems: "items of one window",
  pageInlineBytesMax: "a page of items travels as it is up to this size, else by reference",
  windowsMax: "windows of one `foreach` at once",
  foreachConcurrencyMax: "items of a `foreach` at once",
  loopIterationsMax: "`maxIterations` of a `loop`",
  childDepthMax: "sub-workflows within sub-workflows: fault `limit`",
  historyEventsMax: "events in a run's Temporal history before the next step fails with fault `limit`; Temporal itself ends runs at 51,200",
  inlineBytesMax: "a value that travels by itself; a larger one is stored and travels as a reference",
  blobBytesMax: "a stored value, and all that one answer or evaluation loads",
  listBytesMax: "items of a stored list as a `foreach` gets them; beyond, each item is a reference",
  listItemBytesMax: "an item that stays inline when its list is too large",
  mailboxUnreadMax: "events that wait unread in a run: 429 `mailbox_full`",
  outboxEventsMax: "events of the walk that wait for a call to carry them; then they are flushed",
  carriedBytesMax: "events that one call carries; beyond, they are flushed first",
  appendBytesMax: "events that one append of the walk takes; the rest follows",
  appendsTogetherMax: "appends of a worker that share one statement; the rest follows",
  seenEventIdsMax: "ids of received events that a run remembers to count each once",
  stepPathBytesMax: "a step path",
  ledgerBytesMax: "what a retry or fork takes over, large results counted as references: fault `limit`",
  ledgerPageBytesMax: "one page of it; more pages follow",
  undoPageBytesMax: "what it takes to undo a window's items, in pages of which a run holds one at a time",
  lineageRowsMax: "`retries` and `forks` named in a run; the newest, the others by the list",
  forkChainMax: "forks of forks whose origins are looked through for what was done outside",
  detailsRowsMax: "rows of the step table in the Temporal Web UI",
  errorDetailMax: "characters of a raised error's detail; longer ones are cut",
  childrenLeftMax: "child runs with `await: false` of one run: fault `limit`",
  passedErrorsMax: "problems of `onError: continue` that a run keeps; further ones are only in its log",
  localStepsMax: "short steps beside the walk before one is made a task of its own",
  localStepMs: "one attempt of a short step; then it is made a task of its own",
  openOperationsMax: "activities, children and signals that a run has open at once; further ones wait",
  openBytesMax: "their arguments together; further ones wait",
  argumentBytesMax: "arguments of an `activity` step: fault `limit`",
  historyBytesMax: "bytes of a run's Temporal history before the next step fails with fault `limit`; Temporal itself ends runs at 50 MB",
  endingAllowance: "further events that handlers and `finally` may use after that",
  mailboxBytesMax: "data of events that wait unread in a run: 429 `mailbox_full`",
  closedApprovalsMax: "answered or expired approvals that a run remembers when it goes on in a new execution",
  streamBytesMax: "events that a stream handles at once; further ones wait in the mailbox",
  broadcastRunsMax: "runs that get an event sent without `to`: fault `limit`, and none gets it",
  undosMax: "steps of a run that can be undone (`compensate`): fault `limit`",
  refusalsMax: "reasons named when a run cannot take a plan",
  patchOperationsMax: "operations of one `PATCH /runs/{id}/plan`",
  migrateRunsMax: "runs that one request migrates in bulk; `next` goes on",
  unresolvedMax: "steps that could not be undone, named in the run's error; the log names all",
  historyEventsCalm:
    "history events up to which a run that should go on in a new execution lets other steps start while a long call is open",
  historyBytesCalm: "the same in bytes of history",
  stateBytesMax: "what a run may remember when it goes on in a new execution; larger results are stored before",
  longCallMs: "a call whose `timeout` is longer counts as long: a new execution waits for its end",
  lockLineMax: "steps and runs that wait for one lock: fault `lock`",
  lockCheckEveryMs: "how often a lock that is waited for looks whether its holders still run",
  lockCheckIdleMs: "the same while nobody waits",
  lockIdleMs: "a lock that nobody holds ends after this long",
  lockAskAgainMs: "who waits for a lock asks again after this long, should it have been terminated",
  lockSignalsMax: "messages that one execution of a lock takes before it continues as new",
  summaryBytesMax: "a summary in the Temporal Web UI; longer ones are cut",
  detailsBytesMax: "the details in the Temporal Web UI; longer ones are cut",
  httpAnswerBytesMax: "the answer of an `http` step, after decompressing: fault `http`",
  httpRedirectsMax: "redirects that an `http` step follows",
  modelAnswerBytesMax: "a model's answer: fault `limit`",
  modelCallsMax: "calls, and attempts, of one `llm` step: it fails with what the last one said",
  fallbacksMax: "`fallbacks` of an `llm` step",
  fallbackWaitMsMax: "a model that asks for a longer wait is left for the next of the chain",
  routeCandidatesMax: "models that one alias stands for",
  modelPricesMax: "prices that a tenant sets: 422 `limit`",
  budgetCountMax: "tokens or calls that a budget may name: problem `wrong_value`",
  budgetUsdMax: "dollars that a budget may name: problem `wrong_value`",
  budgetOutputTokensMin: "output tokens that a budget must leave for a call: fault `budget_exceeded`",
  budgetLostAfterMs: "after its attempt's end, a call that nobody settled is lost and gives back what was set aside for it",
  budgetsHealedMax: "such calls that one round of reconciling settles; the next goes on",
  budgetsKnownMs: "after it, a worker asks again whether a tenant or its agents have budgets",
  budgetTenantsKnownMax: "tenants that a worker remembers this of",
  budgetsListedMax: "budgets of its steps that a run shows; more are not shown",
  budgetsResumedMax: "waiting steps that a raised budget lets go on at once; a person lets the others",
  cacheTtlMaxMs: "`ttl` of a `cache`: problem `wrong_value`",
  cachedAnswerBytesMax: "a model's answer that is kept for `cache`; longer ones are asked for each time",
  cachedAnswersMax: "answers that are kept for a tenant; the oldest go first",
  agentContextTokensMin: "least `contextTokens` of an `agent` step",
  agentContextTokensMax: "most `contextTokens` of an `agent` step",
  agentCallsPerTurnMax: "tool calls that one turn of an agent may make; the model is told that the others were not made",
  agentResultBytesMax: "characters of a tool's result that an agent's model sees; the rest is left out, and said to be",
  transcriptChunkBytes: "a piece of an agent's conversation in the store",
  toolAnswerBytesMax: "a tool's result: fault `limit`",
  sqlRowsMax: "rows of one `sql.query`; the rest is left out",
  sqlBytesMax: "its rows as JSON; the rest is left out",
  textPartMax: "characters that `text.cut` gives",
  schemaCheckMs: "time to hold a value against a schema of an MCP server: fault `limit`",
  mcpServersMax: "MCP servers of a tenant, those of the operator included",
  mcpToolsMax: "tools of an MCP server: fault `limit`",
  mcpOfferBytesMax: "their names, descriptions and schemas together: fault `limit`",
  mcpAnswerBytesMax: "one message of an MCP server: fault `limit`; its result is a tool's result",
  mcpBeginMs: "time to connect to an MCP server and list its tools: fault `timeout`",
  toolCallsKeepMs: "how long the history of tool calls is kept",
  toolStatisticsMs: "what the figures of a tool are taken from",
  toolCallsWaitingMax: "tool calls of a worker that are yet to be written into the history; further ones are left out",
  toolSeenEveryMs: "how often a worker says that its tools are still there; unseen three times as long they count as absent",
  agentInstructionsMax: "characters of an agent's `instructions`: 422",
  agentDescriptionMax: "characters of its `description`",
  agentTagsMax: "its `tags`",
  agentCapabilitiesMax: "its `capabilities`",
  agentToolsMax: "its `tools`",
  agentTurnsMax: "its `limits.maxTurns`",
  agentToolCallsMax: "its `limits.toolCalls`",
  agentParallelToolCallsMax: "its `limits.parallelToolCalls`",
  agentAssigneesMax: "its `approval.assignees`",
  agentStateKnownMs: "how old an agent's state may be that a worker acts on: so long a stopped agent may begin calls",
  agentStatesKnownMax: "agents whose state a worker process keeps for that time; with more it asks again",
  bodyBytesMax: "a request's body: 413, before it is read",
  pageSizeMax: "entries of a page",
  pageSizeDefault: "entries of a page when `limit` is absent",
  waitSecondsMax: "`?wait=`",
  idempotencyKeyBytesMax: "`Idempotency-Key`",
  idempotencyKeepMs: "how long the first answer to a POST is kept; a run's key lives as long as Temporal keeps the run",
  linkEventsMax: "history events the API reads to link steps; steps beyond link to their run",
  linkExecutionsKept: "executions that have ended whose events an API process remembers for links",
  updateDeadlineMs: "how long the API waits for a worker's answer: then 503",
  updateUnheardMs: "how long the API sends a message again that came while its run went on in another execution",
  updatesUnderWayMax: "requests of one API process that wait for a run's answer; one more is answered 503 at once",
  usageDaysMax: "days between `from` and `to` of `GET /usage`: 400",
  sseUnreadBytesMax: "what a reader of a stream has not taken yet when live words come: it is cut off",
  sseClientsPerProcessMax: "event streams of one API process: then 503",
  triggersPerEventMax: "workflows that one event or webhook starts: fault `limit`",
  triggerSweepMs: "how often the API looks for schedules of published workflows that Temporal does not have yet",
  webhookSkewMs: "how far a webhook's timestamp may be from now: then 401",
  fairnessKeyBytesMax: "a `fairnessKey`",
  defectAttempts: "failed attempts of one workflow task after which the run counts as needing attention: its code has a defect",
  reconcileEveryMs: "time between two comparisons of Temporal and the record, and two looks at the failures of workflows",
  noticeTimeoutMs: "how long a notice's receiver may take",
  noticeKeepMs: "how long a notice is tried again",
  endingFollowedMs: "how long the worker that is about to end a run waits for Temporal to close it",
  endingsFollowedMax: "runs one worker process follows to their end at once; the others are left to reconcile",
  endingTriesMax: "times it tries to tell the end, two seconds apart at most",
  reconcileAsksMax:
    "runs that Temporal lists as running and that a comparison asks about all the same, in turn: workflow code that fails shows only there",
  autoPauseRunsMax: "`minimumRuns` of an auto-pause",
  autoPauseWindowMs: "`window` of an auto-pause, at most",
};

function table(title: string, head: string[], rows: string[][]): string[] {
  const line = (cells: string[]): string => `| ${cells.join(" | ")} |`;
  return [`## ${title}`, "", line(head), line(head.map(() => "---")), ...rows.map(line), ""];
}

const code = (text: string): string => `\`${text}\``;

const amount = (name: string, value: number): string =>
  name.endsWith("Ms") ? span(value) : /Bytes/.test(name) ? bytes(value) : value.toLocaleString("en-US");

const bytes = (value: number): string => {
  if (value % 1_048_576 === 0) return `${value / 1_048_576} MiB`;
  return value % 1_024 === 0 ? `${(value / 1_024).toLocaleString("en-US")} KiB` : `${value.toLocaleString("en-US")} bytes`;
};

const span = (ms: number): string => {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  if (ms % 60_000 === 0) return `${ms / 60_000} min`;
  return ms % 1_000 === 0 ? `${ms / 1_000} s` : `${ms} ms`;
};
