import type { Evidence } from "./evidence.ts";

const quietAfterMs = 5_000;

/** No call of a run begins later than 5 s after its cancel was answered. */
export function quietAfterCancel({ cancels, requests, patience }: Evidence): string[] {
  const canceledAt = new Map(cancels.map(({ run, time }) => [run, time]));
  return requests.flatMap(({ run, step, time }) => {
    const afterMs = time - (canceledAt.get(run) ?? Infinity);
    return afterMs > quietAfterMs * patience ? [`${run} ${step} was called ${afterMs} ms after the run was canceled`] : [];
  });
}
