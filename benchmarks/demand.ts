import type { Figure } from "./figure.ts";
import { loadOfMachine } from "./machine.ts";

/** One measured value beside the value that is asked for (absent: none is). `ratio` is value / demand, whichever side is the good one. */
export function figure(name: string, { value, unit, demand = Number.NaN }: { value: number; unit: string; demand?: number }): Figure {
  const ratio = demand === 0 ? Number.NaN : value / demand;
  return { name, unit, value, against: demand, ratio, range: [ratio, ratio], load: loadOfMachine() };
}
