import { setTimeout as sleep } from "node:timers/promises";
import { runIdFor } from "../../api/begin.ts";
import type { RunStatus } from "../../contracts/events.ts";
import type { Hold } from "../servers/ledger-server.ts";
import { Caller } from "./caller.ts";
import { campaigns, type Campaign, type CampaignName } from "./campaigns.ts";
import type { Cancel, Start } from "./invariants/evidence.ts";
import { Random } from "./random.ts";
import { settle } from "./settle.ts";
import type { Stage } from "./stage.ts";

export interface TrialOptions {
  seed: number;
  /** How long a server is away. */
  awayMs: number;
  /** Factor on the times by which all must be well; a loaded machine needs more. */
  patience: number;
}

export interface Verdict {
  fault: CampaignName;
  seed: number;
  moment: string;
  broken: string[];
  runs: number;
  /** From the fault's end until every run had ended and all books agreed. */
  settledMs: number;
}

/** One fault at one moment, and whether all held. */
export async function runTrial(stage: Stage, fault: CampaignName, options: TrialOptions): Promise<Verdict> {
  const campaign: Campaign = campaigns[fault];
  const trial = new Trial(stage, options);
  const result = (moment: string, broken: string[], settledMs: number): Verdict => ({
    fault,
    seed: options.seed,
    moment,
    broken,
    runs: trial.starts.length,
    settledMs,
  });
  try {
    const moment = await campaign.act(trial);
    await stage.parts.heal();
    const { broken, settledMs } = await settle(trial, campaign);
    return result(moment, broken, settledMs);
  } catch (error) {
    return result("", [`the trial itself broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`], 0);
  } finally {
    trial.holds.forEach((hold) => hold.release());
    await stage.parts.heal();
  }
}

let trials = 0;

/** What a campaign does with the stage, and what came of it. */
export class Trial {
  readonly stage: Stage;
  readonly options: TrialOptions;
  /** Name of its definition, and of its place in the outside. */
  readonly id: string;
  readonly random: Random;
  readonly caller: Caller;
  /** Definitions that its runs are of. */
  readonly workflows: string[] = [];
  readonly starts: Start[] = [];
  readonly cancels: Cancel[] = [];
  readonly holds: Hold[] = [];

  constructor(stage: Stage, options: TrialOptions) {
    this.stage = stage;
    this.options = options;
    this.id = `chaos-${options.seed}-${process.pid}-${(trials += 1)}`;
    this.random = new Random(options.seed);
    this.caller = new Caller(stage);
  }

  url(step: string): string {
    return `${this.stage.ledger.url}/${this.id}/${step}`;
  }

  /** A definition of its own; `suffix` tells several apart. Gives its name. */
  async publish(steps: object[], suffix = ""): Promise<string> {
    const name = `${this.id}${suffix}`;
    const asked = { method: "POST", body: { name, version: "1.0.0", steps } } as const;
    const { status, body } = await this.caller.insist("/api/v2/workflows", asked, 60_000 * this.options.patience);
    // 200: it was published before, and the answer came too late.
    if (status !== 201 && status !== 200) throw new Error(`Not published (${status}): ${JSON.stringify(body)}`);
    this.workflows.push(name);
    return name;
  }

  /** One run, asked for until it is accepted. */
  async start(workflow: string, ends: RunStatus = "completed"): Promise<string> {
    const { key, start } = this.prepare(ends);
    const patienceMs = this.options.awayMs + 60_000 * this.options.patience;
    const { status, body } = await this.caller.insist("/api/v2/runs", { method: "POST", key, body: { workflow } }, patienceMs);
    if (status !== 202) throw new Error(`Not started (${status}): ${JSON.stringify(body)}`);
    start.isAccepted = true;
    if (body.id !== start.run) throw new Error(`The key of ${start.run} has started ${body.id}.`);
    return start.run;
  }

  /** A run that branches off from one that has ended, asked for until it is accepted. */
  async fork(of: string, body: object): Promise<void> {
    const key = `${this.id}-fork-${of}`;
    const start: Start = { run: runIdFor("default", ["fork", of, key]), isAccepted: false, ends: "completed" };
    this.starts.push(start);
    const path = `/api/v2/runs/${of}/fork`;
    const { status } = await this.caller.insist(path, { method: "POST", key, body }, 60_000 * this.options.patience);
    if (status !== 202) throw new Error(`Run ${of} was not forked (${status}).`);
    start.isAccepted = true;
  }

  /** A start that is yet to be sent. */
  prepare(ends?: RunStatus): { key: string; start: Start } {
    const key = `${this.id}-${this.starts.length}`;
    const start: Start = { run: runIdFor("default", ["start", key]), isAccepted: false, ...(ends === undefined ? {} : { ends }) };
    this.starts.push(start);
    return { key, start };
  }

  startMany = (count: number, workflow: string, ends?: RunStatus): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, () => this.start(workflow, ends)));

  /** Hold back the outside's answers at a place of this trial. */
  hold(place: string): Hold {
    const hold = this.stage.ledger.hold((path) => path === `/${this.id}/${place}`);
    this.holds.push(hold);
    return hold;
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    const patience = Date.now() + 60_000 * this.options.patience;
    while (!isSo()) {
      if (Date.now() > patience) throw new Error(`In vain waited for: ${what}`);
      await sleep(5);
    }
  }
}
