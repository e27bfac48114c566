import { z } from "zod";
import { instant } from "../contracts/instant.schema.ts";
import { limits } from "../contracts/limits.ts";

/** Path and query parameters that several routes share. */

export const runParams = z.object({
  id: z.string().min(1).max(255).meta({ description: "Run id.", example: "r_0123456789abcdefghjkmnpqrs" }),
});

export const stepParams = runParams.extend({
  path: z
    .string()
    .min(1)
    .max(limits.stepPathBytesMax)
    .meta({ description: "Step path, URL-encoded: `annotate%5B3%5D.note`.", example: "annotate[3].note" }),
});

const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(limits.pageSizeMax)
  .default(limits.pageSizeDefault)
  .meta({ description: "Rows of a page." });

export const pageQuery = z.strictObject({
  cursor: z.string().min(1).max(2_000).optional().meta({ description: "`page.next` of the page before." }),
  limit,
});

export const stepsQuery = pageQuery.extend({
  links: z
    .enum(["true", "false"])
    .default("false")
    .transform((text) => text === "true")
    .meta({ description: "With each step's `links`; Temporal is asked where its events are." }),
});

export const waitQuery = z.strictObject({
  wait: z.coerce
    .number()
    .int()
    .min(0)
    .max(limits.waitSecondsMax)
    .default(0)
    .meta({ description: "Answer when it has ended, or after so many seconds." }),
});

export const runsQuery = pageQuery.extend({
  workflow: z.string().min(1).max(255).optional(),
  version: z.string().min(1).max(255).optional(),
  parentId: z.string().min(1).max(255).optional(),
  retryOf: z.string().min(1).max(255).optional(),
  forkOf: z.string().min(1).max(255).optional(),
  startedAfter: instant.optional(),
  startedBefore: instant.optional(),
});

export const eventsQuery = z.strictObject({
  after: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .optional()
    .meta({ description: "Events with a higher number; also `page.next` of the page before." }),
  limit,
});
