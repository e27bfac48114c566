import { groupBy, type Evidence } from "./evidence.ts";

/** At an outside that knows no keys: exactly one request for each step that is recorded as completed, and one at most for any. */
export function onceOutside({ requests, steps }: Evidence): string[] {
  const effects = groupBy(requests, ({ run, step }) => `${run} ${step}`);
  const tooOften = [...effects]
    .filter(([, calls]) => calls.length > 1)
    .map(([name, calls]) => `${name} has happened ${calls.length} times`);
  const callers = new Set(requests.map(({ step }) => step));
  const never = steps
    .filter(({ run, path, status }) => callers.has(path) && status === "completed" && !effects.has(`${run} ${path}`))
    .map(({ run, path }) => `${run} ${path} is recorded as completed and has never happened`);
  return [...tooOften, ...never];
}
