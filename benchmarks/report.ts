import { measured, type Figure } from "./figure.ts";
import { modeNames, modeTitle, ourModes } from "./modes.ts";
import { workloads, type WorkloadName } from "./workloads.ts";

export interface Origin {
  machine: string;
  commit: string;
}

/** One JSON object per figure. `against` and `ratio` are null where there is nothing to hold it against. */
export function printJson(figures: Figure[], { machine, commit }: Origin): void {
  for (const { name, value, unit, against, ratio, load } of figures)
    console.log(
      JSON.stringify({
        figure: name,
        value: rounded(value),
        unit,
        against: rounded(against),
        ratio: rounded(ratio),
        load: rounded(load),
        machine,
        commit,
      }),
    );
}

export function printOrigin({ machine, commit }: Origin): void {
  console.log(`\nmachine  ${machine}\ncommit   ${commit}\ndate     ${new Date().toISOString().slice(0, 10)}`);
}

/** × is the median of the rounds' own ratios to hand-written, in brackets the smallest and the largest. */
export function printWorkload(name: WorkloadName, figures: Figure[]): void {
  console.log(`\n${name}  ${workloads[name].title}`);
  printTable(["", "hand-written", ...ourModes.flatMap((mode) => [mode, "×"]), "load"], rowsOf(name, figures));
}

function rowsOf(name: WorkloadName, figures: Figure[]): string[][] {
  return measured.flatMap(({ key, title, unit }) => {
    const ours = ourModes.flatMap((mode) => figures.filter((figure) => figure.name === `${name}.${mode}.${key}`));
    if (ours.length < ourModes.length) return [];
    const cells = ours.flatMap((figure) => [shown(figure.value), times(figure)]);
    return [[`${title}, ${unit}`, shown(ours[0]!.against), ...cells, shown(ours[0]!.load)]];
  });
}

export function printLegend(): void {
  console.log("");
  for (const mode of modeNames) console.log(`${mode.padEnd(13)} ${modeTitle(mode)}`);
  console.log("× = ratio to hand-written, median of the rounds (smallest–largest). A wide range says that the machine did other work.");
}

/** Figures that have a demand, or none of their own. */
export function printFigures(title: string, figures: Figure[]): void {
  console.log(`\n${title}`);
  const rows = figures.map((figure) => [
    `${figure.name.slice(figure.name.indexOf(".") + 1)}, ${figure.unit}`,
    shown(figure.value),
    shown(figure.against),
    times(figure),
    shown(figure.load),
  ]);
  printTable(["", "measured", "demand", "×", "load"], rows);
}

export function printTable(head: string[], rows: string[][]): void {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)));
  for (const cells of all)
    console.log(cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("  "));
}

export const times = ({ ratio, range: [low, high] }: Figure): string =>
  Number.isNaN(ratio) ? "–" : `${ratio.toFixed(2)}${low === high ? "" : ` (${low.toFixed(2)}–${high.toFixed(2)})`}`;

export const shown = (value: number): string => {
  if (Number.isNaN(value)) return "–";
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(value >= 10 ? 1 : 2);
};

const rounded = (value: number): number => Number(value.toPrecision(5));
