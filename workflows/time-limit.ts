import { Canceled, type Scope } from "./scope.ts";
import type { Clock } from "./clock.ts";

/**
 * What `work` gives, or undefined when the deadline passes first: then it is cancelled and awaited.
 * The timer ends with the work, whichever way it ends.
 */
export async function withinTime<T>(
  clock: Clock,
  limit: { deadline: number; summary: string; scope: Scope },
  work: (scope: Scope) => Promise<T>,
): Promise<T | undefined> {
  return limit.scope.within(async (scope) => {
    let hasPassed = false;
    const pass = (): void => {
      hasPassed = true;
      scope.cancel("its time has passed");
    };
    const ms = limit.deadline - clock.now();
    const timer = ms > 0 ? clock.sleep(ms, limit.summary, scope).then(pass, () => undefined) : pass();
    try {
      return await work(scope);
    } catch (error) {
      if (hasPassed && error instanceof Canceled) return undefined;
      throw error;
    } finally {
      scope.cancel("it has ended");
      await timer;
    }
  });
}
