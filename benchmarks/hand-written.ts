import { ActivityCancellationType, condition, defineSignal, proxyActivities, setHandler } from "@temporalio/workflow";

// The same work as in workloads.ts, as an engineer would write it without us: plain Temporal workflows.
// Timeouts and retries are those that a `tool` step gets when its definition says nothing (contracts/limits.ts).
const { noop } = proxyActivities<{ noop(argument: object): Promise<null> }>({
  startToCloseTimeout: "30 seconds",
  scheduleToCloseTimeout: "10 minutes",
  heartbeatTimeout: "15 seconds",
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { maximumAttempts: 3, initialInterval: "1 second", backoffCoefficient: 2, maximumInterval: "30 seconds" },
});

export async function W1(): Promise<null> {
  for (let step = 0; step < 12; step++) await noop({});
  return null;
}

export async function W2(): Promise<null[]> {
  return Promise.all(Array.from({ length: 50 }, () => noop({})));
}

export async function W3(): Promise<null> {
  let isTold = false;
  setHandler(defineSignal<[object]>("go"), () => void (isTold = true));
  await condition(() => isTold);
  await noop({});
  return noop({});
}

/** W1 that then stays: what a cached run holds is measured on it. */
export async function W1Held(): Promise<null> {
  let isTold = false;
  setHandler(defineSignal<[object]>("go"), () => void (isTold = true));
  for (let step = 0; step < 12; step++) await noop({});
  await condition(() => isTold);
  return null;
}
