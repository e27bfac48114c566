/** Why a run is paused. It goes on when nothing holds it any more. */
export interface Hold {
  /** `run`; `tree:<run id>` of the run whose tree was paused; `definition:<name>`; `tenant`. */
  reason: string;
  by: string;
  /** ISO 8601. */
  at: string;
  /** Whether the run's timers stop as well, and keep what is left of them. */
  timers: Timers;
  why?: string;
}

export type Timers = "freeze" | "run";

/** Who holds a run: it was asked itself, what it was started by hands it down, or its definition or tenant is paused. */
export type HoldSource = "run" | "parent" | "platform";

/** All that one source holds a run for. A later word of the source (higher version) replaces the earlier. */
export interface Holds {
  source: Exclude<HoldSource, "run">;
  version: number;
  /** Who changed it last. */
  by: string;
  holds: Hold[];
}

/** As the run's record shows it. */
export type Held = Hold & { source: HoldSource };

export const holdReasons = {
  run: "run",
  tree: (run: string) => `tree:${run}`,
  definition: (name: string) => `definition:${name}`,
  tenant: "tenant",
} as const;
