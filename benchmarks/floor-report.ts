import type { Figure } from "./figure.ts";
import { partNames, parts, phases, type Part, type Phase } from "./floor.ts";
import { ourModes, type ModeName } from "./modes.ts";
import { printTable, shown, times } from "./report.ts";

/** One table per phase: milliseconds per step, and the share of the step's wall clock. */
export function printFloor(figures: Figure[]): void {
  for (const [phase, title] of Object.entries(phases)) {
    console.log(`\nW1, ${title}: ms per step, and % of the step's wall clock (CPU of two cores may overlap)`);
    const find = (mode: ModeName, part: Part) => figures.find(({ name }) => name === `floor.${phase as Phase}.${mode}.${part}`)!;
    const rows = partNames.map((part) => {
      const first = find(ourModes[0]!, part);
      const ours = ourModes.flatMap((mode) => {
        const figure = find(mode, part);
        return [shown(figure.value), percent(figure.value / find(mode, "wall").value), hasRatio(part) ? times(figure) : "–"];
      });
      return [parts[part], shown(first.against), percent(first.against / find(ourModes[0]!, "wall").against), ...ours];
    });
    const loads = ourModes.flatMap((mode) => [shown(find(mode, "wall").load), "", ""]);
    printTable(["", "hand-written", "%", ...ourModes.flatMap((mode) => [mode, "%", "×"])], [...rows, ["load", "", "", ...loads]]);
  }
}

const percent = (share: number): string => `${(share * 100).toFixed(0)}`;

// What the hand-written side has none of, and what is not about either side.
const hasRatio = (part: Part): boolean => !["postgres", "api", "redis", "others", "client", "queued"].includes(part);
