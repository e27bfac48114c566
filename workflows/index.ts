import {
  allHandlersFinished,
  CancellationScope,
  CancelledFailure,
  condition,
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
import type { Plan } from "../language/plan.ts";
import { failureOf } from "./failures.ts";
import { quick } from "./quick.ts";
import { createTemporalPort } from "./temporal-port.ts";
import type { End } from "./end.ts";
import { Walk } from "./walk.ts";

/**
 * One run of a definition.
 *
 * Gives the output (or its reference). Fails with an ApplicationFailure whose first detail is the Problem; cancelled
 * when it was asked to be. Answers the updates, signal and query of `contracts/messages.ts`.
 */
export async function run(args: RunArguments): Promise<RunResult> {
  const desk = openDesk();
  const cancelRequested = CancellationScope.current().cancelRequested;
  return CancellationScope.nonCancellable(async () => {
    const walk = await createWalk(args);
    desk.serve(walk);
    cancelRequested.catch(() => walk.cancel("the run was cancelled"));
    const end = await walk.run();
    await condition(allHandlersFinished);
    return resultOf(end);
  });
}

/** Compares Temporal with the record and heals what differs; started by a schedule. */
export async function maintenance(): Promise<number> {
  const { reconcile } = proxyActivities<Activities>({
    startToCloseTimeout: "2 minutes",
    retry: { maximumAttempts: 3 },
    summary: "compare Temporal with the record",
  });
  return reconcile();
}

async function createWalk(args: RunArguments): Promise<Walk> {
  const plan = await planOf(args);
  const { runId, firstExecutionRunId, startTime } = workflowInfo();
  const run = {
    tenant: args.tenant,
    id: args.id,
    workflow: plan.name,
    version: plan.version,
    planHash: plan.hash,
    temporalRunId: firstExecutionRunId || runId,
    startedAt: startTime.getTime(),
    startedBy: args.startedBy,
    ...(args.parentId === undefined ? {} : { parentId: args.parentId }),
  };
  return new Walk(
    { plan, run, input: args.input, env: args.env, depth: args.depth, effectRoot: args.effectRoot ?? args.id },
    createTemporalPort(args),
  );
}

async function planOf({ plan, tenant, workflow, version, input }: RunArguments): Promise<Plan> {
  if (plan) return plan as unknown as Plan;
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

/**
 * What a run can be told and asked. Handlers stand before anything is awaited, since messages may come with the
 * very first task; what comes before the walk is there is kept for it.
 */
function openDesk(): { serve(walk: Walk): void } {
  let walk: Walk | undefined;
  const early: ExternalEvent[] = [];
  const served = (): Walk => {
    if (walk) return walk;
    throw new Fault("unavailable", "The run is only starting; try again.");
  };
  setHandler(defineSignal<[ExternalEvent]>(signals.deliver), (event) => void (walk ? walk.mailbox.deliver(event) : early.push(event)));
  setHandler(
    defineQuery<RunState>(queries.state),
    () => walk?.inspector.state(walk.status()) ?? { status: "queued", steps: [], waitingFor: [] },
  );
  answer(
    updates.signal,
    async (event: UpdateArguments["signal"]) => served().mailbox.deliver(event),
    (event) => served().mailbox.check(event),
  );
  answer(updates.pause, async ({ by }: UpdateArguments["pause"]) => served().pause.pause(by), served);
  answer(updates.resume, async ({ by }: UpdateArguments["resume"]) => served().pause.resume(by), served);
  answer(
    updates.decide,
    async (decision: UpdateArguments["decide"]) => served().approvals.decide(decision),
    (decision) => served().approvals.check(decision),
  );
  answer(
    updates.attend,
    async (request: UpdateArguments["attend"]) => served().attention.attend(request),
    (request) => served().attention.check(request),
  );
  return {
    serve(ready) {
      walk = ready;
      for (const event of early.splice(0)) walk.mailbox.deliver(event);
    },
  };
}

function answer<Argument>(name: string, handler: (argument: Argument) => Promise<void>, check: (argument: Argument) => unknown): void {
  setHandler(defineUpdate<void, [Argument]>(name), async (argument) => handler(argument).catch(refuse), {
    validator: (argument) => {
      try {
        check(argument);
      } catch (error) {
        refuse(error);
      }
    },
  });
}

function refuse(error: unknown): never {
  throw failureOf(error instanceof Fault ? error.problem : makeProblem("defect", error instanceof Error ? error.message : String(error)));
}
