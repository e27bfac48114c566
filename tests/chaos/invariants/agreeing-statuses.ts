import { isTerminal, type RunStatus } from "../../../contracts/events.ts";
import type { Evidence } from "./evidence.ts";

/** The row of a run says what Temporal says. */
export function agreeingStatuses({ rows, executions }: Evidence): string[] {
  const statuses = new Map(executions.map(({ run, status }) => [run, status]));
  return rows
    .map(({ run, status }) => ({ run, status, inTemporal: statuses.get(run) }))
    .filter(({ status, inTemporal }) => inTemporal === undefined || coarse(status) !== coarse(inTemporal))
    .map(({ run, status, inTemporal }) => `${run} is recorded as ${status}, and Temporal says ${inTemporal ?? "nothing"}`);
}

// Temporal knows no waiting or parked runs, and calls everything that returned completed.
const coarse = (status: RunStatus): string => (isTerminal(status) ? status.replace("_with_errors", "") : "open");
