import path from "node:path";
import type { Client, WorkflowHandle } from "@temporalio/client";
import { endChild, saysReady, startChild, untilReady, type Child } from "../cli/child.ts";
import { inheritedEnv } from "../cli/laptop.ts";
import { nodeArguments } from "../cli/programs.ts";
import type { Stack } from "../cli/stack.ts";
import { readSettings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { someAtOnce } from "./measure.ts";
import { modesOf, type Mode, type Side } from "./modes.ts";
import { withStack, type Log } from "./test-bed.ts";
import { heldW1 } from "./workloads.ts";

const warmUp = 100;

/** Bytes that one more cached run takes: W1 that has done its 12 steps and waits. After garbage collection. */
export const heapPerRun = ({ log, runs }: { log: Log; runs: number }): Promise<{ ours: number; handWritten: number }> =>
  withStack({ log, only: ["temporal", "postgres"] }, async (stack, stateDir) => {
    const client = await connectTemporal(readSettings({ ...process.env, TEMPORAL_ADDRESS: stack.temporalAddress }));
    const perRun = async (side: Side, name: Mode["name"]) => {
      log(`size: ${warmUp + runs} runs, ${name}`);
      const worker = await startHeapWorker(side, stack, stateDir);
      try {
        const { start } = modesOf(heldW1, client).find((mode) => mode.name === name)!;
        await hold(client, start, warmUp);
        const before = await heapOf(worker);
        await hold(client, start, runs);
        return ((await heapOf(worker)) - before) / runs;
      } finally {
        await endChild(worker);
      }
    };
    const sizes = { handWritten: await perRun("hand-written", "hand-written"), ours: await perRun("ours", "tool") };
    await client.connection.close();
    return sizes;
  });

async function hold(client: Client, start: Mode["start"], runs: number): Promise<void> {
  await someAtOnce(Array.from({ length: runs }), async () => untilHeld(client, await start()));
}

async function untilHeld(client: Client, handle: WorkflowHandle): Promise<void> {
  for (;;) {
    const { raw } = await client.workflow.getHandle(handle.workflowId).describe();
    if (!raw.pendingWorkflowTask && !raw.pendingActivities?.length) return;
    await new Promise((later) => setTimeout(later, 500));
  }
}

async function startHeapWorker(side: Side, stack: Stack, stateDir: string): Promise<Child> {
  const child = startChild({
    name: "heap worker",
    command: process.execPath,
    args: ["--expose-gc", ...nodeArguments(path.join(import.meta.dirname, "heap-worker.ts"), side)],
    env: { ...inheritedEnv(), TEMPORAL_ADDRESS: stack.temporalAddress, DATABASE_URL: stack.databaseUrl },
    logFile: path.join(stateDir, "logs", `heap-${side}.log`),
    endWith: "SIGTERM",
    ipc: true,
  });
  await untilReady(child, () => saysReady(child)).catch(async (error: unknown) => {
    await endChild(child);
    throw error;
  });
  return child;
}

const heapOf = (worker: Child): Promise<number> =>
  new Promise((answer, failed) => {
    void worker.exited.then((how) => failed(new Error(`The heap worker ended (${how}).`)));
    worker.process.once("message", (message) => answer((message as { heap: number }).heap));
    worker.process.send({});
  });
