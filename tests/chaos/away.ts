import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import type { Server } from "../stack/protocol.ts";
import type { Campaign } from "./campaigns.ts";
import { answersNotCut } from "./invariants/prompt-answers.ts";
import { underLoad } from "./load.ts";
import { ordinary } from "./steps.ts";

/** A server is killed, or stopped so that nothing answers on its connections, and comes back later. */
export const away = (server: Server): Campaign => ({
  also: [answersNotCut],
  async act(trial) {
    const { random, stage, options } = trial;
    const workflow = await trial.publish(ordinary(trial));
    const how = random.oneOf(["killed", "frozen"] as const);
    await underLoad(trial, workflow, async () => {
      await sleep(random.upTo(500));
      if (how === "killed") await stage.parts.kill(server);
      else stage.parts.freeze(server);
      await sleep(options.awayMs);
      if (how === "killed") await stage.parts.start(server);
      else stage.parts.thaw(server);
    });
    return `${how} for ${options.awayMs / 1_000} s`;
  },
});

export const redisFlush: Campaign = {
  also: [answersNotCut],
  async act(trial) {
    const workflow = await trial.publish(ordinary(trial));
    const flushes = 1 + trial.random.upTo(4);
    const redis = new Redis(trial.stage.redisUrl);
    await underLoad(trial, workflow, async () => {
      for (let n = 0; n < flushes; n += 1) {
        await redis.flushall();
        await sleep(trial.random.upTo(500));
      }
    });
    redis.disconnect();
    return `${flushes} × FLUSHALL`;
  },
};
