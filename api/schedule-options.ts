import {
  isGrpcServiceError,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  ServiceError,
  type Client,
  type ScheduleOptions,
} from "@temporalio/client";
import { encodeScheduleOverlapPolicy } from "@temporalio/client/lib/schedule-types.js";
import { Fault } from "../contracts/faults.ts";
import { queues, temporalScheduleId } from "../contracts/ids.ts";
import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { workflowTypes, type FireArguments } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import type { ScheduleTrigger } from "../language/plan.ts";
import { keep } from "../prisma/blobs.ts";
import type { Deps } from "./deps.ts";

/** A schedule as it shall be. */
export interface ScheduleOrder {
  tenant: string;
  id: string;
  workflow: string;
  version?: string | undefined;
  input: Json;
  priority?: number | undefined;
  fairnessKey?: string | undefined;
  schedule: ScheduleTrigger;
}

const overlaps = {
  skip: ScheduleOverlapPolicy.SKIP,
  bufferOne: ScheduleOverlapPolicy.BUFFER_ONE,
  bufferAll: ScheduleOverlapPolicy.BUFFER_ALL,
  cancelOther: ScheduleOverlapPolicy.CANCEL_OTHER,
  allowAll: ScheduleOverlapPolicy.ALLOW_ALL,
} as const;

export const encodeOverlap = (overlap: keyof typeof overlaps) => encodeScheduleOverlapPolicy(overlaps[overlap]);

export const scheduleHandle = ({ temporal }: Deps, tenant: string, id: string) =>
  temporal.schedule.getHandle(temporalScheduleId(tenant, id));

interface Making {
  paused?: boolean;
  note?: string;
  /** What the request was: the same one again has made it already. */
  requestHash?: string;
}

/** Make the schedule. False when another has this id. */
export async function createSchedule(deps: Deps, order: ScheduleOrder, { requestHash, ...state }: Making = {}): Promise<boolean> {
  const options = await optionsOf(deps, order);
  const memo = requestHash === undefined ? {} : { memo: { requestHash } };
  try {
    const scheduleId = temporalScheduleId(order.tenant, order.id);
    await intelligibly(() => deps.temporal.schedule.create({ ...options, ...memo, scheduleId, state }));
    return true;
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    if (requestHash === undefined) return false;
    return (await scheduleHandle(deps, order.tenant, order.id).describe()).memo?.["requestHash"] === requestHash;
  }
}

/** Change the schedule; whether it is paused stays as it is. False when there is none. */
export async function changeSchedule(deps: Deps, order: ScheduleOrder): Promise<boolean> {
  const options = await optionsOf(deps, order);
  try {
    await intelligibly(() => scheduleHandle(deps, order.tenant, order.id).update(({ state }) => ({ ...options, state })));
    return true;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return false;
    throw error;
  }
}

export async function putSchedule(deps: Deps, order: ScheduleOrder): Promise<void> {
  if (!(await changeSchedule(deps, order)) && !(await createSchedule(deps, order))) await changeSchedule(deps, order);
}

export type SchedulePatch = NonNullable<Parameters<Client["workflowService"]["patchSchedule"]>[0]["patch"]>;

/** Let the schedule do something; asked for again with the same request id it is done once. The SDK's handle takes no such id. */
export async function patchSchedule(
  { temporal, settings }: Deps,
  { tenant, id, requestId }: { tenant: string; id: string; requestId: string },
  patch: SchedulePatch,
): Promise<void> {
  const scheduleId = temporalScheduleId(tenant, id);
  try {
    await temporal.workflowService.patchSchedule({ namespace: settings.TEMPORAL_NAMESPACE, scheduleId, requestId, patch });
  } catch (error) {
    throw isGrpcServiceError(error) && error.code === 5 ? new ScheduleNotFoundError(error.details, scheduleId) : error;
  }
}

/** False when there was none. */
export async function deleteSchedule(deps: Deps, tenant: string, id: string): Promise<boolean> {
  try {
    await scheduleHandle(deps, tenant, id).delete();
    return true;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return false;
    throw error;
  }
}

async function optionsOf({ database }: Deps, order: ScheduleOrder): Promise<Omit<ScheduleOptions, "scheduleId" | "state">> {
  const { tenant, id, workflow, version, priority, fairnessKey, schedule } = order;
  const { cron, everyMs, timezone, startAt, endAt, overlap, catchUpMs } = schedule;
  const args: FireArguments = {
    tenant,
    schedule: id,
    workflow,
    ...(version !== undefined && { version }),
    input: await keep(database, tenant, order.input),
    ...(priority !== undefined && { priority }),
    ...(fairnessKey !== undefined && { fairnessKey }),
    words: { ...schedule, input: null } as unknown as Json,
  };
  const labels = [
    { key: searchAttributes.tenant, value: tenant },
    { key: searchAttributes.workflow, value: workflow },
  ];
  return {
    spec: {
      ...(cron !== undefined && { cronExpressions: [cron] }),
      ...(everyMs !== undefined && { intervals: [{ every: everyMs }] }),
      ...(timezone !== undefined && { timezone }),
      ...(startAt !== undefined && { startAt: new Date(startAt) }),
      ...(endAt !== undefined && { endAt: new Date(endAt) }),
    },
    action: {
      type: "startWorkflow",
      workflowType: workflowTypes.fire,
      workflowId: `fire.${tenant}.${id}`,
      taskQueue: queues.runs,
      args: [args],
      typedSearchAttributes: labels,
      staticSummary: `${id}: ${workflow}`.slice(0, limits.summaryBytesMax / 4),
    },
    policies: { overlap: overlaps[overlap], catchupWindow: Math.max(catchUpMs, CATCH_UP_MIN_MS) },
    typedSearchAttributes: labels,
  };
}

/** Temporal's own minimum. */
const CATCH_UP_MIN_MS = 10_000;

// Temporal knows cron expressions and timezones best.
async function intelligibly<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const cause = error instanceof ServiceError ? error.cause : error;
    // The client makes a TypeError of what the server says about times.
    const refusal = isGrpcServiceError(cause) && cause.code === 3 ? cause.details : cause instanceof TypeError ? cause.message : undefined;
    throw refusal === undefined ? error : new Fault("schema", `The schedule is refused: ${refusal}`, { cause: error });
  }
}
