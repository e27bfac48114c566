import { modeNames } from "./modes.ts";
import { median } from "./statistics.ts";
import type { Sample, Samples } from "./measure.ts";
import type { WorkloadName } from "./workloads.ts";

/** One measured value beside what it is held against. */
export interface Figure {
  /** `<workload>.<mode>.<what>`, or `boot.cold`, `boot.warm`. */
  name: string;
  unit: string;
  value: number;
  /** The hand-written side's value, or the demand. */
  against: number;
  ratio: number;
  /** Smallest and largest ratio of the rounds. */
  range: [number, number];
}

export const measured: { key: keyof Sample; title: string; unit: string }[] = [
  { key: "latency", title: "latency p50, one run at a time", unit: "ms" },
  { key: "throughput", title: "throughput, 20 at once", unit: "runs/s" },
  { key: "workerCpu", title: "CPU of the worker", unit: "ms/step" },
  { key: "temporalCpu", title: "CPU of the Temporal server", unit: "ms/step" },
  { key: "postgresCpu", title: "CPU of Postgres", unit: "ms/step" },
  { key: "historyEvents", title: "history events", unit: "events/run" },
  { key: "historyBytes", title: "history size", unit: "bytes/run" },
];

/** Medians over the rounds. The ratio is the median of each round's own: noise that lasts longer than a round falls out. */
export function figuresOf(workload: WorkloadName, samples: Samples): Figure[] {
  return modeNames
    .filter((mode) => mode !== "hand-written")
    .flatMap((mode) =>
      measured.flatMap(({ key, unit }) =>
        figureOf({ name: `${workload}.${mode}.${key}`, unit }, key, samples[mode], samples["hand-written"]),
      ),
    );
}

function figureOf(named: Pick<Figure, "name" | "unit">, key: keyof Sample, ours: Sample[], theirs: Sample[]): Figure[] {
  const values = ours.map((sample) => sample[key]);
  const others = theirs.map((sample) => sample[key]);
  if (!isKnown(values) || !isKnown(others)) return [];
  const ratios = values.map((value, round) => value / others[round]!).filter(Number.isFinite);
  // Nothing to be held against: the hand-written side does not use Postgres at all.
  if (ratios.length === 0)
    return [{ ...named, value: median(values), against: median(others), ratio: Number.NaN, range: [Number.NaN, Number.NaN] }];
  return [
    { ...named, value: median(values), against: median(others), ratio: median(ratios), range: [Math.min(...ratios), Math.max(...ratios)] },
  ];
}

const isKnown = (values: (number | undefined)[]): values is number[] => values.every((value) => value !== undefined);
