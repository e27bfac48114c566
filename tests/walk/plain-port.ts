import { Fault, type Problem } from "../../contracts/faults.ts";
import { isTerminal, type RunEvent, type RunStatus } from "../../contracts/events.ts";
import type { Json } from "../../contracts/json.ts";
import type { StepCall } from "../../contracts/activities.ts";
import { fill } from "../../language/expression/evaluate.ts";
import { Canceled, type Scope } from "../../workflows/scope.ts";
import type { Port } from "../../workflows/port.ts";

/** What the far end of a call does: answers or fails, after a while of virtual time. */
export type Answer = { output: Json; afterMs?: number } | { problem: Problem; afterMs?: number };

export interface PlainPort extends Port {
  /** Starts and ends of calls, in the order they happened. */
  trace: { at: number; what: "start" | "end" | "cancel"; path: string }[];
  /** The run's log as the record would have it. */
  log: RunEvent[];
  shown: string;
  /** Make things happen until the walk is done. */
  drive<T>(walk: Promise<T>): Promise<T>;
  /** Do something at a virtual time. */
  at(ms: number, action: () => void): void;
}

/** The walk's port in one process with virtual time: no server, no waiting, every run the same. */
export function createPlainPort(answer: (path: string, fields: unknown, attempt: number) => Answer): PlainPort {
  let now = 0;
  let ids = 0;
  const agenda: { time: number; order: number; action: () => void }[] = [];
  const conditions: { predicate: () => boolean; resolve: () => void }[] = [];
  const stored: Json[] = [];
  const plan = (ms: number, action: () => void): void => void agenda.push({ time: now + ms, order: ids++, action });

  const port: PlainPort = {
    trace: [],
    log: [],
    shown: "",
    now: () => now,
    uuid: () => `uuid-${ids++}`,
    at: (ms, action) => plan(ms - now, action),
    call: async ({ call }, scope) => {
      const { path, fields, attempt } = call as StepCall<unknown>;
      const output = await perform(path, answer(path, fields, attempt), scope);
      append([...call.carried, { identity: `${path}#${attempt}/step.completed/0`, type: "step.completed", time: now, step: path, data: { output } }]);
      return { output };
    },
    foreign: ({ path, arguments: args, attempt }, scope) => perform(path, answer(path, args, attempt), scope),
    child: ({ path, input }, scope) => perform(path, answer(path, input, 1), scope),
    sleep: (ms, _, scope) => later(scope, ms, (resolve) => resolve(undefined)),
    until: (predicate) => new Promise((resolve) => conditions.push({ predicate, resolve })),
    send: (_, __, scope) => later(scope, 1, (resolve) => resolve(undefined)),
    record: async (_, events) => ({ status: append(events), lastSeq: port.log.length }),
    store: async (value) => ({ $tenutoRef: String(stored.push(value) - 1), bytes: JSON.stringify(value).length }),
    evaluate: async (template, roots, steps) => {
      const [loadedRoots, loadedSteps] = [load(roots), load(steps)] as { [key: string]: Json }[];
      return fill(template, { name: (name) => loadedRoots![name], step: (id) => loadedSteps![id] });
    },
    listItems: async (list) => load(list) as Json[],
    validate: async () => null,
    show: (markdown) => void (port.shown = markdown),
    mark: () => undefined,
    historyLength: () => 0,
    drive,
  };
  return port;

  function perform(path: string, given: Answer, scope: Scope): Promise<Json> {
    const note = (what: "start" | "end" | "cancel"): void => void port.trace.push({ at: now, what, path });
    note("start");
    return later<Json>(scope, given.afterMs ?? 1, (resolve, reject) => {
      note("end");
      if ("problem" in given) reject(Fault.of({ ...given.problem, instance: path }));
      else resolve(given.output);
    }).catch((error: unknown) => {
      if (error instanceof Canceled) note("cancel");
      throw error;
    });
  }

  function later<T>(scope: Scope, ms: number, action: (resolve: (value: T) => void, reject: (error: unknown) => void) => void): Promise<T> {
    return scope.guard<T>((resolve, reject) => {
      let isOpen = true;
      plan(ms, () => isOpen && action(resolve, reject));
      return () => (isOpen = false);
    });
  }

  function append(events: RunEvent[]): RunStatus {
    const known = new Set(port.log.map((event) => event.identity));
    port.log.push(...events.filter((event) => !known.has(event.identity)));
    const last = port.log.findLast((event) => event.type.startsWith("run."))?.type.slice("run.".length) ?? "running";
    return (isTerminal(last) ? last : "running") as RunStatus;
  }

  function load(value: Json): Json {
    if (Array.isArray(value)) return value.map(load);
    if (typeof value !== "object" || value === null) return value;
    if (typeof value["$tenutoRef"] === "string") return load(stored[Number(value["$tenutoRef"])]!);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, load(item)]));
  }

  async function drive<T>(walk: Promise<T>): Promise<T> {
    let isDone = false;
    walk.then(
      () => (isDone = true),
      () => (isDone = true),
    );
    for (;;) {
      // Everything that can go on has gone on: a quiet moment.
      await new Promise((quiet) => setImmediate(quiet));
      if (isDone) return walk;
      const ready = conditions.findIndex(({ predicate }) => predicate());
      if (ready >= 0) {
        conditions.splice(ready, 1)[0]!.resolve();
        continue;
      }
      agenda.sort((a, b) => a.time - b.time || a.order - b.order);
      const next = agenda.shift();
      if (!next) throw new Error(`The walk is stuck at ${now} ms; it shows:\n${port.shown}`);
      now = next.time;
      next.action();
    }
  }
}
