import { setTimeout as sleep } from "node:timers/promises";
import { workflowIdOf } from "../../contracts/ids.ts";
import type { Campaign } from "./campaigns.ts";
import { call, noticedSoon } from "./steps.ts";

const parents = 4;
const children = 3;

/** Temporal's own terminate, past our API, of parents whose children are being started or at work. */
export const terminate: Campaign = {
  // Only reconcile can tell the end of a run that was terminated, and cancel what it left.
  agreesWithinMs: 60_000,
  async act(trial) {
    const { random, stage } = trial;
    // Until the books are closed: only a cancel ends a child.
    const hold = trial.hold("held");
    const child = await trial.publish([call(trial, "first"), call(trial, "held", noticedSoon)], "-child");
    const steps = [{ id: "c", type: "workflow", workflow: child }];
    const parent = await trial.publish([{ id: "f", type: "foreach", items: `\${range(${children})}`, concurrency: children, steps }]);
    const afterMs = random.upTo(random.oneOf([60, 1_500]));
    const isWorkerGone = random.upTo(2) === 0;
    const runs = await trial.startMany(parents, parent, "terminated");
    await sleep(afterMs);
    if (isWorkerGone) await stage.parts.kill("worker");
    await Promise.all(runs.map((run) => stage.temporal.workflow.getHandle(workflowIdOf("default", run)).terminate("chaos")));
    if (isWorkerGone) await stage.parts.start("worker");
    const worker = isWorkerGone ? ", the worker killed" : "";
    return `${afterMs} ms after ${parents} parents of ${children} children were started${worker}, ${hold.count()} children at work`;
  },
};
