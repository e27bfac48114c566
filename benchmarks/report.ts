import { measured, type Figure } from "./figure.ts";
import { modeNames, modeTitles } from "./modes.ts";
import { workloads, type WorkloadName } from "./workloads.ts";

export interface Origin {
  machine: string;
  commit: string;
}

/** One JSON object per figure. `ratio` is null where the hand-written side has nothing of the kind. */
export function printJson(figures: Figure[], { machine, commit }: Origin): void {
  for (const { name, value, unit, against, ratio } of figures)
    console.log(
      JSON.stringify({ figure: name, value: rounded(value), unit, against: rounded(against), ratio: rounded(ratio), machine, commit }),
    );
}

export function printOrigin({ machine, commit }: Origin): void {
  console.log(`\nmachine  ${machine}\ncommit   ${commit}\ndate     ${new Date().toISOString().slice(0, 10)}`);
}

/** × is the median of the rounds' own ratios to hand-written, in brackets the smallest and the largest. */
export function printWorkload(name: WorkloadName, figures: Figure[]): void {
  console.log(`\n${name}  ${workloads[name].title}`);
  console.log(row(["", "hand-written", "tool", "×", "activity", "×"]));
  for (const { key, title, unit } of measured) {
    const [tool, activity] = ["tool", "activity"].map((mode) => figures.find((figure) => figure.name === `${name}.${mode}.${key}`));
    if (!tool || !activity) continue;
    console.log(row([`${title}, ${unit}`, shown(tool.against), shown(tool.value), times(tool), shown(activity.value), times(activity)]));
  }
}

export function printLegend(): void {
  console.log("");
  for (const mode of modeNames) console.log(`${mode.padEnd(13)} ${modeTitles[mode]}`);
  console.log("× = ratio to hand-written, median of the rounds (smallest–largest). A wide range says that the machine did other work.");
}

export function printBoot(figures: Figure[]): void {
  console.log(`\nboot  \`npm start\` until everything serves`);
  console.log(row(["", "demand", "median", "×"]));
  for (const figure of figures)
    console.log(row([`${figure.name.slice("boot.".length)}, ms`, shown(figure.against), shown(figure.value), times(figure)]));
}

const widths = [42, 14, 10, 20, 10, 20];

const row = (cells: string[]): string =>
  cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[index]!))).join("");

const times = ({ ratio, range: [low, high] }: Figure): string =>
  Number.isNaN(ratio) ? "–" : `${ratio.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;

const shown = (value: number): string => (value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(value >= 10 ? 1 : 2));

const rounded = (value: number): number => Number(value.toPrecision(5));
