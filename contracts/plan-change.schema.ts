import { z } from "zod";
import { anyJson } from "./definition-fields.schema.ts";
import { instant } from "./instant.schema.ts";
import { limits } from "./limits.ts";

const path = z.string().max(limits.stepPathBytesMax);
const step = z.record(z.string(), anyJson).meta({ description: "A step as in a definition." });

const operation = z
  .union([
    z.strictObject({ op: z.literal("replace"), path, step }),
    z.strictObject({ op: z.literal("remove"), path }),
    z.strictObject({ op: z.literal("add"), after: path, step }),
    z.strictObject({ op: z.literal("add"), before: path, step }),
    z.strictObject({ op: z.literal("add"), into: path, step }),
  ])
  .meta({
    id: "PlanOperation",
    description: "One change. Paths are step paths without the numbers of items; `into` names a list of steps, empty for the run's own.",
  });

export const patchPlanSchema = z
  .strictObject({
    operations: z.array(operation).min(1).max(limits.patchOperationsMax),
    planHash: z.string().max(64).optional().meta({ description: "Refused with 409 when the run walks another plan by now." }),
    dryRun: z.boolean().default(false),
  })
  .meta({ id: "PatchPlan", description: "Changes of steps that have not started." });

export const migrateSchema = z
  .strictObject({ version: z.string().min(1).max(255), dryRun: z.boolean().default(false) })
  .meta({ id: "Migrate", description: "Go on with another version of the same workflow." });

export const migrateAllSchema = z
  .strictObject({
    to: z.string().min(1).max(255),
    from: z.string().min(1).max(255).optional().meta({ description: "Only runs of this version." }),
    startedBefore: instant.optional(),
    cursor: z.string().max(255).optional().meta({ description: "`next` of the answer before." }),
    dryRun: z.boolean().default(false),
  })
  .meta({ id: "MigrateAll", description: "Go on with another version, for all open runs that fit." });

const refusals = z
  .array(z.object({ path: z.string(), why: z.string() }))
  .meta({ description: "Steps that have started and are changed or gone." });

export const planChangeSchema = z
  .object({ runId: z.string(), version: z.string(), planHash: z.string(), accepted: z.boolean(), refusals })
  .meta({
    id: "PlanChange",
    description: "Taken in, or why not. An accepted change takes effect as soon as no call is in flight; the log then has `plan.changed`.",
  });

export const migrationReportSchema = z
  .object({
    runs: z.array(z.object({ runId: z.string(), accepted: z.boolean(), refusals, error: z.string().optional() })),
    accepted: z.int(),
    refused: z.int(),
    next: z.string().nullable(),
  })
  .meta({ id: "MigrationReport", description: "Who goes on with the new version, and who cannot and why." });

export const runPlanSchema = z
  .object({ workflow: z.string(), version: z.string(), planHash: z.string(), definition: z.record(z.string(), z.unknown()) })
  .meta({ id: "RunPlan", description: "What the run walks." });

export type PatchPlan = z.infer<typeof patchPlanSchema>;
export type Migrate = z.infer<typeof migrateSchema>;
export type MigrateAll = z.infer<typeof migrateAllSchema>;
