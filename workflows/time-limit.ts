import { Canceled, type Scope } from "./scope.ts";
import type { Port } from "./port.ts";

/**
 * What `work` gives, or undefined when `ms` pass first: then it is cancelled and awaited.
 * The timer ends with the work, whichever way it ends.
 */
export async function withinTime<T>(
  port: Port,
  limit: { ms: number; summary: string; scope: Scope },
  work: (scope: Scope) => Promise<T>,
): Promise<T | undefined> {
  return limit.scope.within(async (scope) => {
    let hasPassed = false;
    const timer = port.sleep(limit.ms, limit.summary, scope).then(
      () => {
        hasPassed = true;
        scope.cancel("its time has passed");
      },
      () => undefined,
    );
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
