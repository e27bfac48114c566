const KB = 1024;
const MB = 1024 * KB;
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** Every limit in one place; `docs/reference.md` is checked against it. Reaching one is a clear fault, never a stuck run. */
export const limits = {
  // definitions
  definitionBytesMax: 512 * KB,
  planBytesMax: 1_500 * KB,
  definitionStepsMax: 2_000,
  nestingMax: 16,
  expressionBytesMax: 4 * KB,
  expressionDepthMax: 32,
  expressionMacroNestingMax: 2,
  expressionStepsMax: 200_000,
  regexBytesMax: 64,
  regexInputMax: 4_096,
  yamlAliasesMax: 100,
  yamlDepthMax: 64,
  lockLimitMax: 1_000,
  concurrencyLimitMax: 1_000,
  policyEntriesMax: 200,
  triggersMax: 20,
  scheduleEveryMinMs: second,
  approvalQuorumMax: 100,
  remindAfterMinMs: second,
  remindersMax: 1_000,
  eventNameMax: 255,
  idBytesMax: 64,
  ownRunIdMax: 100,
  // runs
  foreachItemsMax: 50_000,
  foreachConcurrencyMax: 200,
  foreachInlineMax: 500,
  foreachJoinMax: 5_000,
  windowItems: 200,
  windowsMax: 4,
  pageInlineBytesMax: 1 * KB,
  loopIterationsMax: 10_000,
  childDepthMax: 8,
  historyEventsMax: 40_000,
  inlineBytesMax: 16 * KB,
  blobBytesMax: 32 * MB,
  listBytesMax: 1 * MB,
  listItemBytesMax: 256,
  mailboxUnreadMax: 2_000,
  mailboxBytesMax: 512 * KB,
  closedApprovalsMax: 1_000,
  streamBytesMax: 256 * KB,
  broadcastRunsMax: 10_000,
  outboxEventsMax: 200,
  carriedBytesMax: 4 * KB,
  appendBytesMax: 256 * KB,
  appendsTogetherMax: 50,
  seenEventIdsMax: 10_000,
  stepPathBytesMax: 512,
  ledgerBytesMax: 16 * MB,
  ledgerPageBytesMax: 900 * KB,
  undoPageBytesMax: 128 * KB,
  lineageRowsMax: 100,
  forkChainMax: 20,
  detailsRowsMax: 100,
  errorDetailMax: 2_000,
  childrenLeftMax: 1_000,
  passedErrorsMax: 50,
  undosMax: 2_000,
  unresolvedMax: 20,
  refusalsMax: 100,
  patchOperationsMax: 100,
  migrateRunsMax: 200,
  lockLineMax: 1_000,
  lockCheckEveryMs: 30 * second,
  lockCheckIdleMs: hour,
  lockIdleMs: minute,
  lockAskAgainMs: 10 * minute,
  lockSignalsMax: 2_000,
  openOperationsMax: 500,
  localStepsMax: 50,
  localStepMs: 2 * second,
  openBytesMax: 1_500_000,
  argumentBytesMax: 1_500_000,
  historyBytesMax: 40 * MB,
  historyEventsCalm: 7_000,
  historyBytesCalm: 7 * MB,
  stateBytesMax: 1 * MB,
  longCallMs: minute,
  endingAllowance: 500,
  summaryBytesMax: 200,
  detailsBytesMax: 18_000,
  // outbound calls
  httpAnswerBytesMax: 5 * MB,
  httpRedirectsMax: 5,
  modelAnswerBytesMax: 2 * MB,
  modelCallsMax: 1_000,
  fallbacksMax: 10,
  fallbackWaitMsMax: 10 * second,
  routeCandidatesMax: 8,
  modelPricesMax: 1_000,
  budgetCountMax: 1_000_000_000_000,
  budgetUsdMax: 1_000_000,
  budgetOutputTokensMin: 256,
  budgetLostAfterMs: minute,
  budgetsHealedMax: 500,
  budgetsKnownMs: 2 * second,
  budgetTenantsKnownMax: 10_000,
  budgetsResumedMax: 200,
  budgetsListedMax: 200,
  cacheTtlMaxMs: 30 * 24 * hour,
  cachedAnswerBytesMax: 256 * KB,
  cachedAnswersMax: 10_000,
  toolAnswerBytesMax: 5 * MB,
  agentCallsPerTurnMax: 50,
  agentContextTokensMin: 1_000,
  agentContextTokensMax: 2_000_000,
  agentResultBytesMax: 32 * KB,
  transcriptChunkBytes: 64 * KB,
  sqlRowsMax: 10_000,
  sqlBytesMax: 2 * MB,
  textPartMax: 1_000_000,
  schemaCheckMs: 2 * second,
  mcpServersMax: 200,
  mcpToolsMax: 500,
  mcpOfferBytesMax: 1 * MB,
  mcpAnswerBytesMax: 6 * MB,
  mcpBeginMs: 10 * second,
  toolCallsKeepMs: 30 * 24 * hour,
  toolStatisticsMs: 24 * hour,
  toolCallsWaitingMax: 10_000,
  toolSeenEveryMs: 30 * second,
  // agents
  agentInstructionsMax: 64 * KB,
  agentDescriptionMax: 4_000,
  agentTagsMax: 50,
  agentCapabilitiesMax: 100,
  agentToolsMax: 128,
  agentTurnsMax: 1_000,
  agentToolCallsMax: 10_000,
  agentParallelToolCallsMax: 50,
  agentAssigneesMax: 100,
  agentStateKnownMs: 2 * second,
  agentStatesKnownMax: 10_000,
  // API
  bodyBytesMax: 2 * MB,
  pageSizeMax: 200,
  pageSizeDefault: 50,
  waitSecondsMax: 60,
  idempotencyKeyBytesMax: 255,
  idempotencyKeepMs: 24 * hour,
  updateDeadlineMs: 5 * second,
  updateUnheardMs: 2 * second,
  updatesUnderWayMax: 20,
  linkEventsMax: 50_000,
  linkExecutionsKept: 50,
  usageDaysMax: 366,
  sseUnreadBytesMax: 1 * MB,
  sseClientsPerProcessMax: 1_000,
  reconcileEveryMs: 30 * second,
  noticeTimeoutMs: 10 * second,
  noticeKeepMs: 3 * 24 * hour,
  endingFollowedMs: 10 * second,
  endingsFollowedMax: 1_000,
  endingTriesMax: 60,
  reconcileAsksMax: 250,
  defectAttempts: 5,
  triggersPerEventMax: 100,
  triggerSweepMs: 15 * second,
  webhookSkewMs: 5 * minute,
  fairnessKeyBytesMax: 64,
  autoPauseRunsMax: 1_000_000,
  autoPauseWindowMs: 7 * 24 * hour,
} as const;

export interface Retry {
  /** All attempts, the first included. */
  maxAttempts: number;
  initialIntervalMs: number;
  backoff: number;
  maxIntervalMs: number;
  /** Share of the interval that is random, 0–1. */
  jitter: number;
  /** Error types that end the retrying. */
  nonRetryable: string[];
}

interface CallDefaults {
  retry: Retry;
  /** One attempt. */
  timeoutMs: number;
  /** All attempts with the waits between them. */
  totalTimeoutMs: number;
}

const outside: CallDefaults = {
  retry: { maxAttempts: 3, initialIntervalMs: second, backoff: 2, maxIntervalMs: 30 * second, jitter: 0.2, nonRetryable: [] },
  timeoutMs: 30 * second,
  totalTimeoutMs: 10 * minute,
};

/** What a step gets when neither it nor the definition's `defaults` say otherwise. Frozen into the Plan. */
export const callDefaults = {
  http: outside,
  tool: outside,
  llm: { retry: { ...outside.retry, maxAttempts: 5 }, timeoutMs: 10 * minute, totalTimeoutMs: hour },
  activity: { retry: outside.retry, timeoutMs: 5 * minute, totalTimeoutMs: hour },
} as const satisfies Record<string, CallDefaults>;

export const defaults = {
  foreachConcurrency: 10,
  loopKeepLast: 10,
  scheduleCatchUpMs: hour,
  modelRepairs: 2,
  budgetOutputTokens: 16_384,
  agentTurns: 25,
  agentCallsAtOnce: 5,
  agentContextTokens: 100_000,
  agentTimeoutMs: hour,
  onError: "fail",
  /** A worker that is gone is noticed after this long; running calls beat every `heartbeatEveryMs`. */
  heartbeatTimeoutMs: 15 * second,
  heartbeatEveryMs: 2 * second,
} as const;
