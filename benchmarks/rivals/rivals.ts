import { cpuMs } from "../cpu.ts";
import { against, type Figure } from "../figure.ts";
import { loadOfMachine } from "../machine.ts";
import { inTurn, someAtOnce } from "../measure.ts";
import { modesOf } from "../modes.ts";
import { median } from "../statistics.ts";
import { pidOf, withStack, withTestBed, type Log, type TestBed } from "../test-bed.ts";
import { workloads } from "../workloads.ts";
import { endChild } from "../../cli/child.ts";
import { startDbos, startRestate, type ComparedWorkload, type Contender, type Place } from "./contenders.ts";
import { startFullTemporal } from "./full-temporal.ts";

export const compared = { W1: "a chain of 12 short steps", W2: "a fan-out of 50 short steps, join" } as const;

export const rivalMeasures = {
  latency: { title: "latency p50, one run at a time", unit: "ms" },
  throughput: { title: "throughput, 20 at once", unit: "runs/s" },
  cpu: { title: "CPU of everything but the client, 20 at once", unit: "ms/run" },
} as const;
export type RivalMeasure = keyof typeof rivalMeasures;

type Sample = Record<RivalMeasure, number> & { load: number };

export interface Compared {
  contenders: { name: string; title: string }[];
  /** `rivals.<workload>.<contender>.<measure>`, against the hand-written side's. */
  figures: Figure[];
}

/** The same work by us, by hand on Temporal, and by others; Temporal as its full server, everybody's rows in one Postgres server. */
export const measureRivals = ({ rounds, log }: { rounds: number; log: Log }): Promise<Compared> =>
  withStack({ log, only: ["postgres"], settings: { TEMPORAL_ADDRESS: undefined, DATABASE_URL: undefined } }, async (stack, stateDir) => {
    const place: Place = { postgresUrl: stack.databaseUrl, postgresPid: pidOf(stack, "postgres")!, stateDir, log };
    const temporal = await startFullTemporal(stack.databaseUrl, stateDir, log);
    const rivals: Contender[] = [];
    try {
      for (const start of [startDbos, startRestate]) rivals.push(await start(place));
      const settings = { TEMPORAL_ADDRESS: temporal.address, DATABASE_URL: stack.databaseUrl };
      return await withTestBed({ log, settings, only: ["temporal", "postgres", "redis", "worker"] }, async (bed) => {
        const contenders = [...onTemporal(bed, [temporal.child.pid, place.postgresPid]), ...rivals];
        log("rivals: waiting until Temporal knows our search attributes: a minute at most …");
        for (const contender of contenders) await contender.run("W1");
        const figures: Figure[] = [];
        for (const workload of Object.keys(compared) as ComparedWorkload[])
          figures.push(...figuresOf(workload, await measure(workload, contenders, { rounds, log })));
        return { contenders: contenders.map(({ name, title }) => ({ name, title })), figures };
      });
    } finally {
      for (const rival of rivals) await rival.close();
      await endChild(temporal.child);
    }
  });

function onTemporal({ client, workers }: TestBed, servers: number[]): Contender[] {
  const modes = { W1: modesOf(workloads.W1, client), W2: modesOf(workloads.W2, client) };
  return modes.W1.map(({ name, title, workers: sides }, index) => ({
    name,
    title,
    pids: [...servers, ...sides.map((side) => workers[side])],
    run: async (workload) => (await modes[workload][index]!.start()).result(),
    close: () => Promise.resolve(),
  }));
}

type Samples = Map<string, Sample[]>;

async function measure(
  workload: ComparedWorkload,
  contenders: Contender[],
  { rounds, log }: { rounds: number; log: Log },
): Promise<Samples> {
  const samples: Samples = new Map(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    log(`rivals, ${workload}: ${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}`);
    const order = inTurn(contenders, round);
    const alone = await oneByOne(workload, order);
    for (const contender of order) {
      const sample = { latency: median(alone.get(contender.name)!), ...(await atOnce(workload, contender)), load: loadOfMachine() };
      if (round > 0) samples.get(contender.name)!.push(sample);
    }
  }
  return samples;
}

async function oneByOne(workload: ComparedWorkload, contenders: Contender[]): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let run = 0; run < workloads[workload].runs.oneByOne; run++)
    for (const contender of contenders) {
      const startedAt = performance.now();
      await contender.run(workload);
      times.get(contender.name)!.push(performance.now() - startedAt);
    }
  return times;
}

async function atOnce(workload: ComparedWorkload, { pids, run }: Contender): Promise<Pick<Sample, "throughput" | "cpu">> {
  const runs = Array.from({ length: workloads[workload].runs.together });
  const before = cpuMs(pids);
  const startedAt = performance.now();
  await someAtOnce(runs, () => run(workload));
  const seconds = (performance.now() - startedAt) / 1_000;
  const cpu = before === undefined ? Number.NaN : (cpuMs(pids)! - before) / runs.length;
  return { throughput: runs.length / seconds, cpu };
}

function figuresOf(workload: ComparedWorkload, samples: Samples): Figure[] {
  const theirs = samples.get("hand-written")!;
  return [...samples].flatMap(([contender, ours]) =>
    (Object.keys(rivalMeasures) as RivalMeasure[]).map((what) => {
      const [values, others] = [ours, theirs].map((list) => list.map((sample) => sample[what])) as [number[], number[]];
      const name = `rivals.${workload}.${contender}.${what}`;
      return { ...against({ name, unit: rivalMeasures[what].unit, values, others }), load: median(ours.map(({ load }) => load)) };
    }),
  );
}
