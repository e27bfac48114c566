import { z } from "zod";
import { anyJson, condition, count, duration, fixedText, text } from "./definition-fields.schema.ts";
import { limits } from "./limits.ts";

/** What of a definition decides when its runs start. */

export const concurrency = z
  .strictObject({
    key: text
      .optional()
      .describe("Runs of one key are counted together, in the whole tenant; sees `input`. The workflow's name without it."),
    limit: count(limits.concurrencyLimitMax).optional().describe("How many may be under way at once; 1 by default."),
    onLimit: z
      .enum(["queue", "reject", "cancelOldest"])
      .optional()
      .describe("What becomes of one more: it waits (default), is refused, or takes the place of the oldest."),
  })
  .describe("How many runs may be under way at once.");

const schedule = z.strictObject({
  cron: fixedText.optional().describe("Minute, hour, day of month, month, day of week; or `@daily` and its like. Either this or `every`."),
  every: duration.optional().describe("How often. Either this or `cron`."),
  timezone: fixedText.optional().describe("IANA name such as `Europe/Berlin`; UTC without it."),
  startAt: fixedText.optional().describe("Nothing starts before this ISO 8601 date and time."),
  endAt: fixedText.optional().describe("Nothing starts after it."),
  overlap: z
    .enum(["skip", "bufferOne", "bufferAll", "cancelOther", "allowAll"])
    .optional()
    .describe("What becomes of a start that is due while the run before is under way; `skip` by default."),
  catchUp: duration.optional().describe("Starts that were missed by no more than this are made up for; 1 h by default."),
  input: anyJson.optional().describe("The input of the runs. Fixed: a run reads the time of its start in `run.startedAt`."),
});

const webhook = z.strictObject({
  path: z
    .string()
    .max(limits.idBytesMax)
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/)
    .optional()
    .describe("Last part of its address; the workflow's name without it."),
  input: anyJson.optional().describe("The input of the run; sees `request {body, headers, query}`. The body without it."),
  secret: fixedText.optional().describe("Name of the secret that its signature is checked with."),
});

const event = z.strictObject({
  event: fixedText.describe("Name of the event."),
  when: condition.optional().describe("Starts a run only when this is true; sees `event`."),
  input: anyJson.optional().describe("The input of the run; sees `event {event, data, id, at}`. The event's data without it."),
});

export const triggers = z
  .array(
    z.strictObject({
      schedule: schedule.optional().describe("By the clock."),
      webhook: webhook.optional().describe("By a call from outside."),
      event: event.optional().describe("By an event of the tenant."),
    }),
  )
  .max(limits.triggersMax)
  .describe("What starts runs of the newest version: each is one of `schedule`, `webhook`, `event`.");
