import { ourModes } from "./modes.ts";
import { median } from "./statistics.ts";
import type { Sample, Samples } from "./measure.ts";
import type { WorkloadName } from "./workloads.ts";

/** One measured value beside what it is held against. */
export interface Figure {
  /** `<workload>.<mode>.<what>`, or `<benchmark>.<what>`. */
  name: string;
  unit: string;
  value: number;
  /** The hand-written side's value, or the demand; NaN where there is neither. */
  against: number;
  ratio: number;
  /** Smallest and largest ratio of the rounds. */
  range: [number, number];
  /** The machine's load average over one minute, this benchmark's own work included. */
  load: number;
}

interface Measured {
  key: Exclude<keyof Sample, "load">;
  title: string;
  unit: string;
  /** The hand-written side has none of it; what it shows is the servers' own unrest. */
  isOursOnly?: true;
}

export const measured: Measured[] = [
  { key: "latency", title: "latency p50, one run at a time", unit: "ms" },
  { key: "throughput", title: "throughput, 20 at once", unit: "runs/s" },
  { key: "workerCpu", title: "CPU of the worker", unit: "ms/step" },
  { key: "temporalCpu", title: "CPU of the Temporal server", unit: "ms/step" },
  { key: "postgresCpu", title: "CPU of Postgres", unit: "ms/step", isOursOnly: true },
  { key: "cpu", title: "CPU of all three", unit: "ms/step" },
  { key: "historyEvents", title: "history events", unit: "events/run" },
  { key: "historyBytes", title: "history size", unit: "bytes/run" },
];

/** Medians over the rounds. The ratio is the median of each round's own: noise that lasts longer than a round falls out. */
export function figuresOf(workload: WorkloadName, samples: Samples): Figure[] {
  const theirs = samples["hand-written"];
  return ourModes.flatMap((mode) =>
    measured.flatMap((what) => figureOf(`${workload}.${mode}.${what.key}`, what, { ours: samples[mode], theirs })),
  );
}

function figureOf(name: string, { key, unit, isOursOnly }: Measured, { ours, theirs }: { ours: Sample[]; theirs: Sample[] }): Figure[] {
  const values = ours.map((sample) => sample[key]);
  const others = theirs.map((sample) => sample[key]);
  if (!isKnown(values) || !isKnown(others)) return [];
  const load = median(ours.map((sample) => sample.load));
  return [{ ...against({ name, unit, values, others }), ...(isOursOnly && noRatio), load }];
}

/** Each round's value beside the other side's of the same round. */
export function against({ name, unit, values, others }: { name: string; unit: string; values: number[]; others: number[] }): Figure {
  const ratios = values.map((value, round) => value / others[round]!);
  const range: [number, number] = [Math.min(...ratios), Math.max(...ratios)];
  return { name, unit, value: median(values), against: median(others), ratio: median(ratios), range, load: Number.NaN };
}

const noRatio = { ratio: Number.NaN, range: [Number.NaN, Number.NaN] as [number, number] };

const isKnown = (values: (number | undefined)[]): values is number[] => values.every((value) => value !== undefined);
