import { mergeCounts, packCounts, type Counts } from "../../contracts/counts.ts";
import type { ChildOrigin, LeftByWindow, Undo, UndoPage } from "../../contracts/activities.ts";
import { eventIdentity, type RunEvent } from "../../contracts/events.ts";
import type { Problem } from "../../contracts/faults.ts";
import { isWindow } from "../../contracts/ids.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import type { Origin } from "../../contracts/messages.ts";
import type { RegisteredUndo } from "../../prisma/run-log.ts";
import { leftToHear } from "../../language/heard.ts";
import { keptPaths, originOfChild } from "../../language/ledger.ts";
import type { Plan } from "../../language/plan.ts";
import type { WalkOptions } from "../../workflows/walk.ts";
import { ledgerOfRows, rowsOf, type Continued } from "./ledger-of-log.ts";

/** A run as the record has it. */
interface Recorded {
  id: string;
  log: RunEvent[];
  /** The run it is a window of, and its path there. */
  parent?: string;
  path?: string;
}

type Began = Pick<WalkOptions, "ledger" | "undos" | "events"> & { kept: Continued["kept"] };

/** The logs of a run and of its windows, and what the record makes of them when another run goes on from there. */
export class PlainRecord {
  readonly #runs = new Map<string, Recorded>();

  add(run: Recorded): void {
    this.#runs.set(run.id, run);
  }

  /** As activity `leftByWindow`. */
  left(id: string, known: Counts): LeftByWindow | null {
    const run = this.#runs.get(id)!;
    if (run.log.length === 0) return null;
    const runs = [...this.#runs.values()]
      .filter(({ parent, path }) => parent === run.parent && path === run.path)
      .flatMap((each) => this.#tree(each));
    const { undone, isUndone } = countsIn(runs, [known]);
    const undos = [...undosOf(runs)].map(({ undo }) => undo).filter(({ path }) => !isUndone(path));
    return { undos: undos.length === 0 ? [] : [undos as unknown as Json], undone: packCounts(undone), errors: this.#letPassIn(run) };
  }

  /** As activity `loadLedger`, for a run that goes on with the same plan; what it takes over is put into its log. */
  begin(plan: Plan, { origin, log, known = {} }: { origin: Origin; log: RunEvent[]; known?: Counts | undefined }): Began {
    const run = this.#runs.get(origin.run)!;
    const tree = this.#tree(run);
    const { undone, isUndone } = countsIn(tree, [known]);
    const children = childrenOf(run);
    const part = run.path?.slice(0, run.path.lastIndexOf("["));
    const rows = rowsOf(this.#latest(run).flatMap((each) => each.log)).map((row) => ({ ...row, isUndone: isUndone(row.path) }));
    const heard = new Set(
      run.log.filter(({ type }) => type.startsWith("event.")).map(({ step, data }) => step ?? (data["heardBy"] as string)),
    );
    const { kept, ledger } = ledgerOfRows(rows, { plan, before: plan, origin, children, heard, ...(part === undefined ? {} : { part }) });
    const isInside = keptPaths(kept);
    const failed = new Set(rows.filter(({ status }) => status === "failed").map(({ path }) => path));
    const got = run.log
      .filter(({ type }) => type === "event.kept" || type === "event.received")
      .map(({ identity, step = null, data }) => ({ step, data, ordinal: Number(identity.split("/")[2]) }));
    const events = leftToHear(got, { plan, isKept: isInside, hasFailed: (path) => failed.has(path), heard });
    const undos = [...undosOf(tree)].filter(({ undo: { path } }) => isInside(path) && !isUndone(path));
    const own = undos.filter(({ run: of }) => of === run.id).map(({ undo }) => undo);
    const tell = (type: RunEvent["type"], step: string, data: JsonObject): number =>
      log.push({ identity: `kept ${log.length}`, type, time: log.at(-1)?.time ?? 0, step, data });
    log.push({ identity: "begun", type: "run.started", time: 0, data: { undone: packCounts(undone) } });
    for (const event of run.log)
      if (event.type.startsWith("step.") && isInside(event.step!) && event.type !== "step.compensated")
        tell(event.type, event.step!, event.data);
    for (const { path, ...undo } of own) tell("compensation.registered", path, { ...undo });
    for (const [path, id] of children) if (isInside(path) || kept.children.includes(path)) tell("child.kept", path, { runId: id });
    for (const [index, { event, ...more }] of events.entries())
      log.push({
        identity: eventIdentity("event.kept", "", 0, index),
        type: "event.kept",
        time: 0,
        data: { ...event, at: new Date(event.at).toISOString(), ...more },
      });
    const goOn = kept.children
      .filter(isWindow)
      .map((path): [string, ChildOrigin] => [path, { origin: originOfChild(origin, path, children.get(path)!, kept.children) }]);
    return {
      kept,
      events,
      undos: [...own, ...this.#pages(undos, run.id)],
      ledger: { ...ledger, children: goOn, undoneTimes: packCounts(undone) },
    };
  }

  #pages(undos: RegisteredUndo[], own: string): UndoPage[] {
    const runs = [...new Set(undos.map(({ run }) => run))].filter((run) => run !== own);
    return runs.map((run) => ({
      path: this.#pathIn(own, run),
      page: undos.filter((each) => each.run === run).map(({ undo }) => undo) as unknown as Json,
    }));
  }

  /** Of the window of a run in which another is. */
  #pathIn(own: string, run: string): string {
    const { parent, path } = this.#runs.get(run)!;
    return parent === own || !this.#runs.has(parent!) || this.#runs.get(parent!)!.path === undefined ? path! : this.#pathIn(own, parent!);
  }

  /** All windows that there ever were. */
  #tree(run: Recorded): Recorded[] {
    const windows = run.log
      .filter((event) => isChild(event) && isWindow(event.step!))
      .map(({ data }) => this.#runs.get(data["runId"] as string));
    return [run, ...windows.flatMap((window) => (window ? this.#tree(window) : []))];
  }

  #letPassIn({ log }: Recorded): Problem[] {
    const own = log
      .filter(({ type, data }) => type === "step.failed" && data["letPass"] === true)
      .map(({ data }) => data["error"] as Problem);
    const begun = log.filter(({ type, step }) => type === "child.started" && isWindow(step!)).map(({ data }) => data["runId"] as string);
    return [...own, ...begun.flatMap((id) => this.#letPassIn(this.#runs.get(id)!))];
  }

  #latest(run: Recorded): Recorded[] {
    const windows = [...childrenOf(run)].filter(([path]) => isWindow(path)).map(([, id]) => this.#runs.get(id));
    return [run, ...windows.flatMap((window) => (window ? this.#latest(window) : []))];
  }
}

const childrenOf = ({ log }: Recorded): Map<string, string> =>
  new Map(log.filter(isChild).map(({ step, data }) => [step!, data["runId"] as string]));

const isChild = ({ type }: RunEvent): boolean => type === "child.started" || type === "child.kept";

function countsIn(runs: Recorded[], known: Counts[]): { undone: Map<string, number>; isUndone: (path: string) => boolean } {
  const times = (type: RunEvent["type"]): Map<string, number> =>
    mergeCounts(
      runs.flatMap(({ log }) =>
        log.filter((event) => event.type === type).map(({ step, data }) => ({ [step!]: (data["undone"] as number | undefined) ?? 0 })),
      ),
    );
  const begun = runs.flatMap(({ log }) =>
    log.filter(({ type }) => type === "run.started").map(({ data }) => data["undone"] as Counts | undefined),
  );
  const undone = mergeCounts([...known, ...begun, Object.fromEntries(times("step.compensated"))]);
  const done = times("compensation.registered");
  return { undone, isUndone: (path) => (undone.get(path) ?? 0) > (done.get(path) ?? 0) };
}

function undosOf(runs: Recorded[]): Iterable<RegisteredUndo> {
  const registered = runs.flatMap(({ id, log }) =>
    log.filter(({ type }) => type === "compensation.registered").map((event) => ({ id, event })),
  );
  const last = new Map<string, RegisteredUndo>();
  for (const { id, event } of registered.toSorted((a, b) => a.event.time - b.event.time)) {
    const undo = { ...(event.data as unknown as Undo), path: event.step! };
    if ((last.get(undo.path)?.undo.undone ?? 0) > (undo.undone ?? 0)) continue;
    last.delete(undo.path);
    last.set(undo.path, { run: id, undo });
  }
  return last.values();
}
