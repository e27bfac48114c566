import { setTimeout as sleep } from "node:timers/promises";
import type { Campaign } from "./campaigns.ts";
import { ordinary } from "./steps.ts";
import { underLoad } from "./load.ts";
import type { Stage } from "./stage.ts";

// It lasts as long as the server takes to notice each of the crashes.
const startEveryMs = 700;
const attemptsMax = 3;

/** A step that takes the worker with it, each time it is tried. Somebody starts the worker again, as in production. */
export const poison: Campaign = {
  async act(trial) {
    const retry = { maxAttempts: attemptsMax, initialInterval: "100ms" };
    const short = trial.random.upTo(1) === 1;
    const crash = { id: "crash", type: "tool", tool: "chaos.crash", arguments: {}, short, heartbeat: "2s", retry };
    // Beside the walk it has no attempts: the crash is noticed, and it is called as any other.
    const crashesMax = attemptsMax + (short ? 1 : 0);
    const poisoned = await trial.publish([crash], "-poison");
    const workflow = await trial.publish(ordinary(trial));
    const supervisor = supervise(trial.stage);
    try {
      const act = async (): Promise<void> => {
        await sleep(trial.random.upTo(500));
        await ended(trial.stage, await trial.start(poisoned, "failed"));
      };
      await underLoad(trial, workflow, act, startEveryMs);
    } finally {
      await supervisor.end();
    }
    const crashes = supervisor.crashes();
    if (crashes > crashesMax) throw new Error(`The worker crashed ${crashes} times, not ${crashesMax} at most.`);
    return `a ${short ? "short " : ""}step that crashes the worker ${crashes} times`;
  },
};

async function ended(stage: Stage, run: string): Promise<void> {
  for (let tries = 0; tries < 480; tries += 1) {
    const row = await stage.database.run.findUnique({ where: { id: run } });
    if (row?.endedAt) return;
    await sleep(250);
  }
}

function supervise({ parts }: Stage): { crashes: () => number; end: () => Promise<void> } {
  let [isOver, crashes] = [false, 0];
  const watching = (async () => {
    for (; !isOver; await sleep(50)) {
      if (parts.isAlive("worker")) continue;
      crashes += 1;
      // It may die while it starts: the poison waits for it.
      await parts.start("worker").catch(() => undefined);
    }
  })();
  return {
    crashes: () => crashes,
    async end() {
      isOver = true;
      await watching;
    },
  };
}
