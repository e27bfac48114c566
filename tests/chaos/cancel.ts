import { setTimeout as sleep } from "node:timers/promises";
import type { Campaign } from "./campaigns.ts";
import { call, noticedSoon } from "./steps.ts";

const runs = 12;
const calls = 30;
/** Longer than a run may still call after its cancel. */
const listenMs = 7_000;

/** Runs that call the outside all the time are cancelled; half of the time the worker is killed at that moment. */
export const cancel: Campaign = {
  async act(trial) {
    const { random, stage, caller } = trial;
    const steps = Array.from({ length: calls }, (_, n) => [
      call(trial, `call${n}`, noticedSoon),
      { id: `pause${n}`, type: "wait", duration: "400ms" },
    ]);
    const workflow = await trial.publish(steps.flat());
    const isWorkerKilled = random.upTo(1) === 0;
    const ids = await trial.startMany(runs, workflow, "canceled");
    const afterMs = random.upTo(1_500);
    await sleep(afterMs);
    const asked = ids.map((run) => caller.insist(`/api/v2/runs/${run}/cancel`, { method: "POST", body: {} }, 60_000));
    if (isWorkerKilled) await stage.parts.kill("worker");
    await Promise.all(asked);
    // Who is to hear of it must be there.
    if (isWorkerKilled) await stage.parts.start("worker");
    const time = Date.now();
    trial.cancels.push(...ids.map((run) => ({ run, time })));
    await sleep(listenMs);
    return `${afterMs} ms after the start of ${runs} runs${isWorkerKilled ? ", the worker killed" : ""}`;
  },
};
