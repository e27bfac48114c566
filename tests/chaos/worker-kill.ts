import { setTimeout as sleep } from "node:timers/promises";
import type { Campaign } from "./campaigns.ts";
import { call, noticedSoon, toolCall } from "./steps.ts";

const runs = 12;
const slipMaxMs = 60;

/**
 * kill -9 of the worker while every run stands at the same place of its second call. Half of the trials let the runs go
 * and kill a moment later: then each run is somewhere else.
 */
export const workerKill = (moment: "before" | "during" | "after"): Campaign => ({
  async act(trial) {
    const { random, stage } = trial;
    const workflow = await trial.publish([call(trial, "a", noticedSoon), toolCall(trial, "b", noticedSoon), call(trial, "c", noticedSoon)]);
    const place = moment === "during" ? random.oneOf(["a", "b", "c"]) : `b/${moment}`;
    const hold = trial.hold(place);
    await trial.startMany(runs, workflow);
    await trial.until(`${runs} calls held at ${place}`, () => hold.count() >= runs);
    const slipMs = random.oneOf([undefined, random.upTo(slipMaxMs)]);
    if (slipMs !== undefined) await letGo(hold.release, slipMs);
    await stage.parts.kill("worker");
    hold.release();
    await stage.parts.start("worker");
    return slipMs === undefined ? `${runs} runs held at ${place}` : `${slipMs} ms after ${runs} runs were let go at ${place}`;
  },
});

async function letGo(release: () => void, slipMs: number): Promise<void> {
  release();
  await sleep(slipMs);
}
