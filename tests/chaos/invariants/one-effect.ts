import { groupBy, type Effect, type Evidence, type StepRow } from "./evidence.ts";

/**
 * One effect per (run, step path): exactly one Idempotency-Key, at least one request if and only if the step is recorded
 * as completed with a result of its own, and none after that was recorded. A step that failed or was canceled may have got as far as a request.
 */
export function oneEffect({ requests, steps, events }: Evidence): string[] {
  const effects = groupBy(requests, ({ run, step }) => `${run} ${step}`);
  const rows = new Map(steps.map((row) => [`${row.run} ${row.path}`, row]));
  const doneAt = new Map(events.filter(({ type }) => type === "step.completed").map(({ run, step, time }) => [`${run} ${step}`, time]));
  const called = [...effects].flatMap(([name, calls]) => judge(name, calls, { row: rows.get(name), doneAt: doneAt.get(name) }));
  // Only steps that call the outside are asked for a call.
  const callers = new Set(requests.map(({ step }) => step));
  const uncalled = steps
    .filter(({ path, status, reusedFrom }) => callers.has(path) && status === "completed" && reusedFrom === null)
    .filter(({ run, path }) => !effects.has(`${run} ${path}`))
    .map(({ run, path }) => `${run} ${path} is recorded as completed without a request`);
  return [...called, ...uncalled];
}

function judge(name: string, calls: Effect[], { row, doneAt }: { row: StepRow | undefined; doneAt: number | undefined }): string[] {
  const broken: string[] = [];
  const keys = new Set(calls.map(({ key }) => key));
  if (keys.size !== 1) broken.push(`${name} has shown ${keys.size} Idempotency-Keys`);
  if (row === undefined) broken.push(`${name} was requested and is not recorded`);
  else if (row.status === "skipped" || row.status === "running" || row.status === "waiting")
    broken.push(`${name} was requested and is recorded as ${row.status}`);
  if (doneAt !== undefined && calls.some(({ time }) => time > doneAt)) broken.push(`${name} was requested again after it was completed`);
  return broken;
}
