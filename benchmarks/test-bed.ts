import path from "node:path";
import type { Client } from "@temporalio/client";
import { endChild, saysReady, startChild, untilReady, type Child } from "../cli/child.ts";
import { inheritedEnv } from "../cli/laptop.ts";
import { nodeArguments } from "../cli/programs.ts";
import { freePorts, startStack, type PartName, type Stack } from "../cli/stack.ts";
import { readSettings, type Settings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import type { Side } from "./modes.ts";
import { makeStateDir, removeStateDir } from "./state-dir.ts";

export type Log = (line: string) => void;

interface StackNeeds {
  log: Log;
  /** Absent: everything. */
  only?: PartName[];
  /** On top of the environment's. */
  settings?: Partial<Settings>;
  /** Of its processes. */
  env?: Record<string, string>;
}

/** A stack of its own on free ports in a folder of its own, whose worker knows the no-op tool. Gone when the work is done. */
export async function withStack<Result>(needs: StackNeeds, work: (stack: Stack, stateDir: string) => Promise<Result>): Promise<Result> {
  const { log, only, settings = {} } = needs;
  const stateDir = await makeStateDir();
  const all = { ...readSettings({ ...process.env, TENUTO_STATE_DIR: stateDir }), ...settings };
  const env = { TENUTO_TOOLS: path.join(import.meta.dirname, "noop-tool.ts"), TENUTO_LOG_LEVEL: "warn", ...needs.env };
  let said = "";
  try {
    const stack = await startStack({ settings: all, ports: await freePorts(), stateDir, ...(only && { only }), env, log });
    said = stack.parts.map(({ how }) => how).join();
    try {
      return await work(stack, stateDir);
    } finally {
      await stack.stop();
    }
  } finally {
    await removeStateDir(stateDir, said);
  }
}

/** Both sides on the same servers. */
export interface TestBed {
  stack: Stack;
  client: Client;
  serverVersion: string;
  /** The worker process of each side. */
  workers: Record<Side, number>;
  /** Absent when the server is not ours. */
  temporal: number | undefined;
  postgres: number | undefined;
}

/** A stack with the hand-written side's worker beside ours. */
export const withTestBed = <Result>(needs: StackNeeds, work: (bed: TestBed) => Promise<Result>): Promise<Result> =>
  withStack(needs, async (stack, stateDir) => {
    const worker = await startHandWritten(stack.temporalAddress, stateDir);
    try {
      const client = await connectTemporal(readSettings({ ...process.env, TEMPORAL_ADDRESS: stack.temporalAddress }));
      const { serverVersion } = await client.workflowService.getSystemInfo({});
      const workers = { "hand-written": worker.pid, ours: stack.worker!.pid! };
      const answer = await work({
        stack,
        client,
        serverVersion,
        workers,
        temporal: pidOf(stack, "temporal"),
        postgres: pidOf(stack, "postgres"),
      });
      await client.connection.close();
      return answer;
    } finally {
      await endChild(worker);
    }
  });

/** Absent when it is not a process of ours. */
export const pidOf = (stack: Stack, part: PartName): number | undefined => stack.parts.find(({ name }) => name === part)?.pid;

async function startHandWritten(temporalAddress: string, stateDir: string): Promise<Child> {
  const child = startChild({
    name: "hand-written worker",
    command: process.execPath,
    args: nodeArguments(path.join(import.meta.dirname, "hand-written-worker.ts")),
    env: { ...inheritedEnv(), TEMPORAL_ADDRESS: temporalAddress },
    logFile: path.join(stateDir, "logs", "hand-written.log"),
    endWith: "SIGTERM",
    ipc: true,
  });
  try {
    await untilReady(child, () => saysReady(child));
  } catch (error) {
    await endChild(child);
    throw error;
  }
  return child;
}
