import { groupBy, type Evidence } from "./evidence.ts";

/** A run's log is 1..n without a gap, and each step completes in it once. */
export function numberedEvents({ rows, events }: Evidence): string[] {
  const logs = groupBy(events, ({ run }) => run);
  return rows.flatMap(({ run }) => {
    const log = (logs.get(run) ?? []).toSorted((a, b) => a.seq - b.seq);
    if (log.length === 0) return [`${run} has a row and no event`];
    const gap = log.findIndex(({ seq }, index) => seq !== index + 1);
    const completions = groupBy(
      log.filter(({ type }) => type === "step.completed"),
      ({ step }) => step ?? "",
    );
    return [
      ...(gap < 0 ? [] : [`${run} has event ${log[gap]!.seq} where ${gap + 1} should be`]),
      ...[...completions].filter(([, ends]) => ends.length > 1).map(([step, ends]) => `${run} ${step} completes ${ends.length} times`),
    ];
  });
}
