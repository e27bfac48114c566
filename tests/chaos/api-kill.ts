import { setTimeout as sleep } from "node:timers/promises";
import type { Campaign } from "./campaigns.ts";
import { executionsOf } from "./collect.ts";
import { call } from "./steps.ts";

const starts = 15;
const killWithinMs = 120;

/**
 * kill -9 of the API while it takes a burst of starts: some are answered, some are begun and not answered, some are not
 * begun. Each client sends its request again, with the same key, until it is accepted.
 */
export const apiKill: Campaign = {
  async act(trial) {
    const { random, stage, caller } = trial;
    const workflow = await trial.publish([call(trial, "a")]);
    const body = { workflow };
    const prepared = Array.from({ length: starts }, () => trial.prepare("completed"));
    const burst = prepared.map(({ key }) => caller.ask("/api/v2/runs", { method: "POST", key, body }));
    const killAfterMs = random.upTo(killWithinMs);
    await sleep(killAfterMs);
    await stage.parts.kill("api");
    const answered = (await Promise.all(burst)).filter(({ status }) => status === 202).length;
    const begun = await executionsOf(
      stage.temporal,
      [workflow],
      prepared.map(({ start }) => start.run),
    );
    await stage.parts.start("api");
    for (const { key, start } of prepared) {
      const { status, body: said } = await caller.insist("/api/v2/runs", { method: "POST", key, body }, 60_000);
      if (status !== 202 || said.id !== start.run) throw new Error(`The start with key ${key} was answered ${status}, run ${said.id}.`);
      start.isAccepted = true;
    }
    return `${killAfterMs} ms into ${starts} starts, ${begun.length} begun, ${answered} answered`;
  },
};
