import { z } from "zod";
import { paged, text, time } from "./api.schema.ts";
import { limits } from "./limits.ts";

/** Bodies and answers of pausing, as in `api.schema.ts`. */

const why = text(1_000).optional().meta({ description: "For people: shown with the pause and kept in the audit." });
const timers = z
  .enum(["run", "freeze"])
  .default("run")
  .meta({ description: "`freeze`: waits, deadlines, time limits and back-offs stand still and keep what is left of them." });
const pauseScope = z.enum(["run", "tree"]).default("run").meta({ description: "`tree`: its children as well, deep, also later ones." });

export const pauseSchema = z.strictObject({ timers, why }).meta({ id: "Pause", description: "How to pause." });
export const pauseRunSchema = pauseSchema.extend({ scope: pauseScope }).meta({ id: "PauseRun", description: "How to pause a run." });
export const resumeRunSchema = z.strictObject({ scope: pauseScope }).meta({ id: "ResumeRun", description: "Which pause of a run to end." });

export const pauseStateSchema = z
  .object({
    workflow: z.string().nullable().meta({ description: "null: the whole tenant." }),
    paused: z.boolean(),
    timers: z.enum(["run", "freeze"]),
    why: z.string().nullable(),
    by: z.string().nullable(),
    at: time.nullable(),
  })
  .meta({ id: "PauseState", description: "Whether the runs of a workflow, or of the tenant, are paused; who said so last, when and why." });

export const pausePageSchema = paged("PausePage", pauseStateSchema);

export const autoPauseSchema = z
  .strictObject({
    failureRate: z.number().gt(0).max(1).meta({ description: "Share of failed runs from which on the workflow is paused." }),
    window: text(64).meta({ description: "Runs that ended within this duration count: `15m`, `PT1H`." }),
    minimumRuns: z.int().min(1).max(limits.autoPauseRunsMax).meta({ description: "With fewer ended runs nothing is paused." }),
  })
  .meta({ id: "AutoPause", description: "When a workflow pauses itself. A person resumes it." });

export type PauseBody = z.infer<typeof pauseSchema>;
export type PauseRun = z.infer<typeof pauseRunSchema>;
export type ResumeRun = z.infer<typeof resumeRunSchema>;
export type AutoPauseBody = z.infer<typeof autoPauseSchema>;
