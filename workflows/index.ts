import {
  allHandlersFinished,
  CancellationScope,
  CancelledFailure,
  continueAsNew,
  proxyActivities,
  proxySinks,
  setHandler,
  defineQuery,
  defineSignal,
  defineUpdate,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from "@temporalio/workflow";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import { Fault, makeProblem, messageOf } from "../contracts/faults.ts";
import type { Holds } from "../contracts/holds.ts";
import {
  queries,
  signals,
  updates,
  type ExternalEvent,
  type Meaning,
  type MemorySearch,
  type Origin,
  type PausedScope,
  type PlanStanding,
  type RunArguments,
  type RunState,
  type UnreadEvent,
  type UpdateArguments,
  type WindowHears,
  type WindowSays,
} from "../contracts/messages.ts";
import { CANCELED_MEMO, endData, type RunEnd, type RunResult, type RunSinks } from "../contracts/run-end.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import { limits } from "../contracts/limits.ts";
import type { Activities, LoadedPlan, RunRef } from "../contracts/activities.ts";
import type { Json } from "../contracts/json.ts";
import type { Plan } from "../language/plan.ts";
import { failureOf } from "./failures.ts";
import type { LedgerSeed } from "./ledger.ts";
import { quick, slow } from "./quick.ts";
import { condition } from "./quiet.ts";
import { summaryText } from "./summary.ts";
import { createTemporalPort } from "./temporal-port.ts";
import type { PlanChange } from "./plan-changes.ts";
import type { PlanRefusal } from "../language/plan-change.ts";
import { sharedPlan } from "./shared-plans.ts";
import { Walk, type WalkOptions, type WalkState } from "./walk.ts";

/**
 * One run of a definition.
 *
 * Gives the output (or its reference). Fails with an ApplicationFailure whose first detail is the Problem; cancelled
 * when it was asked to be. Answers the updates, signal and query of `contracts/messages.ts`.
 * Continues as new, with `state`, when its history has become long.
 */
export async function run(args: RunArguments, state?: WalkState): Promise<RunResult> {
  refuseNewerEngine(args);
  // Here, since the SDK keeps what a run was given for as long as it lasts.
  if (args.plan) args.plan = sharedPlan(args.plan) as unknown as Json;
  const desk = openDesk();
  // At once when the Plan came along: messages of the very first task already find the walk.
  if (args.plan && (state || !args.origin)) desk.serve(createWalk(args, args.plan as unknown as Plan, state && { state: taken(state) }));
  const cancelRequested = CancellationScope.current().cancelRequested;
  return CancellationScope.nonCancellable(async () => {
    const walk = desk.walk ?? desk.serve(await loadWalk(args));
    showVersion(walk);
    cancelRequested.catch(() => walk.cancel("the run was cancelled"));
    const end = await walk.run();
    if (!end) return continueAsNew<typeof run>(continued(args, walk), walk.state());
    await condition(allHandlersFinished);
    proxySinks<RunSinks>().runs.ending({ tenant: args.tenant, id: args.id });
    return resultOf(end);
  });
}

/** The walk keeps of it what it still needs; what it has forgotten nobody shall keep. */
function taken(state: WalkState): WalkState {
  const own = { ...state };
  for (const field of Object.keys(state)) Reflect.deleteProperty(state, field);
  return own;
}

/** Fails the task, not the run: Temporal offers the task again until a worker that knows the engine takes it. */
function refuseNewerEngine({ id, engine }: RunArguments): void {
  if (engine > ENGINE_VERSION)
    throw new Error(`Run ${id} was started with engine ${engine}; this worker knows engines up to ${ENGINE_VERSION}. Upgrade the workers.`);
}

export { delivery } from "./delivery.ts";
export { fire } from "./fire.ts";
export { lock } from "./lock.ts";
export { mailbox } from "./agent-mailbox.ts";
export { notice } from "./notice.ts";

/** A child learns its version with its plan, and a changed plan is another version: lists and filters see it. */
function showVersion({ options: { run } }: Walk): void {
  const key = searchAttributes.version;
  if (workflowInfo().typedSearchAttributes.get(key) !== run.version) upsertSearchAttributes([{ key, value: run.version }]);
}

/** The same arguments, with what an execution learns at its start. */
function continued(args: RunArguments, { changes: { plan }, options: { run: ref } }: Walk): RunArguments {
  return { ...args, version: plan.version, plan: plan as unknown as Json, startedAt: ref.startedAt };
}

/** Compares Temporal with the record and heals what differs; started by a schedule. */
export async function maintenance(): Promise<number> {
  const { reconcile } = proxyActivities<Activities>({
    startToCloseTimeout: "5 minutes",
    heartbeatTimeout: "1 minute",
    retry: { maximumAttempts: 3 },
    summary: "compare Temporal with the record",
  });
  return reconcile();
}

/** What a search over the API means: only workers know models. Asked once; whoever has no answer in time goes by words. */
export async function embed(search: MemorySearch): Promise<Meaning | null> {
  const { embedQuery } = proxyActivities<Activities>({
    scheduleToCloseTimeout: limits.embedAnswerMs,
    retry: { maximumAttempts: 1 },
    summary: summaryText(`what a search among memories of ${search.agent} means`),
  });
  return embedQuery(search);
}

/** Tells the open runs of a paused or resumed scope, however often its worker dies. */
export async function spreadPause(scope: PausedScope): Promise<number> {
  const activities = proxyActivities<Activities>({
    startToCloseTimeout: "1 hour",
    heartbeatTimeout: "10 seconds",
    retry: { initialInterval: 500, maximumInterval: 15_000 },
    summary: `runs of ${scope.workflow ?? `tenant ${scope.tenant}`}`,
  });
  return activities.spreadPause(scope);
}

type Known = Pick<WalkOptions, "ledger" | "vars" | "undos" | "events" | "state">;

function createWalk(args: RunArguments, plan: Plan, known: Known = {}): Walk {
  const { engine, input, env, depth, part, origin, effectRoot = args.id, budgetRoot, holds = [], budgets, agents } = args;
  return new Walk(
    {
      plan,
      run: runOf(args, plan),
      engine,
      input,
      env,
      depth,
      effectRoot,
      ...(budgetRoot === undefined ? {} : { budgetRoot }),
      holds,
      ...(origin ? { origin } : {}),
      ...(part ? { part } : {}),
      ...(budgets ? { budgets } : {}),
      ...(agents ? { agents } : {}),
      ...known,
    },
    createTemporalPort(args),
  );
}

function runOf(args: RunArguments, plan: Plan): RunRef {
  const { runId, firstExecutionRunId, startTime } = workflowInfo();
  return {
    tenant: args.tenant,
    id: args.id,
    workflow: plan.name,
    version: plan.version,
    planHash: plan.hash,
    temporalRunId: firstExecutionRunId || runId,
    startedAt: args.startedAt ?? startTime.getTime(),
    startedBy: args.startedBy,
    ...(args.parentId === undefined ? {} : { parentId: args.parentId }),
    ...(args.part ? { isWindow: true as const } : {}),
  };
}

/** The walk of a run that must first learn its Plan, or what it goes on from. A child is held by what its own definition is, too. */
async function loadWalk(args: RunArguments): Promise<Walk> {
  try {
    const { plan: given, holds } = args.plan ? { plan: args.plan } : await loadPlan(args);
    const plan = sharedPlan(given);
    const held = holds ? { ...args, holds: [...(args.holds ?? []), holds] } : args;
    const known = args.origin ? await loadLedger(args, runOf(args, plan), args.origin) : undoneBefore(args);
    return createWalk(held, plan, known);
  } catch (error) {
    throw error instanceof Fault ? failureOf(error.problem) : error;
  }
}

const undoneBefore = ({ undone }: RunArguments): Known | undefined =>
  undone && { ledger: { entries: [], places: [], undoneTimes: undone } };

async function loadPlan({ tenant, workflow, version, planHash, input }: RunArguments): Promise<LoadedPlan> {
  const which = { ...(version === undefined ? {} : { version }), ...(planHash === undefined ? {} : { planHash }) };
  return quick("loadPlan", [{ tenant, workflow, input, ...which }], `plan of ${workflow}`);
}

async function loadLedger(args: RunArguments, run: RunRef, origin: Origin): Promise<Known> {
  const { tenant, id, input, effectRoot = id, budgetRoot, undone: before } = args;
  const call = {
    run,
    input,
    origin,
    effectRoot,
    ...(budgetRoot === undefined ? {} : { budgetRoot }),
    ...(before ? { undone: before } : {}),
  };
  const { pages, children, undone, events: heard = [], ...known } = await slow("loadLedger", [call], `ledger of ${origin.run}`);
  const entries = await loadPages<LedgerSeed["entries"][number]>(tenant, pages, `ledger of ${origin.run}`);
  const events = await loadPages<UnreadEvent>(tenant, heard, `events of ${origin.run}`);
  return { ledger: { entries, places: [], children, undoneTimes: undone }, events, ...known };
}

async function loadPages<Each>(tenant: string, pages: Json[], summary: string): Promise<Each[]> {
  const all: Each[] = [];
  // One at a time: together they would be more than one workflow task can take in.
  for (const page of pages) {
    const list = Array.isArray(page) ? page : await slow("loadPage", [{ tenant, page }], summary);
    // Who has stored them is of our own build, or of one before it.
    all.push(...(list as unknown as Each[]));
  }
  return all;
}

/** As `contracts/run-end.ts` says. */
function resultOf(end: RunEnd): RunResult {
  const { result, error } = end;
  if (result.status === "canceled") {
    upsertMemo({ [CANCELED_MEMO]: endData(end) });
    throw new CancelledFailure(error?.detail ?? "canceled");
  }
  if (error) throw failureOf(error, result.output, result.spent);
  return result;
}

interface Desk {
  walk: Walk | undefined;
  serve(walk: Walk): Walk;
}

/**
 * What a run can be told and asked. Handlers stand before anything is awaited, since messages may come with the
 * very first task; what comes before the walk is there waits for it.
 */
function openDesk(): Desk {
  const desk: Desk = { walk: undefined, serve: (walk) => (desk.walk = walk) };
  const served = async (): Promise<Walk> => {
    await condition(() => desk.walk !== undefined);
    return desk.walk!;
  };
  const answer = <Name extends keyof UpdateArguments>(
    name: Name,
    check: (walk: Walk, argument: UpdateArguments[Name]) => void,
    act: (walk: Walk, argument: UpdateArguments[Name]) => unknown,
  ): void => {
    const handle = async (argument: UpdateArguments[Name]): Promise<unknown> => {
      const walk = desk.walk ?? (await served());
      return refusing(async () => {
        refuseAfterEnd(walk);
        check(walk, argument);
        return act(walk, argument);
      });
    };
    // Refused here, an update leaves no trace in the history.
    const validator = (argument: UpdateArguments[Name]): void =>
      refusing(() => {
        if (!desk.walk) return;
        refuseAfterEnd(desk.walk);
        check(desk.walk, argument);
      });
    setHandler(defineUpdate<unknown, [UpdateArguments[Name]]>(updates[name]), handle, { validator });
  };
  setHandler(defineSignal<[ExternalEvent]>(signals.deliver), async (event) => (desk.walk ?? (await served())).mailbox.post(event));
  setHandler(defineSignal<[WindowSays]>(signals.fromWindow), async (says) => (desk.walk ?? (await served())).windowMail.hear(says));
  setHandler(defineSignal<[WindowHears]>(signals.toWindow), async (hears) => (desk.walk ?? (await served())).windowMail.heard(hears));
  setHandler(defineSignal<[Holds]>(signals.hold), async (holds) => (desk.walk ?? (await served())).pause.hold(holds));
  setHandler(defineQuery<RunState>(queries.state), () => desk.walk?.inspector.state(desk.walk.status()) ?? starting);
  setHandler(
    defineQuery<PlanRefusal[], [Json]>(queries.planRefusals),
    (plan) => desk.walk?.changes.refusals(plan as unknown as Plan) ?? [],
  );
  setHandler(defineQuery<PlanStanding | null>(queries.plan), () => desk.walk?.changes.standing() ?? null);
  const nothing = (): void => undefined;
  answer(
    "signal",
    (walk, event) => walk.mailbox.check(event),
    (walk, event) => walk.mailbox.deliver(event),
  );
  answer("pause", nothing, (walk, request) => walk.pause.pause(request));
  answer("resume", nothing, (walk, request) => walk.pause.resume(request));
  answer(
    "decide",
    (walk, decision) => walk.approvals.check(decision),
    (walk, decision) => walk.approvals.decide(decision),
  );
  answer(
    "changePlan",
    (walk, change) => walk.changes.check(change as unknown as PlanChange),
    (walk, change) => walk.changes.ask(change as unknown as PlanChange),
  );
  answer("attend", nothing, (walk, request) => walk.attention.attend(request));
  return desk;
}

function refuseAfterEnd(walk: Walk): void {
  if (walk.isOver) throw new Fault("run_ended", `Run ${walk.options.run.id} has ended.`);
}

const starting: RunState = { status: "queued", steps: [], waitingFor: [] };

/** Errors of handlers as Temporal carries them; a plain Error would fail the workflow task instead. */
function refusing<T>(work: () => T): T {
  const refuse = (error: unknown): never => {
    throw failureOf(error instanceof Fault ? error.problem : makeProblem("defect", messageOf(error)));
  };
  try {
    const result = work();
    return result instanceof Promise ? (result.catch(refuse) as T) : result;
  } catch (error) {
    return refuse(error);
  }
}
