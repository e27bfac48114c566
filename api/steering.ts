import { randomUUID } from "node:crypto";
import { ScheduleOverlapPolicy } from "@temporalio/client";
import {
  emptySchema,
  runSummarySchema,
  signalAnswerSchema,
  signalSchema,
  takeSchema,
  terminateSchema,
  type Signal,
  type Take,
} from "../contracts/api.schema.ts";
import { pauseRunSchema, resumeRunSchema, type PauseRun, type ResumeRun } from "../contracts/pause.schema.ts";
import { Fault, type FaultCode } from "../contracts/faults.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { UpdateArguments } from "../contracts/messages.ts";
import { audit } from "../prisma/audit.ts";
import { keep } from "../prisma/blobs.ts";
import { sha256 } from "../prisma/hash.ts";
import { parkedIn } from "../prisma/windows.ts";
import { runParams, stepParams } from "./parameters.ts";
import { route, type Answer, type Call } from "./route.ts";
import { hasEnded, seeRun, summaryOf, type SeenRun } from "./run-view.ts";
import { reach, requireRoom, update, type RunAddress } from "./temporal.ts";

type RunCall<B = unknown> = Call<{ id: string }, unknown, B>;
type StepCall<B = unknown> = Call<{ id: string; path: string }, unknown, B>;

const summary = { 202: { description: "Taken in.", schema: runSummarySchema } };
const faults: FaultCode[] = ["not_found", "run_ended"];
const common = { method: "post", tag: "Steering", idempotency: "table", answers: summary, faults } as const;

interface OnRun {
  verb: string;
  scope: "cancel";
  text: string;
  handle: (call: RunCall) => Promise<Answer>;
}

const onRun = (id: string, { verb, scope, text, handle }: OnRun) =>
  route({
    ...common,
    id,
    path: `/api/v2/runs/{id}/${verb}`,
    summary: text,
    scope,
    params: runParams,
    body: emptySchema,
    bodyOptional: true,
    handle,
  });

const ofStep = {
  ...common,
  scope: "attend",
  params: stepParams,
  bodyOptional: true,
  faults: [...faults, "step_not_parked"] as FaultCode[],
} as const;

const onStep = (id: string, { action, text }: { action: "retry" | "skip" | "fail"; text: string }) =>
  route({
    ...ofStep,
    id,
    path: `/api/v2/runs/{id}/steps/{path}/${action}`,
    summary: text,
    body: emptySchema,
    handle: (call) => attend(call, { action }),
  });

export const steeringRoutes = [
  route({
    ...common,
    id: "pauseRun",
    path: "/api/v2/runs/{id}/pause",
    summary: "Begin no further step until resumed",
    description: "Signals, approvals and queries are answered meanwhile. Calls that are under way go on to their end.",
    scope: "pause",
    params: runParams,
    body: pauseRunSchema,
    bodyOptional: true,
    handle: pause,
  }),
  route({
    ...common,
    id: "resumeRun",
    path: "/api/v2/runs/{id}/resume",
    summary: "Go on after a pause",
    description: "A run that is paused for several reasons (`holds`) goes on when the last of them is gone.",
    scope: "pause",
    params: runParams,
    body: resumeRunSchema,
    bodyOptional: true,
    handle: resume,
  }),
  onRun("cancelRun", { verb: "cancel", scope: "cancel", text: "Ask the run to stop; it may clean up", handle: cancel }),
  route({
    ...common,
    id: "terminateRun",
    path: "/api/v2/runs/{id}/terminate",
    summary: "End the run at once, without cleaning up",
    scope: "cancel",
    params: runParams,
    body: terminateSchema,
    bodyOptional: true,
    handle: terminate,
  }),
  route({
    ...common,
    id: "signalRun",
    path: "/api/v2/runs/{id}/signals",
    summary: "Put an event into the run's mailbox",
    description: "Kept until a `listen` takes it. The same id counts once.",
    scope: "signal",
    params: runParams,
    body: signalSchema,
    answers: { 202: { description: "In the mailbox.", schema: signalAnswerSchema } },
    faults: [...faults, "mailbox_full", "reserved_key"],
    handle: signal,
  }),
  onStep("retryStep", { action: "retry", text: "Try a step that needs attention again" }),
  onStep("skipStep", { action: "skip", text: "Let a step that needs attention count as skipped" }),
  onStep("failStep", { action: "fail", text: "Let a step that needs attention fail" }),
  route({
    ...ofStep,
    id: "takeStep",
    path: "/api/v2/runs/{id}/steps/{path}/take",
    summary: "Say that what a step asks about has happened, with its result",
    description: "Of a step that failed with `effect_unknown`: its call gave no answer. `retry` says that it has not happened.",
    body: takeSchema,
    faults: [...ofStep.faults, "reserved_key"],
    handle: take,
  }),
];

async function pause(call: RunCall<PauseRun>): Promise<Answer> {
  const { address, run } = await open(call);
  const { scope, timers, why } = call.body;
  const argument = { by: call.caller.principal.name, scope, timers, ...(why === undefined ? {} : { why }) };
  await update(address, "pause", { updateId: updateIdOf(call), argument });
  await noteAct(call, "run.paused", call.body);
  return accepted(call, run);
}

async function resume(call: RunCall<ResumeRun>): Promise<Answer> {
  const { address, run } = await open(call);
  await update(address, "resume", { updateId: updateIdOf(call), argument: { by: call.caller.principal.name, scope: call.body.scope } });
  await noteAct(call, "run.resumed", call.body);
  return accepted(call, run);
}

async function noteAct({ deps, caller, params, requestId }: RunCall, action: string, data: object): Promise<void> {
  const { tenant, principal } = caller;
  await audit(deps.database, { tenant, actor: principal.name, action, object: params.id, data: data as JsonObject, requestId });
}

async function cancel(call: RunCall): Promise<Answer> {
  const { address, run } = await open(call);
  await reach(address, (handle) => handle.cancel());
  return accepted(call, run);
}

async function terminate(call: RunCall<{ reason?: string }>): Promise<Answer> {
  const { address, run } = await open(call);
  await reach(address, (handle) => handle.terminate(call.body.reason ?? `by ${call.caller.principal.name}`));
  healSoon(call);
  return accepted(call, run);
}

async function signal(call: RunCall<Signal>): Promise<Answer> {
  requireRoom();
  const { address } = await open(call);
  const { event, data = null } = call.body;
  const id = call.body.id ?? call.idempotencyKey ?? randomUUID();
  const kept = await keep(call.deps.database, call.caller.tenant, data as Json);
  await update(address, "signal", { updateId: sha256(id), argument: { event, data: kept, id, at: Date.now() } });
  return { status: 202, body: { id, accepted: true } };
}

async function take(call: StepCall<Take>): Promise<Answer> {
  const result = await keep(call.deps.database, call.caller.tenant, (call.body.result ?? null) as Json);
  return attend(call, { action: "take", result });
}

type Attended = Pick<UpdateArguments["attend"], "action" | "result">;

async function attend(call: StepCall, attended: Attended): Promise<Answer> {
  const { address, run } = await open(call);
  const argument = { path: call.params.path, by: call.caller.principal.name, ...attended };
  // Items of a large `foreach` stand in runs of their own, at the paths that they have in this one.
  const at = (await parkedIn(call.deps.database, run.id, call.params.path)) ?? run.id;
  await update({ ...address, run: at }, "attend", { updateId: updateIdOf(call), argument });
  return accepted(call, run);
}

/** The run to speak to. One that is recorded as ended is not asked: its workflow may be past Temporal's retention. */
async function open(call: Call<{ id: string }>): Promise<{ address: RunAddress; run: SeenRun }> {
  const run = await seeRun(call, call.params.id);
  if (hasEnded(run)) throw new Fault("run_ended", `Run ${run.id} has ended: ${run.status}.`);
  return { address: { temporal: call.deps.temporal, tenant: call.caller.tenant, run: run.id }, run };
}

/** What the record says now; what was asked for shows there when the run has done it. */
const accepted = (call: Call, run: SeenRun): Answer => ({ status: 202, body: summaryOf(call, run) });

const updateIdOf = (call: Call): string =>
  call.idempotencyKey === undefined ? randomUUID() : sha256(`${call.request.path}\0${call.idempotencyKey}`);

// A terminated workflow cannot say so itself. Without the schedule the regular round does it later.
function healSoon({ deps }: Call): void {
  deps.temporal.schedule
    .getHandle("tenuto-reconcile")
    .trigger(ScheduleOverlapPolicy.BUFFER_ONE)
    .catch((error: unknown) => deps.log.debug({ err: error }, "reconcile not triggered"));
}
