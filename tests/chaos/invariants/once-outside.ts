import { groupBy, type Evidence } from "./evidence.ts";

/**
 * At an outside that knows no keys: exactly one request for each step that is recorded as completed, and one at most for any. A fork that
 * changes nothing does nothing there: its requests are its origin's second ones.
 */
export function onceOutside({ requests, steps, rows }: Evidence): string[] {
  const origins = new Map(rows.map(({ run, forkOf }) => [run, forkOf ?? run]));
  const effects = groupBy(requests, ({ run, step }) => `${origins.get(run) ?? run} ${step}`);
  const tooOften = [...effects]
    .filter(([, calls]) => calls.length > 1)
    .map(([name, calls]) => `${name} has happened ${calls.length} times`);
  const callers = new Set(requests.map(({ step }) => step));
  const never = steps
    .filter(({ path, status, reusedFrom }) => callers.has(path) && status === "completed" && reusedFrom === null)
    .filter(({ run, path }) => !effects.has(`${run} ${path}`))
    .map(({ run, path }) => `${run} ${path} is recorded as completed and has never happened`);
  return [...tooOften, ...never];
}
