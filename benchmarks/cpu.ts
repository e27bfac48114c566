import { readdirSync, readFileSync } from "node:fs";

// What /proc counts in: 100 a second on every Linux there is (getconf CLK_TCK).
const msPerTick = 10;

/** User and system time of the processes and of all that they have started; undefined where there is no /proc. */
export function cpuMs(pids: number[]): number | undefined {
  return process.platform === "linux" ? familyOf(pids).reduce((sum, { ms }) => sum + ms, 0) : undefined;
}

/** How long threads of the processes, and of what they have started, wanted a CPU and had none. Of threads that still live. */
export function queuedMs(pids: number[]): number {
  const threads = familyOf(pids).flatMap(({ pid }) => filesIn(`/proc/${pid}/task`).map((id) => `/proc/${pid}/task/${id}/schedstat`));
  return threads.reduce((sum, file) => sum + Number(textOf(file).split(" ")[1] ?? 0) / 1e6, 0);
}

function familyOf(pids: number[]): Stat[] {
  const all = filesIn("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)));
  return all.filter((stat) => stat !== undefined).filter(({ pid, parent }) => pids.includes(pid) || pids.includes(parent));
}

/** What the threads of a worker process are for. */
export const workerThreads = {
  workflows: "worker: workflow thread",
  main: "worker: main thread (activities, SDK)",
  bridge: "worker: bridge (SDK's native core)",
  engine: "worker: V8 (garbage, compiler), libuv",
} as const;
export type WorkerThread = keyof typeof workerThreads;

/** CPU time of a worker process by what its threads are for. Its threads live as long as it does. */
export function workerMs(pid: number): Record<WorkerThread, number> {
  const threads = readdirSync(`/proc/${pid}/task`).map((id) => threadOf(pid, Number(id)));
  const isBridge = ({ name }: Thread) => /^(tokio|temporal|workflow)-/.test(name);
  const bridgeSince = Math.min(...threads.filter(isBridge).map(({ startedAt }) => startedAt));
  const sums: Record<WorkerThread, number> = { workflows: 0, main: 0, bridge: 0, engine: 0 };
  for (const thread of threads) sums[kindOf(thread)] += thread.ms;
  return sums;

  function kindOf(thread: Thread): WorkerThread {
    if (thread.id === pid) return "main";
    if (isBridge(thread)) return "bridge";
    // Node gives its threads no names of their own. All others are there before the bridge is.
    return thread.name === "node" && thread.startedAt >= bridgeSince ? "workflows" : "engine";
  }
}

interface Thread {
  id: number;
  name: string;
  startedAt: number;
  ms: number;
}

function threadOf(pid: number, id: number): Thread {
  const read = (file: string) => readFileSync(`/proc/${pid}/task/${id}/${file}`, "utf8");
  const startedAt = Number(read("stat").split(") ").at(-1)!.split(" ")[19]);
  return { id, name: read("comm").trim(), startedAt, ms: Number(read("schedstat").split(" ")[0]) / 1e6 };
}

/** What all CPUs together have worked since the machine started. */
export function machineMs(): number {
  // proc(5): user nice system idle iowait irq softirq steal …
  const ticks = readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
  return msPerTick * ticks.reduce((sum, value, column) => sum + (column === 3 || column === 4 ? 0 : value), 0);
}

interface Stat {
  pid: number;
  parent: number;
  ms: number;
}

function statOf(pid: number): Stat | undefined {
  // proc(5): the name, in parentheses, may hold spaces. After it: state, parent, …, the 12th to 15th are the times of
  // the process and of its ended children (a Postgres connection that was closed).
  const fields = textOf(`/proc/${pid}/stat`).split(") ").at(-1)!.split(" ").map(Number);
  if (fields.length < 15) return undefined;
  return { pid, parent: fields[1]!, ms: msPerTick * fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0) };
}

// A process may end between two looks.
function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
