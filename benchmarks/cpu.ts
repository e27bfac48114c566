import { readdirSync, readFileSync } from "node:fs";

// What /proc counts in: 100 a second on every Linux there is (getconf CLK_TCK).
const msPerTick = 10;

/** User and system time of the processes and of all that they have started; undefined where there is no /proc. */
export function cpuMs(pids: number[]): number | undefined {
  if (process.platform !== "linux") return undefined;
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)));
  const counted = all.filter((stat) => stat !== undefined && (pids.includes(stat.pid) || pids.includes(stat.parent)));
  return counted.reduce((sum, stat) => sum + stat!.ms, 0);
}

interface Stat {
  pid: number;
  parent: number;
  ms: number;
}

function statOf(pid: number): Stat | undefined {
  try {
    // proc(5): the name, in parentheses, may hold spaces. After it: state, parent, …, the 12th to 15th are the times of
    // the process and of its ended children (a Postgres connection that was closed).
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ").map(Number);
    return { pid, parent: fields[1]!, ms: msPerTick * fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0) };
  } catch {
    return undefined;
  }
}
