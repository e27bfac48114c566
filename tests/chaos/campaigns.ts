import { apiKill } from "./api-kill.ts";
import { cancel } from "./cancel.ts";
import { away, redisFlush } from "./away.ts";
import { effectKill } from "./effect-kill.ts";
import type { Invariant } from "./invariants/evidence.ts";
import { poison } from "./poison.ts";
import { rolling } from "./rolling.ts";
import { terminate } from "./terminate.ts";
import type { Trial } from "./trial.ts";
import { workerKill } from "./worker-kill.ts";

/** A kind of fault. */
export interface Campaign {
  /** Do it, at a moment that the trial's chance chooses; gives the moment in words. Every part lives again afterwards. */
  act(trial: Trial): Promise<string>;
  /** Beside what always holds. */
  also?: Invariant[];
  /** Longer than usual where only reconcile can tell the end. */
  agreesWithinMs?: number;
}

export const campaigns = {
  "worker-kill-before": workerKill("before"),
  "worker-kill-during": workerKill("during"),
  "worker-kill-after": workerKill("after"),
  "effect-kill": effectKill,
  "api-kill": apiKill,
  rolling,
  "temporal-away": away("temporal"),
  "postgres-away": away("postgres"),
  "redis-away": away("redis"),
  "redis-flush": redisFlush,
  cancel,
  terminate,
  poison,
} as const satisfies Record<string, Campaign>;

export type CampaignName = keyof typeof campaigns;
export const campaignNames = Object.keys(campaigns) as CampaignName[];
