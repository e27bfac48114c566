import {
  allHandlersFinished,
  CancellationScope,
  CancelledFailure,
  condition,
  continueAsNew,
  proxyActivities,
  setHandler,
  defineQuery,
  defineSignal,
  defineUpdate,
  workflowInfo,
} from "@temporalio/workflow";
import { Fault, makeProblem } from "../contracts/faults.ts";
import {
  queries,
  signals,
  updates,
  type ExternalEvent,
  type RunArguments,
  type RunResult,
  type RunState,
  type UpdateArguments,
} from "../contracts/messages.ts";
import type { Activities } from "../contracts/activities.ts";
import type { Json } from "../contracts/json.ts";
import type { Plan } from "../language/plan.ts";
import { failureOf } from "./failures.ts";
import { quick } from "./quick.ts";
import { createTemporalPort } from "./temporal-port.ts";
import type { End } from "./end.ts";
import type { PlanRefusal } from "../language/plan-change.ts";
import { refusePlan, Walk, type WalkState } from "./walk.ts";

/**
 * One run of a definition.
 *
 * Gives the output (or its reference). Fails with an ApplicationFailure whose first detail is the Problem; cancelled
 * when it was asked to be. Answers the updates, signal and query of `contracts/messages.ts`.
 * Continues as new, with `state`, when its history has become long.
 */
export async function run(args: RunArguments, state?: WalkState): Promise<RunResult> {
  const desk = openDesk();
  // At once when the Plan came along: messages of the very first task already find the walk.
  if (args.plan) desk.serve(createWalk(args, args.plan as unknown as Plan, state));
  const cancelRequested = CancellationScope.current().cancelRequested;
  return CancellationScope.nonCancellable(async () => {
    const walk = desk.walk ?? desk.serve(createWalk(args, await loadPlan(args)));
    cancelRequested.catch(() => walk.cancel("the run was cancelled"));
    const end = await walk.run();
    if (!end) return continueAsNew<typeof run>(continued(args, walk), walk.state());
    await condition(allHandlersFinished);
    return resultOf(end);
  });
}

/** The same arguments, with what an execution learns at its start. */
function continued(args: RunArguments, { plan, options: { run: ref } }: Walk): RunArguments {
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

function createWalk(args: RunArguments, plan: Plan, state?: WalkState): Walk {
  const { runId, firstExecutionRunId, startTime } = workflowInfo();
  const run = {
    tenant: args.tenant,
    id: args.id,
    workflow: plan.name,
    version: plan.version,
    planHash: plan.hash,
    temporalRunId: firstExecutionRunId || runId,
    startedAt: args.startedAt ?? startTime.getTime(),
    startedBy: args.startedBy,
    ...(args.parentId === undefined ? {} : { parentId: args.parentId }),
  };
  const { input, env, depth, effectRoot = args.id } = args;
  return new Walk({ plan, run, input, env, depth, effectRoot, ...(state ? { state } : {}) }, createTemporalPort(args));
}

async function loadPlan({ tenant, workflow, version, input }: RunArguments): Promise<Plan> {
  try {
    const request = { tenant, workflow, input, ...(version === undefined ? {} : { version }) };
    return (await quick("loadPlan", [request], `plan of ${workflow}`)) as unknown as Plan;
  } catch (error) {
    throw error instanceof Fault ? failureOf(error.problem) : error;
  }
}

function resultOf({ result, error }: End): RunResult {
  if (result.status === "canceled") throw new CancelledFailure(error?.detail ?? "canceled");
  if (error) throw failureOf(error);
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
  setHandler(defineQuery<RunState>(queries.state), () => desk.walk?.inspector.state(desk.walk.status()) ?? starting);
  setHandler(defineQuery<PlanRefusal[], [Json]>(queries.planRefusals), (plan) => desk.walk?.planRefusals(plan as unknown as Plan) ?? []);
  const nothing = (): void => undefined;
  answer(
    "signal",
    (walk, event) => walk.mailbox.check(event),
    (walk, event) => walk.mailbox.deliver(event),
  );
  answer("pause", nothing, (walk, { by }) => walk.pause.pause(by));
  answer("resume", nothing, (walk, { by }) => walk.pause.resume(by));
  answer(
    "decide",
    (walk, decision) => walk.approvals.check(decision),
    (walk, decision) => walk.approvals.decide(decision),
  );
  answer(
    "changePlan",
    (walk, { plan }) => refusePlan(walk.planRefusals(plan as unknown as Plan)),
    (walk, { plan, kind, by }) => walk.changePlan({ plan: plan as unknown as Plan, kind, by }),
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
    throw failureOf(error instanceof Fault ? error.problem : makeProblem("defect", error instanceof Error ? error.message : String(error)));
  };
  try {
    const result = work();
    return result instanceof Promise ? (result.catch(refuse) as T) : result;
  } catch (error) {
    return refuse(error);
  }
}
