import { printTable, shown, times } from "../report.ts";
import { compared, rivalMeasures, type Compared } from "./rivals.ts";

/** A row per contender. × is the ratio to hand-written, median of the rounds (smallest–largest). */
export function printRivals({ contenders, figures }: Compared): void {
  const measures = Object.entries(rivalMeasures);
  for (const [workload, title] of Object.entries(compared)) {
    console.log(`\n${workload}  ${title}`);
    const rows = contenders.map(({ name }) => {
      const own = measures.map(([what]) => figures.find((figure) => figure.name === `rivals.${workload}.${name}.${what}`)!);
      return [name, ...own.flatMap((figure) => [shown(figure.value), times(figure)]), shown(own[0]!.load)];
    });
    printTable(["", ...measures.flatMap(([what, { unit }]) => [`${what}, ${unit}`, "×"]), "load"], rows);
  }
  console.log("");
  for (const [what, { title }] of measures) console.log(`${what.padEnd(13)} ${title}`);
  for (const { name, title } of contenders) console.log(`${name.padEnd(13)} ${title}`);
}
