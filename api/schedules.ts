import { randomUUID } from "node:crypto";
import { optionalDateToTs } from "@temporalio/common/lib/time.js";
import { z } from "zod";
import { emptySchema } from "../contracts/api.schema.ts";
import {
  backfillSchema,
  createScheduleSchema,
  pauseScheduleSchema,
  putScheduleSchema,
  schedulePageSchema,
  scheduleSchema,
  triggerScheduleSchema,
  type Backfill,
  type CreateSchedule,
  type PutSchedule,
} from "../contracts/schedule.schema.ts";
import { Fault, type FaultCode } from "../contracts/faults.ts";
import { canonicalJson, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { runIdFor } from "./begin.ts";
import { hashOf, sha256 } from "../prisma/hash.ts";
import { pageQuery } from "./parameters.ts";
import { faultOf } from "./problem.ts";
import { ok, route, type Answer, type Call } from "./route.ts";
import {
  changeSchedule,
  createSchedule,
  deleteSchedule,
  encodeOverlap,
  patchSchedule,
  scheduleHandle,
  type ScheduleOrder,
  type SchedulePatch,
} from "./schedule-options.ts";
import { scheduleOf } from "./schedule-body.ts";
import { isOfWorkflow, isUnknownSchedule, listSchedules, seeSchedule, startsDue } from "./schedule-view.ts";

const tag = "Schedules";
const params = z.object({
  id: z
    .string()
    .min(1)
    .max(200)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)
    .meta({ description: "Schedule id.", example: "nightly-report" }),
});
const seen = { 200: { description: "The schedule.", schema: scheduleSchema } };
const faults: FaultCode[] = ["not_found"];

type At<B = unknown> = Call<{ id: string }, unknown, B>;

const deed = <B extends z.ZodType>(
  verb: string,
  { text, body, handle }: { text: string; body: B; handle: (call: At<z.output<B>>) => Promise<Answer> },
) =>
  route({
    id: `${verb}Schedule`,
    method: "post",
    path: `/api/v2/schedules/{id}/${verb}`,
    summary: text,
    tag,
    scope: "start",
    params,
    body,
    bodyOptional: true,
    idempotency: "table",
    answers: seen,
    faults,
    handle: (call) => handle(call as At<z.output<B>>),
  });

export const scheduleRoutes = [
  route({
    id: "createSchedule",
    method: "post",
    path: "/api/v2/schedules",
    summary: "Start runs by the clock",
    description: "What is published at each start is what runs, unless `version` names one.",
    tag,
    scope: "start",
    body: createScheduleSchema,
    idempotency: "table",
    answers: { 201: { description: "Made.", schema: scheduleSchema, headers: ["Location"] } },
    faults: ["conflict", "not_found", "reserved_key"],
    handle: create,
  }),
  route({
    id: "listSchedules",
    method: "get",
    path: "/api/v2/schedules",
    summary: "Schedules of the tenant",
    description: "A schedule shows here a moment after it was made.",
    tag,
    scope: "read",
    query: pageQuery,
    answers: { 200: { description: "A page.", schema: schedulePageSchema } },
    handle: (call: Call<unknown, z.output<typeof pageQuery>>) => listSchedules(call, call.query).then(ok),
  }),
  route({
    id: "getSchedule",
    method: "get",
    path: "/api/v2/schedules/{id}",
    summary: "One schedule, with its next and last starts",
    tag,
    scope: "read",
    params,
    answers: seen,
    faults,
    handle: (call: At) => seeSchedule(call, call.params.id).then(ok),
  }),
  route({
    id: "putSchedule",
    method: "put",
    path: "/api/v2/schedules/{id}",
    summary: "Change a schedule; whether it is paused stays as it is",
    tag,
    scope: "start",
    params,
    body: putScheduleSchema,
    answers: seen,
    faults: ["not_found", "conflict", "reserved_key"],
    handle: change,
  }),
  route({
    id: "deleteSchedule",
    method: "delete",
    path: "/api/v2/schedules/{id}",
    summary: "Start nothing more; runs under way go on",
    tag,
    scope: "start",
    params,
    answers: { 204: { description: "Gone." } },
    faults: ["not_found", "conflict"],
    handle: remove,
  }),
  deed("pause", {
    text: "Start nothing until resumed",
    body: pauseScheduleSchema,
    handle: (call) => settle(call, (schedule) => schedule.pause(call.body.note ?? `by ${call.caller.principal.name}`)),
  }),
  deed("resume", {
    text: "Go on after a pause",
    body: emptySchema,
    handle: (call) => settle(call, (schedule) => schedule.unpause(`by ${call.caller.principal.name}`)),
  }),
  deed("trigger", {
    text: "Start a run now",
    body: triggerScheduleSchema,
    handle: (call) => startNow(call, { triggerImmediately: { overlapPolicy: encodeOverlap(call.body.overlap ?? "allowAll") } }),
  }),
  route({
    id: "backfillSchedule",
    method: "post",
    path: "/api/v2/schedules/{id}/backfill",
    summary: "Start what was due between two times",
    tag,
    scope: "start",
    params,
    body: backfillSchema,
    idempotency: "table",
    answers: seen,
    faults: [...faults, "limit"],
    handle: backfill,
  }),
];

async function create(call: Call<unknown, unknown, CreateSchedule>): Promise<Answer> {
  const { deps, caller, body, idempotencyKey } = call;
  const id = body.id ?? runIdFor(caller.tenant, idempotencyKey === undefined ? undefined : ["schedule", idempotencyKey]).slice("r_".length);
  const { paused = false, note } = body;
  await mustExist(call, body);
  // With a key an earlier request, which never got its answer, may have made it.
  const requestHash = idempotencyKey === undefined ? {} : { requestHash: sha256(`${idempotencyKey} ${canonicalJson(body as Json)}`) };
  if (!(await createSchedule(deps, orderOf(call, id, body), { paused, ...(note !== undefined && { note }), ...requestHash })))
    throw new Fault("conflict", `There is a schedule ${id}; change it by PUT, or choose another id.`);
  return { status: 201, body: await seeSchedule(call, id), headers: { Location: `/api/v2/schedules/${id}` } };
}

async function change(call: At<PutSchedule>): Promise<Answer> {
  const { id } = call.params;
  refuseOwned(id);
  await mustExist(call, call.body);
  if (!(await changeSchedule(call.deps, orderOf(call, id, call.body)))) throw unknownSchedule(id);
  return ok(await seeSchedule(call, id));
}

async function remove({ deps, caller, params: { id } }: At): Promise<Answer> {
  refuseOwned(id);
  if (!(await deleteSchedule(deps, caller.tenant, id))) throw unknownSchedule(id);
  return { status: 204 };
}

async function backfill(call: At<Backfill>): Promise<Answer> {
  const { start, end, overlap = "allowAll" } = call.body;
  if (Date.parse(end) <= Date.parse(start))
    throw faultOf("schema", "`end` must be after `start`.", [{ pointer: "/end", message: "not after `start`" }]);
  await refuseTooMany(call);
  const times = { startTime: optionalDateToTs(new Date(start)), endTime: optionalDateToTs(new Date(end)) };
  return startNow(call, { backfillRequest: [{ ...times, overlapPolicy: encodeOverlap(overlap) }] });
}

/** Safe to repeat. */
async function settle(call: At, act: (schedule: ReturnType<typeof scheduleHandle>) => Promise<unknown>): Promise<Answer> {
  const { id } = call.params;
  await knowing(call, () => act(scheduleHandle(call.deps, call.caller.tenant, id)));
  return ok(await seeSchedule(call, id));
}

/** Starts runs: once it is done nothing may ask for it again, neither a schedule that cannot be read back nor a lost answer. */
async function startNow(call: At, patch: SchedulePatch): Promise<Answer> {
  const {
    deps,
    caller,
    params: { id },
    idempotencyKey,
  } = call;
  const before = await seeSchedule(call, id);
  const requestId = idempotencyKey === undefined ? randomUUID() : hashOf([call.request.path, idempotencyKey, call.body as Json]);
  await knowing(call, () => patchSchedule(deps, { tenant: caller.tenant, id, requestId }, patch));
  return ok(await seeSchedule(call, id).catch(() => before));
}

/** Whoever mistypes a year would start millions of runs. */
async function refuseTooMany({ deps, caller, body: { start, end }, params: { id } }: At<Backfill>): Promise<void> {
  const due = await startsDue(deps, caller.tenant, { id, after: start, until: end });
  if (due === undefined) throw unknownSchedule(id);
  if (due <= limits.backfillStartsMax) return;
  const detail = `More than ${limits.backfillStartsMax} starts are due between \`start\` and \`end\`; ask for shorter times, one after the other.`;
  throw faultOf("limit", detail, [{ pointer: "/end", message: "too far from `start`" }]);
}

async function knowing({ params: { id } }: At, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    throw isUnknownSchedule(error) ? unknownSchedule(id) : error;
  }
}

async function mustExist({ deps, caller }: Call, { workflow, version }: PutSchedule): Promise<void> {
  const where = { tenant: caller.tenant, name: workflow, ...(version !== undefined && { version }) };
  if (!(await deps.database.definition.findFirst({ where, select: { name: true } })))
    throw new Fault("not_found", version === undefined ? `No workflow ${workflow}.` : `No version ${version} of workflow ${workflow}.`);
}

function refuseOwned(id: string): void {
  if (isOfWorkflow(id))
    throw new Fault("conflict", `Schedule ${id} comes from the \`triggers\` of its workflow; publish a version without it.`);
}

const unknownSchedule = (id: string): Fault => new Fault("not_found", `No schedule ${id}.`);

function orderOf({ caller }: Call, id: string, body: PutSchedule): ScheduleOrder {
  const { workflow, version, input = {}, priority, fairnessKey } = body;
  return { tenant: caller.tenant, id, workflow, version, input: input as Json, priority, fairnessKey, schedule: scheduleOf(body) };
}
