import { Canceled, type Scope } from "./scope.ts";
import type { Clock } from "./clock.ts";

/**
 * What `work` gives, or undefined when the deadline passes first: then it is cancelled and awaited.
 * The timer ends with the work, whichever way it ends.
 */
export function withinTime<T>(
  clock: Clock,
  { deadline, summary, scope }: { deadline: number; summary: string; scope: Scope },
  work: (scope: Scope) => Promise<T>,
): Promise<T | undefined> {
  const over = (inner: Scope): Promise<void> | undefined => {
    const ms = deadline - clock.now();
    return ms > 0 ? clock.sleep(ms, summary, inner) : undefined;
  };
  return untilOver({ scope, over }, work);
}

/** The same, until `over` resolves; undefined when it is over already. */
export async function untilOver<T>(
  limit: { scope: Scope; over: (scope: Scope) => Promise<void> | undefined },
  work: (scope: Scope) => Promise<T>,
): Promise<T | undefined> {
  return limit.scope.within(async (scope) => {
    let hasPassed = false;
    const pass = (): void => {
      hasPassed = true;
      scope.cancel("its time has passed");
    };
    const timer = limit.over(scope)?.then(pass, () => undefined) ?? pass();
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
