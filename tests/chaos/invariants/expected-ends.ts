import type { Evidence } from "./evidence.ts";

/** Each accepted run ends as it would have without a fault. */
export function expectedEnds({ starts, rows }: Evidence): string[] {
  const statuses = new Map(rows.map(({ run, status }) => [run, status]));
  return starts
    .filter(({ isAccepted, ends }) => isAccepted && ends !== undefined)
    .map(({ run, ends }) => ({ run, ends, status: statuses.get(run) }))
    .filter(({ ends, status }) => status !== ends)
    .map(({ run, ends, status }) => `${run} should have ended ${ends} and is ${status ?? "not recorded"}`);
}
