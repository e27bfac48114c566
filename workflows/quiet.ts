// oxlint-disable-next-line no-restricted-imports -- here it is counted
import { condition as uncounted, type TimerOptions } from "@temporalio/workflow";

/** How often a condition has let something go on, in any run: compared within one activation, in which only one is at work. */
let passed = 0;

/** Temporal's `condition`, counted. The only one that is used, or `atRest` would overlook what it lets go on. */
export function condition(predicate: () => boolean): Promise<void>;
export function condition(predicate: () => boolean, timeoutMs: number, options: TimerOptions): Promise<boolean>;
export function condition(predicate: () => boolean, timeoutMs?: number, options: TimerOptions = {}): Promise<boolean | void> {
  const counted = (): boolean => {
    const holds = predicate();
    if (holds) passed += 1;
    return holds;
  };
  return timeoutMs === undefined ? uncounted(counted) : uncounted(counted, timeoutMs, options);
}

/** Resolves when all that can go on without another condition has gone on, before anything else comes in. */
export const quiet = (): Promise<void> => condition(notAtOnce(() => true));

/**
 * `condition` asks at any time: when it is called, after each job of an activation. What it finds then may be half done,
 * so we wait until all that can go on has gone on, and look again.
 */
export async function until(predicate: () => boolean): Promise<void> {
  do {
    await condition(notAtOnce(predicate));
    await quiet();
  } while (!predicate());
}

/**
 * Resolves when nothing in the run can go on before something else comes in. Temporal looks at all conditions, lets all promises go on,
 * and looks again, until a look finds none that holds: the look at which only ours did is that one.
 */
export async function atRest(): Promise<void> {
  for (let before = -1; before !== passed;) {
    before = passed;
    await uncounted(notAtOnce(() => true));
  }
}

// Registered while the promises of this moment run; asked when none is left.
function notAtOnce(predicate: () => boolean): () => boolean {
  let isFirst = true;
  return () => {
    if (!isFirst) return predicate();
    isFirst = false;
    return false;
  };
}
