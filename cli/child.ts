import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { limits } from "../contracts/limits.ts";

export interface ChildSpec {
  /** As people read it: "Postgres". */
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  /** Everything it says goes here. */
  logFile: string;
  /** Signal that asks it to end. */
  endWith: NodeJS.Signals;
  ipc?: boolean;
  cwd?: string;
  uid?: number;
  gid?: number;
}

export interface Child {
  spec: ChildSpec;
  process: ChildProcess;
  pid: number;
  exited: Promise<string>;
  hasExited(): boolean;
}

/** Start a process of the stack. In a session of its own: Ctrl-C must reach only us, who end the parts in order. */
export function startChild(spec: ChildSpec): Child {
  mkdirSync(path.dirname(spec.logFile), { recursive: true });
  const log = openSync(spec.logFile, "a");
  const stdio: StdioOptions = spec.ipc ? ["ignore", log, log, "ipc"] : ["ignore", log, log];
  const { command, args, env, cwd, uid, gid } = spec;
  const child = spawn(command, args, { env, cwd, uid, gid, stdio, detached: true });
  closeSync(log);
  let over = false;
  const exited = new Promise<string>((resolve) => {
    const end = (how: string) => {
      over = true;
      resolve(how);
    };
    child.once("error", (error) => end(error.message));
    child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
  });
  if (child.pid === undefined) throw new Error(`${spec.name} cannot be started: ${command} is not a program this user may run.`);
  return { spec, process: child, pid: child.pid, exited, hasExited: () => over };
}

/** Wait for a sign that the child serves; an end before that, or no sign in time, is an error with the tail of its log. */
export async function untilReady(child: Child, ready: (signal: AbortSignal) => Promise<void>, limitMs = 60_000): Promise<void> {
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`gave no sign of life for ${limitMs / 1_000} s`), limitMs);
  });
  const died = child.exited.then((how) => `ended (${how})`);
  const waiting = ready(abort.signal).then(() => undefined);
  // Once the race is lost nobody waits for this one any more.
  waiting.catch(() => undefined);
  try {
    const trouble = await Promise.race([waiting, died, late]);
    if (trouble !== undefined)
      throw new Error(`${child.spec.name} ${trouble}. Last lines of ${child.spec.logFile}:\n${tailOf(child.spec.logFile)}`);
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** Resolves when the child says `{ ready: true }` over IPC. */
export const saysReady = (child: Child): Promise<void> =>
  new Promise((resolve) => {
    child.process.on("message", (message: unknown) => {
      if (typeof message === "object" && message !== null && (message as { ready?: unknown }).ready === true) resolve();
    });
  });

/** Ask it to end; insist when it has had time for all it does then: a worker lets its calls go on, and tells how its runs ended. */
export async function endChild(child: Child): Promise<void> {
  if (child.hasExited()) return;
  child.process.kill(child.spec.endWith);
  const timer = setTimeout(() => child.process.kill("SIGKILL"), limits.workerGraceMs + limits.endingFollowedMs);
  await child.exited;
  clearTimeout(timer);
}

const tailOf = (file: string): string => {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.slice(-15).join("\n");
};
