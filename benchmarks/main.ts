import { parseArgs } from "node:util";
import { measureBoot } from "./boot.ts";
import { figuresOf } from "./figure.ts";
import { describeCommit, describeMachine, laptopTemporalVersion } from "./machine.ts";
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
  if (options.workloads.length > 0) await benchWorkloads(options, commit);
  if (options.boot) await benchBoot(options, commit);
}

/** Each workload is shown as soon as it is measured. */
async function benchWorkloads({ workloads: names, rounds, json }: Options, commit: string): Promise<void> {
  const bed = await openTestBed(log);
  try {
    const origin = { machine: describeMachine(bed.serverVersion), commit };
    if (!json) printOrigin(origin);
    for (const name of names) {
      const figures = figuresOf(name, await measure(workloads[name], bed, { rounds, log }));
      if (json) printJson(figures, origin);
      else printWorkload(name, figures);
    }
    if (!json) printLegend();
  } finally {
    await bed.close();
  }
}

async function benchBoot({ json, workloads: before }: Options, commit: string): Promise<void> {
  const origin = { machine: describeMachine(await laptopTemporalVersion()), commit };
  const figures = await measureBoot(log);
  if (json) return printJson(figures, origin);
  if (before.length === 0) printOrigin(origin);
  printBoot(figures);
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
