import type { Call } from "./route.ts";

interface Wait<T> {
  run: string;
  seconds: number;
  /** Which news of the run's log are worth reading again. Absent: all. */
  isWorthIt?: (news: string) => boolean;
  read: () => Promise<T>;
  isDone: (value: T) => boolean;
}

/** Read again whenever the run's log may have grown, until it is done, the seconds have passed or nobody listens any more. */
export async function untilDone<T>({ deps, signal }: Call, { run, seconds, isWorthIt, read, isDone }: Wait<T>): Promise<T> {
  const deadline = Date.now() + seconds * 1_000;
  const watch = seconds > 0 ? deps.wakeups.watch(run, isWorthIt) : undefined;
  try {
    for (;;) {
      const value = await read();
      if (!watch || isDone(value) || signal.aborted || Date.now() >= deadline) return value;
      await watch.next({ signal, deadline });
    }
  } finally {
    watch?.close();
  }
}
