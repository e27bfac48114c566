import path from "node:path";
import type { Client } from "@temporalio/client";
import { endChild, saysReady, startChild, untilReady, type Child } from "../cli/child.ts";
import { inheritedEnv } from "../cli/laptop.ts";
import { nodeArguments } from "../cli/programs.ts";
import { freePorts, startStack, type Stack } from "../cli/stack.ts";
import { readSettings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import type { ModeName } from "./modes.ts";
import { makeStateDir, removeStateDir } from "./state-dir.ts";

/** Both sides on the same servers. */
export interface TestBed {
  client: Client;
  serverVersion: string;
  /** Processes whose CPU time counts as the worker's, by mode. */
  workers: Record<ModeName, number[]>;
  /** Absent when the server is not ours. */
  temporal: number | undefined;
  postgres: number | undefined;
  close(): Promise<void>;
}

export async function openTestBed(log: (line: string) => void): Promise<TestBed> {
  const stateDir = await makeStateDir();
  const settings = readSettings({ ...process.env, TENUTO_STATE_DIR: stateDir });
  const env = { TENUTO_TOOLS: path.join(import.meta.dirname, "noop-tool.ts") };
  const only = ["temporal", "postgres", "redis", "worker"] as const;
  const stack = await startStack({ settings, ports: await freePorts(), stateDir, only: [...only], env, log });
  const close = async () => {
    await stack.stop();
    await removeStateDir(stateDir, stack.parts.map(({ how }) => how).join());
  };
  try {
    return await withHandWritten(stack, stateDir, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function withHandWritten(stack: Stack, stateDir: string, close: () => Promise<void>): Promise<TestBed> {
  const worker = await startHandWritten(stack, stateDir);
  const client = await connectTemporal(readSettings({ ...process.env, TEMPORAL_ADDRESS: stack.temporalAddress }));
  const { serverVersion } = await client.workflowService.getSystemInfo({});
  const ours = stack.worker!.pid!;
  const pidOf = (name: string) => stack.parts.find((part) => part.name === name)?.pid;
  return {
    client,
    serverVersion,
    workers: { "hand-written": [worker.pid], tool: [ours], activity: [ours, worker.pid] },
    temporal: pidOf("temporal"),
    postgres: pidOf("postgres"),
    async close() {
      await client.connection.close();
      await endChild(worker);
      await close();
    },
  };
}

async function startHandWritten(stack: Stack, stateDir: string): Promise<Child> {
  const child = startChild({
    name: "hand-written worker",
    command: process.execPath,
    args: nodeArguments(path.join(import.meta.dirname, "hand-written-worker.ts")),
    env: { ...inheritedEnv(), TEMPORAL_ADDRESS: stack.temporalAddress },
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
