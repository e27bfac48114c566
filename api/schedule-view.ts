import { isGrpcServiceError, ScheduleNotFoundError, type ScheduleDescription, type ScheduleExecutionResult } from "@temporalio/client";
import { msToTs, tsToMs } from "@temporalio/common/lib/time.js";
import { Fault } from "../contracts/faults.ts";
import { firedRunId, temporalScheduleId } from "../contracts/ids.ts";
import type { Json, JsonObject } from "../contracts/json.ts";
import type { FireArguments } from "../contracts/messages.ts";
import { searchAttributes } from "../contracts/search-attributes.ts";
import type { ScheduleTrigger } from "../language/plan.ts";
import { resolve } from "../prisma/blobs.ts";
import { sha256 } from "../prisma/hash.ts";
import { decodeCursor, encodeCursor, unknownCursor } from "./cursor.ts";
import type { Call } from "./route.ts";
import { scheduleHandle } from "./schedule-options.ts";

const NOT_FOUND = 5;

/** Schedules that come from a definition's triggers have a dot in their id; others cannot. */
export const isOfWorkflow = (id: string): boolean => id.includes(".");

export const isUnknownSchedule = (error: unknown): boolean => error instanceof ScheduleNotFoundError;

export async function seeSchedule({ deps, caller }: Call, id: string): Promise<JsonObject> {
  const description = await describe({ deps, caller }, id);
  // Made by `schedule-options.ts` alone.
  const [fire] = description.action.args as unknown as [FireArguments];
  const {
    cron = null,
    everyMs = null,
    timezone = null,
    startAt = null,
    endAt = null,
    overlap,
    catchUpMs,
  } = fire.words as unknown as ScheduleTrigger;
  const { numActionsTaken, numActionsMissedCatchupWindow, numActionsSkippedOverlap, nextActionTimes, recentActions } = description.info;
  return {
    id,
    workflow: fire.workflow,
    version: fire.version ?? null,
    input: await resolve(deps.database, caller.tenant, fire.input),
    priority: fire.priority ?? null,
    fairnessKey: fire.fairnessKey ?? null,
    cron,
    everyMs,
    timezone,
    startAt,
    endAt,
    overlap,
    catchUpMs,
    paused: description.state.paused,
    note: description.state.note || null,
    next: nextActionTimes.map((at) => at.toISOString()),
    recent: recentActions.map(started),
    counts: { started: numActionsTaken, missed: numActionsMissedCatchupWindow, skipped: numActionsSkippedOverlap },
    isOfWorkflow: isOfWorkflow(id),
  };
}

async function describe({ deps, caller }: Pick<Call, "deps" | "caller">, id: string): Promise<ScheduleDescription> {
  try {
    return await scheduleHandle(deps, caller.tenant, id).describe();
  } catch (error) {
    throw isUnknownSchedule(error) ? new Fault("not_found", `No schedule ${id}.`) : error;
  }
}

const started = ({ takenAt, action }: ScheduleExecutionResult): JsonObject => ({
  at: takenAt.toISOString(),
  runId: firedRunId(action.workflow.firstExecutionRunId),
});

/** How often a schedule fires between two times, as Temporal counts: to 1,000, then it stops. Undefined when there is no such schedule. */
export async function startsDue(
  { temporal, settings }: Pick<Call["deps"], "temporal" | "settings">,
  tenant: string,
  { id, after, until }: { id: string; after: string; until: string },
): Promise<number | undefined> {
  try {
    const { startTime } = await temporal.workflowService.listScheduleMatchingTimes({
      namespace: settings.TEMPORAL_NAMESPACE,
      scheduleId: temporalScheduleId(tenant, id),
      startTime: msToTs(Date.parse(after)),
      endTime: msToTs(Date.parse(until)),
    });
    return startTime.length;
  } catch (error) {
    if (isGrpcServiceError(error) && error.code === NOT_FOUND) return undefined;
    throw error;
  }
}

/** A page as Temporal gives it: its own token is the cursor. It says of a token that it did not make only that something went wrong. */
export async function listSchedules(
  { deps, caller }: Call,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
): Promise<JsonObject> {
  const { temporal, settings } = deps;
  const token = tokenOf(cursor);
  const { schedules, nextPageToken } = await temporal.workflowService.listSchedules({
    namespace: settings.TEMPORAL_NAMESPACE,
    maximumPageSize: limit,
    query: `${searchAttributes.tenant.name} = "${caller.tenant}"`,
    ...(token !== undefined && { nextPageToken: Buffer.from(token, "base64") }),
  });
  const next = nextPageToken && nextPageToken.length > 0 ? cursorOf(Buffer.from(nextPageToken).toString("base64")) : null;
  return { data: schedules.map((entry) => rowOf(caller.tenant, entry)), page: { next, hasMore: next !== null } };
}

const cursorOf = (token: string): string => encodeCursor([checksum(token), token]);

function tokenOf(cursor: string | undefined): string | undefined {
  const [sum, token = ""] = decodeCursor(cursor, 2 ** 48) ?? [];
  if (sum === undefined) return undefined;
  if (sum !== checksum(token)) throw unknownCursor();
  return token;
}

const checksum = (token: string): number => Number.parseInt(sha256(token).slice(0, 12), 16);

type Entry = NonNullable<Awaited<ReturnType<Call["deps"]["temporal"]["workflowService"]["listSchedules"]>>["schedules"]>[number];

function rowOf(tenant: string, { scheduleId, searchAttributes: attributes, info }: Entry): JsonObject {
  const workflow = attributes?.indexedFields?.[searchAttributes.workflow.name]?.data;
  return {
    id: (scheduleId ?? "").slice(temporalScheduleId(tenant, "").length),
    workflow: workflow ? (JSON.parse(Buffer.from(workflow).toString()) as Json) : "",
    paused: info?.paused ?? false,
    note: info?.notes || null,
    next: (info?.futureActionTimes ?? []).map((time) => new Date(tsToMs(time)).toISOString()),
    recent: (info?.recentActions ?? []).map(({ actualTime, startWorkflowResult }) => ({
      at: new Date(tsToMs(actualTime)).toISOString(),
      runId: firedRunId(startWorkflowResult?.runId ?? ""),
    })),
  };
}
