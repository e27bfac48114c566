import { z } from "zod";
import { json, paged, text, time, urgency, problemSchema } from "./api.schema.ts";
import { instant } from "./instant.schema.ts";
import { limits } from "./limits.ts";

/** Bodies and answers of schedules, events and webhooks, as in `api.schema.ts`. */

const overlap = z.enum(["skip", "bufferOne", "bufferAll", "cancelOther", "allowAll"]);
const span = z.union([z.string().max(64), z.number()]);

const scheduleFields = {
  workflow: text(limits.idBytesMax),
  version: text(64).optional().meta({ description: "Absent: the highest version at each start." }),
  input: json.optional().meta({ description: "Absent: `{}`." }),
  ...urgency,
  cron: text(200).optional().meta({ description: "Minute, hour, day of month, month, day of week. Either this or `every`." }),
  every: span.optional().meta({ description: "A duration such as `10m`. Either this or `cron`." }),
  timezone: text(64).optional().meta({ description: "IANA name; UTC without it." }),
  startAt: instant.optional().meta({ description: "Nothing starts before." }),
  endAt: instant.optional().meta({ description: "Nothing starts after." }),
  overlap: overlap
    .optional()
    .meta({ description: "What becomes of a start that is due while the run before is under way; `skip` by default." }),
  catchUp: span.optional().meta({ description: "Starts missed by no more than this are made up for; 1 h by default, 10 s at least." }),
};

export const putScheduleSchema = z.strictObject(scheduleFields).meta({ id: "PutSchedule", description: "When to start what." });

export const createScheduleSchema = z
  .strictObject({
    ...scheduleFields,
    id: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/)
      .optional()
      .meta({ description: "Absent: of the Idempotency-Key, or random." }),
    paused: z.boolean().optional(),
    note: text(200).optional().meta({ description: "For people." }),
  })
  .meta({ id: "CreateSchedule", description: "When to start what." });

const scheduleRowSchema = z
  .object({
    id: z.string(),
    workflow: z.string(),
    paused: z.boolean(),
    note: z.string().nullable(),
    next: z.array(time).meta({ description: "The next starts." }),
    recent: z.array(z.object({ at: time, runId: z.string() })).meta({ description: "The last starts and their runs, oldest first." }),
  })
  .meta({ id: "ScheduleRow", description: "A schedule in a list." });

export const schedulePageSchema = paged("SchedulePage", scheduleRowSchema);

export const scheduleSchema = scheduleRowSchema
  .extend({
    version: z.string().nullable(),
    input: json,
    priority: z.int().nullable(),
    fairnessKey: z.string().nullable(),
    cron: z.string().nullable(),
    everyMs: z.int().nullable(),
    timezone: z.string().nullable(),
    startAt: z.string().nullable(),
    endAt: z.string().nullable(),
    overlap,
    catchUpMs: z.int(),
    counts: z.object({ started: z.int(), missed: z.int(), skipped: z.int() }).meta({
      description: "`missed`: too late to be made up for; `skipped`: the run before was under way.",
    }),
    isOfWorkflow: z
      .boolean()
      .meta({ description: "Made from the `triggers` of the workflow: it changes when another version is published." }),
  })
  .meta({ id: "Schedule", description: "When to start what, and what came of it." });

export const pauseScheduleSchema = z.strictObject({ note: text(200).optional() }).meta({ id: "PauseSchedule" });

export const triggerScheduleSchema = z.strictObject({ overlap: overlap.optional() }).meta({ id: "TriggerSchedule" });

export const backfillSchema = z
  .strictObject({ start: instant, end: instant, overlap: overlap.optional().meta({ description: "`allowAll` by default." }) })
  .meta({ id: "Backfill", description: "Start what was due between two times." });

export const tenantEventSchema = z
  .strictObject({
    event: text(255),
    data: json.optional().meta({ description: "Absent: null." }),
    id: text(255).optional().meta({ description: "The same id counts once. Absent: the Idempotency-Key, or a random one." }),
  })
  .meta({ id: "TenantEvent", description: "Something that happened, for whoever it concerns." });

export const takenSchema = z
  .object({
    id: z.string(),
    runs: z.array(z.object({ workflow: z.string(), runId: z.string(), isNew: z.boolean() })),
    refused: z
      .array(z.object({ workflow: z.string(), problem: problemSchema }))
      .meta({ description: "Workflows that could not be started with it." }),
    delivered: z.int().meta({ description: "Waiting runs that got it." }),
  })
  .meta({ id: "TakenEvent", description: "What an event has set off." });

export type CreateSchedule = z.infer<typeof createScheduleSchema>;
export type PutSchedule = z.infer<typeof putScheduleSchema>;
export type Backfill = z.infer<typeof backfillSchema>;
export type TenantEvent = z.infer<typeof tenantEventSchema>;
