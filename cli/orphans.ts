import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import type { Child } from "./child.ts";

/**
 * Who works in a state directory: our process and the servers it started, written down as they start.
 * After a kill -9 of everything the next start finds here whom to end.
 */
export interface Lock {
  add(child: Child): Promise<void>;
  release(): void;
}

export async function lockStateDir(stateDir: string, log: (line: string) => void): Promise<Lock> {
  mkdirSync(stateDir, { recursive: true });
  const file = lockFile(stateDir);
  const before = readEntries(file);
  const owner = before.find((entry) => entry.name === "owner");
  if (owner && owner.pid !== process.pid && (await isSame(owner))) {
    throw new Error(`A stack already runs in ${stateDir} (process ${owner.pid}). Stop it, or set TENUTO_STATE_DIR to another folder.`);
  }
  for (const entry of before) if (entry !== owner) await endOrphan(entry, log);
  const entries: Entry[] = [await describe("owner", process.pid)];
  const write = () => replaceFile(file, JSON.stringify(entries));
  write();
  return {
    async add(child) {
      entries.push(await describe(child.spec.name, child.pid));
      write();
    },
    release: () => replaceFile(file, "[]"),
  };
}

/** The process that holds the state directory, if one does. */
export async function runningStack(stateDir: string): Promise<number | undefined> {
  const owner = readEntries(lockFile(stateDir)).find((entry) => entry.name === "owner");
  return owner && (await isSame(owner)) ? owner.pid : undefined;
}

const lockFile = (stateDir: string): string => path.join(stateDir, "stack.json");

interface Entry {
  name: string;
  pid: number;
  /** When the process began: a process id is given again, id and birth together are not. */
  born: string;
}

const describe = async (name: string, pid: number): Promise<Entry> => ({ name, pid, born: (await birthOf(pid)) ?? "" });

const isSame = async (entry: Entry): Promise<boolean> => entry.born !== "" && (await birthOf(entry.pid)) === entry.born;

async function endOrphan(entry: Entry, log: (line: string) => void): Promise<void> {
  if (!(await isSame(entry))) return;
  log(`Ending ${entry.name} (process ${entry.pid}), left behind by a stack that was killed.`);
  signal(entry.pid, entry.name === "Postgres" ? "SIGINT" : "SIGTERM");
  for (let waitedMs = 0; await isSame(entry); waitedMs += 50) {
    if (waitedMs >= 5_000) signal(entry.pid, "SIGKILL");
    await new Promise((later) => setTimeout(later, 50));
  }
}

/** One that has ended since it was looked at needs none. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function birthOf(pid: number): Promise<string | undefined> {
  try {
    if (process.platform !== "linux") return await birthByPs(pid);
    // proc(5): the name, in parentheses, may hold spaces; of the fields after it the first is the state, the 20th the start.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return fields[0] === "Z" ? undefined : `${boot}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** Empty when there is no such process. */
export async function commandLineOf(pid: number): Promise<string> {
  try {
    if (process.platform === "linux") return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    const { stdout } = await promisify(execFile)("ps", ["-ww", "-o", "command=", "-p", String(pid)]);
    return stdout.trim();
  } catch {
    return "";
  }
}

async function birthByPs(pid: number): Promise<string> {
  const { stdout } = await promisify(execFile)("ps", ["-o", "lstart=", "-p", String(pid)]);
  return stdout.trim();
}

function readEntries(file: string): Entry[] {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Entry[];
  } catch {
    return [];
  }
}

function replaceFile(file: string, content: string): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, content, { mode: 0o600 });
  renameSync(draft, file);
}
