import { readFile } from "node:fs/promises";
import { getHeapStatistics } from "node:v8";
import type { WorkerDeploymentVersion } from "@temporalio/common";
import {
  Worker,
  type ActivityInboundCallsInterceptor,
  type InjectedSinks,
  type NativeConnection,
  type WorkerOptions,
} from "@temporalio/worker";
import type { Redact } from "../activities/redact.ts";
import { queues } from "../contracts/ids.ts";
import type { Activities } from "../contracts/activities.ts";
import { limits } from "../contracts/limits.ts";
import type { RunSinks } from "../contracts/run-end.ts";
import { bundleWorkflows, withBuild } from "./bundle.ts";

export interface TenutoWorkerOptions {
  connection: NativeConnection;
  namespace: string;
  activities: Activities;
  redact: Redact;
  sinks: InjectedSinks<RunSinks>;
  /** A file made by `writeBundle`; built here when absent. */
  bundleFile?: string | undefined;
  /** Absent: every worker of the queue takes every task. */
  version?: WorkerDeploymentVersion | undefined;
}

/** The worker of our own queue: workflows from one bundle, activities beside them so that short ones start eagerly. */
export async function createWorker({ bundleFile, version, redact, ...given }: TenutoWorkerOptions): Promise<Worker> {
  const code = await (bundleFile === undefined ? bundleWorkflows() : readFile(bundleFile, "utf8"));
  return Worker.create({
    ...given,
    taskQueue: queues.runs,
    interceptors: { activity: [() => ({ inbound: redacting(redact) })] },
    workflowBundle: { code: version ? withBuild(code) : code },
    ...(version && { workerDeploymentOptions: { version, useWorkerVersioning: true, defaultVersioningBehavior: "PINNED" } }),
    ...tuning,
  });
}

/** What activities give and fail with becomes history. */
const redacting = (redact: Redact): ActivityInboundCallsInterceptor => ({
  async execute(input, next) {
    try {
      return redact.value(await next(input));
    } catch (error) {
      throw redact.error(error);
    }
  },
});

/**
 * How many runs a worker keeps in memory; one per 4 MB that its heap may take. With 500 waiting ones it stays below 600 MB, with
 * 1,000 it did not, and thousands that wait for people would not fit anyhow. What was put out is replayed when it goes on.
 */
const cachedRuns = (): number => Math.min(500, Math.floor(getHeapStatistics().heap_size_limit / (4 * 1_024 * 1_024)));

/** How much a worker process takes on; also what the benchmark gives the worker it compares with. */
export const tuning: Partial<WorkerOptions> = {
  shutdownGraceTime: limits.workerGraceMs,
  maxCachedWorkflows: cachedRuns(),
  maxConcurrentWorkflowTaskExecutions: 40,
  // Calls to models and tools wait for the network: many fit beside each other.
  maxConcurrentActivityTaskExecutions: 200,
  maxConcurrentLocalActivityExecutions: 100,
  // A run that a dead worker held is taken up by another after this long. Shorter, and a busy worker loses its own cache.
  stickyQueueScheduleToStartTimeout: "2s",
  // Cancelling reaches a running call with its next heartbeat. The SDK holds heartbeats back for four fifths of the time after which the
  // call counts as gone, or for this long: with more, a `heartbeat` of 2 s would leave a busy machine 0.4 s.
  maxHeartbeatThrottleInterval: "500ms",
  defaultHeartbeatThrottleInterval: "2s",
};
