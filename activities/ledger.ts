import { eventIdentity, type EventType, type RunEvent } from "../contracts/events.ts";
import { Fault } from "../contracts/faults.ts";
import { isWindow } from "../contracts/ids.ts";
import type { JsonObject } from "../contracts/json.ts";
import type { Activities, ChildOrigin, RunRef, Undo, UndoPage } from "../contracts/activities.ts";
import { packCounts, type Counts } from "../contracts/counts.ts";
import type { Origin, UnreadEvent } from "../contracts/messages.ts";
import { leftToHear } from "../language/heard.ts";
import { keptPaths, keep, originOfChild, ownOutputs, type Kept } from "../language/ledger.ts";
import type { Plan } from "../language/plan.ts";
import { findStep } from "../language/plan-steps.ts";
import { prefixesOf } from "../language/step-path.ts";
import type { Database } from "../prisma/client.ts";
import { Plans } from "../prisma/plans.ts";
import {
  eventsOf,
  exportsOf,
  givenVars,
  logOf,
  undosOf,
  type Exports,
  type RecordedStep,
  type RegisteredUndo,
  type RunLog,
} from "../prisma/run-log.ts";
import { eventPagesOf, exportedBy, pagesOf, undoPagesOf } from "./ledger-pages.ts";
import type { Record } from "./record.ts";

type Call = Parameters<Activities["loadLedger"]>[0];

/** Events told in one statement. */
const batchSize = 500;

/**
 * The ledger of a retry or fork, from its origin's log. What is taken over is in the new run's own log before the first
 * step is walked, so that the list of steps is complete, and a retry of this run needs no other log than this run's.
 */
export function createLoadLedger(database: Database, record: Record): Activities["loadLedger"] {
  const plans = new Plans(database);
  return async (call) => {
    const { tenant } = call.run;
    const source = await sourceOf(database, plans, call);
    const children = await keptChildren(database, call.run, source);
    await enter(record, call, source);
    const { undone, vars } = source;
    const pages = await pagesOf(database, tenant, source);
    const undos = await keptUndos(database, tenant, source);
    const events = await eventPagesOf(database, tenant, source);
    return { pages, children, undos, undone, vars, events };
  };
}

/** What a run goes on from, as read. */
export interface Source {
  plan: Plan;
  origin: Origin;
  kept: Kept;
  /** Children of what is kept, and those that go on. */
  children: RunLog["children"];
  /** What is kept, with all that lies inside it. */
  reused: RecordedStep[];
  exports: Map<string, Exports>;
  undos: RegisteredUndo[];
  /** Paths of the windows that registered some of them. */
  windows: RunLog["windows"];
  undone: Counts;
  /** Variables that stand in for the Plan's, the origin's own among them. */
  vars: JsonObject;
  /** What is to be heard again. */
  events: UnreadEvent[];
}

async function sourceOf(database: Database, plans: Plans, { run, origin, undone: known }: Call): Promise<Source> {
  const old = await database.run.findFirst({ where: { id: origin.run, tenant: run.tenant } });
  if (!old) throw new Fault("not_found", `No run ${origin.run} to go on from.`);
  const { plan: before } = await plans.frozen(run.tenant, old);
  // The same object need not be compared.
  const plan = run.planHash === old.planHash ? before : (await plans.frozen(run.tenant, run)).plan;
  const log = await logOf(database, old, origin.kind === "retry" ? known : undefined);
  const kept = keep({ plan, before, origin, ...log });
  const inside = insideOf(kept, origin, before);
  // A window that goes on hears again what it has heard; where items begin anew, the run does.
  const goingOn = [...log.windows].filter(([, path]) => inside(path) || kept.children.includes(path)).map(([id]) => id);
  const [exports, undos, vars, events] = await Promise.all([
    exportsOf(database, old.id),
    // What a fork takes over was done by another run and is that run's to undo.
    origin.kind === "retry" ? undosOf(database, log.runs) : [],
    givenVars(database, old.id),
    // What a fork does not hear its origin may still take.
    origin.kind === "retry" ? eventsOf(database, old.id, goingOn) : [],
  ]);
  const failed = new Set(log.steps.filter(({ status }) => status === "failed").map(({ path }) => path));
  const standing = new Set(log.steps.filter(({ path, isUndone }) => inside(path) && !isUndone).map(({ path }) => path));
  return {
    plan,
    origin,
    kept,
    children: new Map([...log.children].filter(([path]) => inside(path) || kept.children.includes(path))),
    reused: log.steps.filter(({ run: of, path }) => of === old.id && inside(path)),
    exports,
    undos: undos.filter(({ undo }) => standing.has(undo.path)),
    windows: log.windows,
    // A fork has keys of its own.
    undone: origin.kind === "retry" ? packCounts(log.undone) : (known ?? {}),
    vars: { ...vars, ...origin.vars },
    events: leftToHear(events, { plan: before, isKept: inside, hasFailed: (path) => failed.has(path), heard: log.heard }),
  };
}

/** Whether a path lies in what is kept. What undid a step, or tried to, does not: it belongs to the end it came after. */
function insideOf(kept: Kept, origin: Origin, before: Plan): (path: string) => boolean {
  const isInside = keptPaths(kept);
  const byHand = ownOutputs(origin);
  const isUndoing = (around: string): boolean =>
    around.endsWith(UNDOING) && findStep(before, around.slice(0, -UNDOING.length))?.compensate !== undefined;
  return (path) => !Object.hasOwn(byHand, path) && isInside(path) && !prefixesOf(path).some(isUndoing);
}

const UNDOING = ".compensate";

/** Its own, and those of each window, which may be many, as pages. */
async function keptUndos(database: Database, tenant: string, { undos, windows }: Source): Promise<(Undo | UndoPage)[]> {
  const byRun = new Map<string, Undo[]>();
  for (const { run, undo } of undos) byRun.set(run, [...(byRun.get(run) ?? []), undo]);
  const kept: (Undo | UndoPage)[] = [];
  for (const [run, own] of byRun) {
    const path = windows.get(run);
    if (path === undefined) kept.push(...own);
    else kept.push(...(await undoPagesOf(database, tenant, own)).map((page) => ({ path, page })));
  }
  return kept;
}

type Children = [path: string, child: ChildOrigin][];

async function keptChildren(database: Database, run: RunRef, { origin, kept, children }: Source): Promise<Children> {
  const known = kept.children.filter((path) => children.has(path)).map((path) => [path, children.get(path)!] as const);
  if (known.length === 0) return [];
  const rows = await database.run.findMany({ where: { tenant: run.tenant, id: { in: known.map(([, id]) => id) } } });
  const byId = new Map(rows.map((row) => [row.id, row]));
  return known.flatMap(([path, id]): Children => {
    const row = byId.get(id);
    // One that has left no trace is started anew.
    if (!row) return [];
    const from = originOfChild(origin, path, id, kept.children);
    if (isWindow(path)) return [[path, { origin: from }]];
    const root = origin.kind === "retry" ? { effectRoot: row.effectRoot ?? id } : {};
    return [[path, { origin: from, version: row.version, planHash: row.planHash, ...root }]];
  });
}

/** Tell the new run's log where it comes from. Told again by a later attempt, it changes nothing. */
async function enter(record: Record, { run, input, origin, effectRoot, budgetRoot }: Call, source: Source): Promise<void> {
  const parentage = { [`${origin.kind}Of`]: origin.run };
  const lineage = { ...parentage, effectRoot: effectRoot === run.id ? null : effectRoot };
  const started: JsonObject = {
    workflow: run.workflow,
    version: run.version,
    input,
    ...(run.parentId === undefined ? {} : { parentId: run.parentId }),
    ...parentage,
    ...(budgetRoot === undefined ? {} : { budgetRoot }),
    ...(origin.reexecuteEffects ? { reexecuteEffects: true } : {}),
    ...(Object.keys(source.vars).length > 0 ? { vars: source.vars } : {}),
    ...(Object.keys(source.undone).length > 0 ? { undone: source.undone } : {}),
  };
  const events: RunEvent[] = [
    { identity: eventIdentity("run.started"), type: "run.started", time: run.startedAt, data: started },
    ...reusedEvents(run, source),
    ...source.undos
      .filter((each) => each.run === origin.run)
      .map(({ undo: { path, ...undo } }) => eventOf(run, "compensation.registered", path, { ...undo })),
    ...[...source.children].map(([path, runId]) => eventOf(run, "child.kept", path, { runId })),
    ...source.events.map(({ event, ...more }, index) => keptEvent(run, { ...event, at: new Date(event.at).toISOString(), ...more }, index)),
  ];
  for (let at = 0; at < events.length; at += batchSize) await record.takeOver(run, lineage, events.slice(at, at + batchSize));
}

function reusedEvents(run: RunRef, source: Source): RunEvent[] {
  const { plan, origin, reused } = source;
  return [
    ...reused.map(({ path, type, status, performedBy, isCaught }) => {
      const exported = exportedBy(source, path, status === "completed" && !isCaught);
      return eventOf(run, "step.reused", path, { type, status, runId: performedBy, ...toldExports(exported) });
    }),
    ...Object.entries(ownOutputs(origin)).map(([path, output]) => {
      const type = findStep(plan, path)?.type ?? "set";
      return eventOf(run, "step.reused", path, { type, status: "completed", output, ...toldExports(exportedBy(source, path, true)) });
    }),
  ];
}

const toldExports = ({ exports, lacksExports }: Exports): JsonObject =>
  Object.keys(exports).length === 0 ? {} : { exports, ...(lacksExports ? { lacksExports } : {}) };

/** Attempt 0: not one that the run itself has kept. */
const keptEvent = (run: RunRef, data: JsonObject, index: number): RunEvent => ({
  identity: eventIdentity("event.kept", "", 0, index),
  type: "event.kept",
  time: run.startedAt,
  data,
});

const eventOf = (run: RunRef, type: EventType, step: string, data: JsonObject): RunEvent => ({
  identity: eventIdentity(type, step),
  type,
  time: run.startedAt,
  step,
  data,
});
