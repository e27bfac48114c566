import path from "node:path";
import { parseArgs } from "node:util";
import { describeCommit, describeMachine, laptopTemporalVersion } from "../../benchmarks/machine.ts";
import { startTestStack } from "../stack/test-stack.ts";
import { campaignNames, type CampaignName } from "./campaigns.ts";
import { openStage } from "./stage.ts";
import { runTrial, type TrialOptions, type Verdict } from "./trial.ts";
import { messageOf } from "../../contracts/faults.ts";

// `npm run chaos`: docs/chaos.md. One line for each trial; exit code 1 when one is broken.
const usage = "npm run chaos -- [--campaign <name or its beginning>] [--trials N] [--seed S] [--away seconds] [--json]";

interface Options extends Omit<TrialOptions, "seed"> {
  chosen: CampaignName[];
  trials: number;
  firstSeed: number;
  json: boolean;
}

// By `exit`, not by the signal itself: what this process has started is ended then.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.once(signal as "disconnect", () => process.exit(1));

try {
  const broken = await main(readOptions(process.argv.slice(2)));
  process.exitCode = broken > 0 ? 1 : 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
process.exit();

/** Gives the number of broken trials. */
async function main(options: Options): Promise<number> {
  const commit = await describeCommit();
  const test = await startTestStack({ TENUTO_TOOLS: path.join(import.meta.dirname, "tools.ts") });
  const stage = await openStage(test);
  if (!options.json) console.log(`${describeMachine(await laptopTemporalVersion())}; commit ${commit}`);
  const verdicts: Verdict[] = [];
  try {
    for (const name of options.chosen) {
      for (let n = 0; n < options.trials; n += 1) {
        const verdict = await runTrial(stage, name, { ...options, seed: options.firstSeed + n });
        verdicts.push(verdict);
        console.log(options.json ? JSON.stringify({ commit, ...verdict }) : lineOf(verdict, commit));
      }
    }
  } finally {
    await stage.close();
    await test.stop();
  }
  const broken = verdicts.filter((verdict) => verdict.broken.length > 0).length;
  const summary = { trials: verdicts.length, held: verdicts.length - broken, broken };
  console.log(options.json ? JSON.stringify(summary) : `${summary.trials} trials, ${summary.held} held, ${summary.broken} broken`);
  return broken;
}

function lineOf({ seed, fault, moment, runs, settledMs, broken }: Verdict, commit: string): string {
  const verdict = broken.length === 0 ? "held" : `BROKEN: ${broken.join("; ")}`;
  return `seed ${seed}  commit ${commit}  ${fault}  ${moment}  ${runs} runs settled in ${(settledMs / 1_000).toFixed(1)} s  ${verdict}`;
}

function readOptions(args: string[]): Options {
  const values = parse(args);
  const chosen = campaignNames.filter((name) => name.startsWith(values.campaign));
  const numbers = [values.trials, values.seed, values.away].map(Number);
  const [trials, firstSeed, away] = numbers as [number, number, number];
  const isWrong = chosen.length === 0 || numbers.some((number) => !(number >= 0)) || !Number.isInteger(trials) || trials < 1;
  if (isWrong) throw new Error(`Usage: ${usage}\nCampaigns: ${campaignNames.join(", ")}`);
  return { chosen, trials, firstSeed, awayMs: away * 1_000, patience: 1, json: values.json };
}

function parse(args: string[]) {
  const text = (standard: string) => ({ type: "string", default: standard }) as const;
  try {
    return parseArgs({
      args,
      options: {
        campaign: text(""),
        trials: text("1"),
        seed: text("1"),
        away: text("10"),
        json: { type: "boolean", default: false },
      },
    }).values;
  } catch (cause) {
    throw new Error(`${messageOf(cause)}\nUsage: ${usage}`, { cause });
  }
}
