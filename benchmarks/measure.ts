import type { WorkflowHandle } from "@temporalio/client";
import { cpuMs } from "./cpu.ts";
import { loadOfMachine } from "./machine.ts";
import { modeNames, modesOf, type Mode, type ModeName } from "./modes.ts";
import { median } from "./statistics.ts";
import type { TestBed } from "./test-bed.ts";
import type { Workload } from "./workloads.ts";

/** What one round says about one mode. Absent where it cannot be known on this machine. */
export interface Sample {
  latency: number;
  throughput: number;
  workerCpu?: number;
  temporalCpu?: number;
  postgresCpu?: number;
  /** The three above. */
  cpu?: number;
  historyEvents: number;
  historyBytes: number;
  load: number;
}

export type Samples = Record<ModeName, Sample[]>;

/** Runs at the same time when throughput is measured. */
export const together = 20;

/**
 * `rounds` rounds after one that warms up and is thrown away. The modes take turns in each round, run by run, then
 * batch by batch: whatever else the machine does meets all of them.
 */
export async function measure(
  workload: Workload,
  bed: TestBed,
  options: { rounds: number; log: (line: string) => void },
): Promise<Samples> {
  const modes = modesOf(workload, bed.client);
  const samples = Object.fromEntries(modeNames.map((name) => [name, []])) as unknown as Samples;
  for (let round = 0; round <= options.rounds; round++) {
    options.log(`${workload.name}: ${round === 0 ? "warm-up" : `round ${round} of ${options.rounds}`}`);
    for (const [name, sample] of await measureRound(workload, inTurn(modes, round), bed)) if (round > 0) samples[name].push(sample);
  }
  return samples;
}

/** Each is first in turn, so that none always follows the same other one. */
export const inTurn = <Item>(items: readonly Item[], round: number): Item[] =>
  items.map((_, index) => items[(index + round) % items.length]!);

export async function measureRound(workload: Workload, modes: Mode[], bed: TestBed): Promise<Map<ModeName, Sample>> {
  const alone = new Map<ModeName, Alone[]>(modes.map(({ name }) => [name, []]));
  for (let run = 0; run < workload.runs.oneByOne; run++)
    for (const mode of modes) alone.get(mode.name)!.push(await runAlone(workload, mode));
  const samples = new Map<ModeName, Sample>();
  for (const mode of modes) {
    const runs = alone.get(mode.name)!;
    samples.set(mode.name, {
      latency: median(runs.map(({ ms }) => ms)),
      historyEvents: median(runs.map(({ events }) => events)),
      historyBytes: median(runs.map(({ bytes }) => bytes)),
      ...(await measureTogether(workload, mode, bed)),
      load: loadOfMachine(),
    });
  }
  return samples;
}

interface Alone {
  ms: number;
  events: number;
  bytes: number;
}

async function runAlone(workload: Workload, mode: Mode): Promise<Alone> {
  const { handle, ms } = await runOnce(workload, mode);
  const { historyLength, historySize } = await handle.describe();
  return { ms, events: historyLength, bytes: historySize ?? 0 };
}

async function measureTogether(workload: Workload, mode: Mode, bed: TestBed): Promise<Pick<Sample, "throughput">> {
  const runs = Array.from({ length: workload.runs.together });
  const before = cpuOf(mode, bed);
  const startedAt = performance.now();
  if (workload.isSignalled) {
    const waiting = await someAtOnce(runs, () => mode.start());
    for (const handle of waiting) await untilQuiet(handle);
    await someAtOnce(waiting, (handle) => tell(mode, handle));
  } else {
    await someAtOnce(runs, async () => (await mode.start()).result());
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = cpuOf(mode, bed);
  const perStep = Object.entries(after).map(([part, ms]) => [part, (ms - before[part]!) / (runs.length * workload.steps)]);
  return { throughput: runs.length / seconds, ...Object.fromEntries(perStep) };
}

/** One run to its end. Its time counts from the start, or from the signal when the run waits for one. */
async function runOnce(workload: Workload, mode: Mode): Promise<{ handle: WorkflowHandle; ms: number }> {
  const startedAt = performance.now();
  const handle = await mode.start();
  if (!workload.isSignalled) {
    await handle.result();
    return { handle, ms: performance.now() - startedAt };
  }
  await untilQuiet(handle);
  const signalledAt = performance.now();
  await tell(mode, handle);
  return { handle, ms: performance.now() - signalledAt };
}

async function tell(mode: Mode, handle: WorkflowHandle): Promise<void> {
  await mode.signal(handle);
  await handle.result();
}

/** All of them, `limit` at a time. */
export async function someAtOnce<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
  limit = together,
): Promise<Result[]> {
  const results: Result[] = [];
  const queue = items.entries();
  const slot = async () => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: limit }, slot));
  return results;
}

// The server is asked, not the run: a query would be work for the side that is measured.
async function untilQuiet(handle: WorkflowHandle): Promise<void> {
  while ((await handle.describe()).raw.pendingWorkflowTask) await new Promise((later) => setTimeout(later, 20));
}

/** Of the processes that work for a mode, in milliseconds. What is not known on this machine is absent. */
export function cpuOf(mode: Pick<Mode, "workers">, { workers, temporal, postgres }: TestBed): Record<string, number> {
  const parts = {
    workerCpu: mode.workers.map((side) => workers[side]),
    temporalCpu: temporal && [temporal],
    postgresCpu: postgres && [postgres],
  };
  const known = Object.entries(parts).flatMap(([part, pids]) => {
    const ms = pids && cpuMs(pids);
    return ms === undefined ? [] : [[part, ms] as const];
  });
  const all = known.reduce((sum, [, ms]) => sum + ms, 0);
  return Object.fromEntries(known.length === 3 ? [...known, ["cpu", all]] : known);
}
