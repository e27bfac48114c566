import { setTimeout as sleep } from "node:timers/promises";
import type { Trial } from "./trial.ts";

const readEveryMs = 250;
/** Clients that wait for an answer at the same time. */
const clientsMax = 30;

/** Start runs and read them, as clients do, while something happens; resolves when every start was accepted. */
export async function underLoad(trial: Trial, workflow: string, happening: () => Promise<void>, startEveryMs = 400): Promise<void> {
  let isOver = false;
  const pending = new Set<Promise<unknown>>();
  const failures: unknown[] = [];
  const keepStarting = async (): Promise<void> => {
    for (; !isOver; await sleep(startEveryMs)) {
      if (pending.size >= clientsMax) continue;
      const start = trial
        .start(workflow)
        .catch((error: unknown) => failures.push(error))
        .finally(() => pending.delete(start));
      pending.add(start);
    }
  };
  const keepReading = async (): Promise<void> => {
    for (; !isOver; await sleep(readEveryMs)) {
      const accepted = trial.starts.findLast(({ isAccepted }) => isAccepted);
      await Promise.all(["", ...(accepted ? [`/${accepted.run}`] : [])].map((place) => trial.caller.ask(`/api/v2/runs${place}`)));
    }
  };
  const traffic = [keepStarting(), keepReading()];
  try {
    // Some runs are under way when it happens.
    await sleep(1_500);
    await happening();
    await sleep(500);
  } finally {
    isOver = true;
    await Promise.all([...traffic, ...pending]);
  }
  if (failures.length > 0) throw failures[0];
}
