import { parseArgs } from "node:util";
import { measureBoot } from "./boot.ts";
import { figuresOf, type Figure } from "./figure.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { measure } from "./measure.ts";
import { printBoot, printJson, printLegend, printOrigin, printWorkload } from "./report.ts";
import { openTestBed } from "./test-bed.ts";
import { workloadNames, workloads, type WorkloadName } from "./workloads.ts";

// `npm run bench -- [W1|W2|W3|boot|all] [--json] [--rounds N]`: docs/benchmarks.md. Prints; never judges.
const usage = "npm run bench -- [W1|W2|W3|boot|all] [--json] [--rounds N]";
const log = (line: string): void => console.error(line);

interface Options {
  workloads: WorkloadName[];
  boot: boolean;
  json: boolean;
  rounds: number;
}

// By `exit`, not by the signal itself: what this process has started is ended then.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.once(signal as "disconnect", () => process.exit(1));

try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
process.exit();

async function main(options: Options): Promise<void> {
  const commit = await describeCommit();
  const figures = new Map<WorkloadName, Figure[]>();
  let machine = describeMachine();
  if (options.workloads.length > 0) {
    const bed = await openTestBed(log);
    try {
      machine = describeMachine(bed.serverVersion);
      for (const name of options.workloads)
        figures.set(name, figuresOf(name, await measure(workloads[name], bed, { rounds: options.rounds, log })));
    } finally {
      await bed.close();
    }
  }
  const boot = options.boot ? await measureBoot(log) : [];
  if (options.json) return printJson([...figures.values(), boot].flat(), { machine, commit });
  printOrigin({ machine, commit });
  for (const [name, each] of figures) printWorkload(name, each);
  if (figures.size > 0) printLegend();
  if (options.boot) printBoot(boot);
}

function readOptions(args: string[]): Options {
  const { values, positionals } = parse(args);
  const [what = "all", ...more] = positionals;
  const rounds = Number(values.rounds);
  const chosen = workloadNames.filter((name) => what === "all" || what === name);
  const boot = what === "all" || what === "boot";
  if (more.length > 0 || (chosen.length === 0 && !boot) || !Number.isInteger(rounds) || rounds < 1) throw new Error(`Usage: ${usage}`);
  return { workloads: chosen, boot, json: values.json, rounds };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, rounds: { type: "string", default: "5" } },
    });
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}\nUsage: ${usage}`, { cause });
  }
}
