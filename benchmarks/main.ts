import { parseArgs } from "node:util";
import { measureAgent } from "./agent.ts";
import { measureAgents } from "./agents.ts";
import { measureBoot } from "./boot.ts";
import { figuresOf, type Figure } from "./figure.ts";
import { measureFloor } from "./floor.ts";
import { printFloor } from "./floor-report.ts";
import { measureHandover } from "./handover.ts";
import { measureLong } from "./long.ts";
import { describeCommit, describeMachine, laptopTemporalVersion } from "./machine.ts";
import { measure } from "./measure.ts";
import { measureMessages } from "./messages.ts";
import { measureModel } from "./model.ts";
import { measureParked } from "./parked.ts";
import { printFigures, printJson, printLegend, printOrigin, printWorkload, type Origin } from "./report.ts";
import { printRivals } from "./rivals/report.ts";
import { measureRivals } from "./rivals/rivals.ts";
import { fullTemporalVersion } from "./rivals/full-temporal.ts";
import { measureQuota } from "./quota.ts";
import { measureSize } from "./size.ts";
import { measureStored } from "./stored.ts";
import { measureTokens } from "./tokens.ts";
import { withTestBed } from "./test-bed.ts";
import { workloadNames, workloads, type WorkloadName } from "./workloads.ts";
import { messageOf } from "../contracts/faults.ts";

// docs/benchmarks.md. Prints; never judges.
const log = (line: string): void => console.error(line);

interface Options {
  rounds: number;
  runs: number | undefined;
  steps: number | undefined;
  json: boolean;
  log: typeof log;
}

/** Benchmarks whose figures stand beside a demand, or alone. */
const others: Record<string, { title: string; measure: (options: Options) => Promise<Figure[]> }> = {
  boot: { title: "boot: `npm start` until everything serves", measure: measureBoot },
  handover: {
    title: "handover: end of a step until the start of the next, no-op `tool` steps, remote and short",
    measure: measureHandover,
  },
  stored: { title: "stored: answers of the API with 100,000 runs and 1,000,000 events in the tables", measure: measureStored },
  parked: { title: "parked: runs that wait for a person", measure: measureParked },
  size: { title: "size: the workflow bundle, and the heap of a cached run of W1", measure: measureSize },
  agent: { title: "agent: a long conversation with many tool calls", measure: measureAgent },
  model: { title: "model: 12 calls of a model that answers at once, beside 12 hand-written no-op activities", measure: measureModel },
  agents: { title: "agents: many at once, each with model calls of 2 s and calls of a tool", measure: measureAgents },
  quota: { title: "quota: 200 runs on 60 requests and 100,000 tokens within a window of 30 s", measure: measureQuota },
  tokens: { title: "tokens: from the provider's word to the reader of the run's events", measure: measureTokens },
  messages: { title: "messages: from the 202 to the mailbox of the agent", measure: measureMessages },
  long: { title: "long: runs that do not fit into one history", measure: measureLong },
};

const usage = `npm run bench -- [${[...workloadNames, "rivals", ...Object.keys(others), "all"].join("|")}] [--floor] [--json] [--rounds N] [--runs N] [--steps N]`;

// By `exit`, not by the signal itself: what this process has started is ended then.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.once(signal as "disconnect", () => process.exit(1));

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
process.exit();

async function main(args: string[]): Promise<void> {
  const { what, isFloor, ...options } = readOptions(args);
  const commit = await describeCommit();
  const chosen = workloadNames.filter((name) => what === "all" || what === name);
  if (isFloor) return benchFloor(options, commit);
  if (chosen.length > 0) await benchWorkloads(chosen, options, commit);
  if (what === "rivals") return benchRivals(options, commit);
  const names = what === "all" ? ["boot"] : Object.keys(others).filter((name) => name === what);
  for (const name of names) await benchOther(name, options, commit);
}

/** Each workload is shown as soon as it is measured. */
async function benchWorkloads(names: WorkloadName[], { rounds, json }: Options, commit: string): Promise<void> {
  await withTestBed({ log, only: ["temporal", "postgres", "redis", "worker"] }, async (bed) => {
    const origin = { machine: describeMachine(bed.serverVersion), commit };
    if (!json) printOrigin(origin);
    for (const name of names) {
      const figures = figuresOf(name, await measure(workloads[name], bed, { rounds, log }));
      if (json) printJson(figures, origin);
      else printWorkload(name, figures);
    }
    if (!json) printLegend();
  });
}

async function benchFloor(options: Options, commit: string): Promise<void> {
  await withTestBed({ log }, async (bed) => {
    const figures = await measureFloor(bed, options);
    show(options, figures, { machine: describeMachine(bed.serverVersion), commit }, () => printFloor(figures));
  });
}

async function benchRivals(options: Options, commit: string): Promise<void> {
  const compared = await measureRivals(options);
  const origin = { machine: describeMachine(`${fullTemporalVersion}, full, on Postgres`), commit };
  show(options, compared.figures, origin, () => printRivals(compared));
}

async function benchOther(name: string, options: Options, commit: string): Promise<void> {
  const { title, measure: measureIt } = others[name]!;
  const figures = await measureIt(options);
  const origin = { machine: describeMachine(await laptopTemporalVersion()), commit };
  show(options, figures, origin, () => printFigures(title, figures));
}

function show({ json }: Options, figures: Figure[], origin: Origin, print: () => void): void {
  if (json) return printJson(figures, origin);
  printOrigin(origin);
  print();
}

function readOptions(args: string[]): Options & { what: string; isFloor: boolean } {
  const { values, positionals } = parse(args);
  const [what = "all", ...more] = positionals;
  const isFloor = values.floor;
  const isKnown = ["all", "rivals"].includes(what) || what in others || (workloadNames as readonly string[]).includes(what);
  const numbers = [values.rounds, values.runs, values.steps].map((text) => (text === undefined ? undefined : Number(text)));
  const isBad = numbers.some((number) => number !== undefined && (!Number.isInteger(number) || number < 1));
  if (more.length > 0 || !isKnown || isBad || (isFloor && !["all", "W1"].includes(what))) throw new Error(`Usage: ${usage}`);
  const [rounds = 5, runs, steps] = numbers;
  return { what, isFloor, rounds, runs, steps, json: values.json, log };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        floor: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        rounds: { type: "string" },
        runs: { type: "string" },
        steps: { type: "string" },
      },
    });
  } catch (cause) {
    throw new Error(`${messageOf(cause)}\nUsage: ${usage}`, { cause });
  }
}
