import type { Evidence } from "./evidence.ts";

const quietAfterMs = 5_000;

/** No call of a run begins later than 5 s after its cancel was answered. */
export function quietAfterCancel({ cancels, requests }: Evidence): string[] {
  const canceledAt = new Map(cancels.map(({ run, time }) => [run, time]));
  return requests.flatMap(({ run, step, time }) => {
    const lateMs = time - (canceledAt.get(run) ?? Infinity) - quietAfterMs;
    return lateMs > 0 ? [`${run} ${step} was called ${quietAfterMs + lateMs} ms after the run was canceled`] : [];
  });
}
