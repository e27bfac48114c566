import { setTimeout as sleep } from "node:timers/promises";
import type { Campaign } from "./campaigns.ts";
import { answersNotCut } from "./invariants/prompt-answers.ts";
import { underLoad } from "./load.ts";
import { ordinary } from "./steps.ts";

/** SIGTERM to worker and API, one after the other, as an upgrade does. */
export const rolling: Campaign = {
  also: [answersNotCut],
  async act(trial) {
    const { random, stage } = trial;
    const workflow = await trial.publish(ordinary(trial));
    const order = random.oneOf([
      ["worker", "api"],
      ["api", "worker"],
    ] as const);
    await underLoad(trial, workflow, async () => {
      for (const part of order) {
        await sleep(random.upTo(400));
        await stage.parts.kill(part, "SIGTERM");
        await stage.parts.start(part);
      }
    });
    return `${order.join(", then ")}`;
  },
};
