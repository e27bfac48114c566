/** What our Temporal server is set to, laptop and cluster alike. `${key}` of temporal's common/dynamicconfig/constants.go. */
const dynamicConfig = {
  // Each history shard polls its queues 20 times a second by default: a no-op remote step then takes ~104 ms
  // of pure waiting. With 2000 it takes 8–15 ms (2 cores, server 1.29.1).
  "history.transferProcessorMaxPollRPS": 2_000,
  "history.timerProcessorMaxPollRPS": 2_000,
  "history.outboundProcessorMaxPollRPS": 2_000,
  // Timers fire up to this much late, so that the clocks of several history hosts may differ: 1 s by default.
  "history.timerProcessorMaxTimeShift": "50ms",
  // Off before 1.32. A worker that asks for a step runs it in the same answer, without the way through matching.
  "system.enableActivityEagerExecution": true,
  // Off before 1.31: without it priority keys are accepted and do nothing.
  "matching.useNewMatcher": true,
  // Off in every version: a tenant with 10,000 queued runs would hold all others up.
  "matching.enableFairness": true,
  // Four by default. One answers faster on a small machine and makes the order by priority exact;
  // raise both together above ~2,000 tasks a second on one queue.
  "matching.numTaskqueueReadPartitions": 1,
  "matching.numTaskqueueWritePartitions": 1,
} as const satisfies Record<string, number | boolean | string>;

/** Of a dev server alone: what is deleted is gone after seconds, not after half a minute. */
const devServerConfig = {
  "history.transferProcessorUpdateAckInterval": "2s",
  "history.visibilityProcessorUpdateAckInterval": "2s",
  "history.timerProcessorUpdateAckInterval": "2s",
} as const;

/** Flags of `temporal server start-dev`. */
export const dynamicConfigFlags = (): string[] =>
  Object.entries({ ...dynamicConfig, ...devServerConfig }).flatMap(([key, value]) => [
    "--dynamic-config-value",
    `${key}=${JSON.stringify(value)}`,
  ]);

/** The dynamic config file of a cluster. */
export const dynamicConfigYaml = (): string =>
  Object.entries(dynamicConfig)
    .map(([key, value]) => `${key}:\n  - value: ${JSON.stringify(value)}\n`)
    .join("");
