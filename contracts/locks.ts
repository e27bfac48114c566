import type { LockKind } from "./ids.ts";
import type { Problem } from "./faults.ts";

/** What runs and a lock's workflow say to each other. */

/** Who asks. `ticket` is the step's path and attempt: with the run it says for what, so that asking twice is asking once. */
export interface LockPlace {
  run: string;
  ticket: string;
}

export interface LockAsk extends LockPlace {
  /** How many may hold the lock for this one to be let in. */
  limit: number;
  /** What becomes of it when there is no free place. */
  onLimit: "queue" | "reject" | "cancelOldest";
}

/** The lock's word to a run. Told again when asked again. */
export interface LockAnswer {
  kind: LockKind;
  key: string;
  ticket: string;
  state: "granted" | "waiting" | "refused";
  /** Why it was refused. */
  problem?: Problem;
}

/** All that a lock is: carried along when it continues as new. */
export interface LockState {
  /** The oldest first. */
  holders: LockAsk[];
  /** In the order of asking. */
  line: LockAsk[];
  /** Runs that were asked to stop and have not yet. */
  leaving: string[];
}

export interface LockArguments {
  tenant: string;
  kind: LockKind;
  key: string;
  state?: LockState;
}

/** `ended`: runs are over, whatever they held. */
export const lockSignals = { ask: "ask", release: "release", ended: "ended" } as const;

/** Gives the `LockState`. */
export const lockQuery = "lock";
