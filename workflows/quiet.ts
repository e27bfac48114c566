import { condition } from "@temporalio/workflow";

/** Resolves when all that can go on at this moment has gone on, before anything else comes in. */
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

// Registered while the promises of this moment run; asked when none is left.
function notAtOnce(predicate: () => boolean): () => boolean {
  let isFirst = true;
  return () => {
    if (!isFirst) return predicate();
    isFirst = false;
    return false;
  };
}
