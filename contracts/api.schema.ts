import { z } from "zod";
import { eventTypes, runStatuses, stepStatuses } from "./events.ts";
import { faults, type FaultCode } from "./faults.ts";
import { OWN_RUN_ID_PATTERN, TENANT_PATTERN } from "./ids.ts";
import { limits } from "./limits.ts";

/** Every request and answer of the HTTP API. Routes parse with these objects and the OpenAPI document is made from them. */

const faultCodes = Object.keys(faults) as [FaultCode, ...FaultCode[]];
export const text = (max: number) => z.string().min(1).max(max);
// Bodies come out of JSON.parse, so that whatever stands there is JSON.
export const json = z.unknown().meta({ description: "Any JSON value." });
export const time = z.string().meta({ format: "date-time" });
const jsonObject = z.record(z.string(), json);

export const detailSchema = z
  .object({
    pointer: z.string().optional().meta({ description: "JSON Pointer into the body, or the name of a parameter." }),
    code: z.string().optional(),
    path: z.string().optional().meta({ description: "Place in the definition." }),
    line: z.int().optional(),
    column: z.int().optional(),
    message: z.string(),
  })
  .meta({ id: "ProblemDetail", description: "One mismatch." });

export const problemSchema = z
  .looseObject({
    type: z.string(),
    code: z.enum(faultCodes),
    status: z.int(),
    title: z.string(),
    detail: z.string(),
    instance: z.string().optional(),
    requestId: z.string().optional(),
    errors: z.array(detailSchema).optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457: what went wrong and what to do next." });

export const pageSchema = z
  .object({ next: z.string().nullable(), hasMore: z.boolean() })
  .meta({ id: "Page", description: "`next` is the cursor of the following page." });

export const paged = <Item extends z.ZodType>(id: string, item: Item) =>
  z.object({ data: z.array(item), page: pageSchema }).meta({ id, description: "One page." });

// Definitions

export const publishedSchema = z
  .object({ name: z.string(), version: z.string(), hash: z.string() })
  .meta({ id: "Published", description: "A published version. It never changes." });

export const validationSchema = z
  .object({ valid: z.boolean(), problems: z.array(detailSchema) })
  .meta({ id: "Validation", description: "Every problem of a definition at once." });

const definitionSchema = z
  .object({
    name: z.string(),
    version: z.string(),
    title: z.string().nullable(),
    description: z.string().nullable(),
    hash: z.string(),
    publishedBy: z.string(),
    publishedAt: time,
  })
  .meta({ id: "DefinitionSummary", description: "A published version, without its content." });

export const definitionPageSchema = paged("DefinitionPage", definitionSchema);

export const definitionVersionsSchema = z
  .object({ name: z.string(), latest: z.string(), versions: z.array(definitionSchema), page: pageSchema })
  .meta({
    id: "DefinitionVersions",
    description: "A page of the versions of a workflow, highest first. `latest` is what a start without version takes.",
  });

export const definitionVersionSchema = definitionSchema.extend({ definition: json, input: json, output: json }).meta({
  id: "DefinitionVersion",
  description: "A published version with its definition; `input` and `output` are JSON Schemas or null.",
});

// Runs

export const urgency = {
  priority: z.int().min(1).max(5).optional().meta({ description: "1 goes first, 5 last, where work waits for workers; 3 by default." }),
  fairnessKey: text(limits.fairnessKeyBytesMax)
    .regex(/^[\x20-\x7e]+$/)
    .optional()
    .meta({ description: "Who shares the workers fairly with whom: such as a customer's id." }),
};

const ownRunIdRule = `1 to ${limits.ownRunIdMax} letters, digits, "-" and "_"; the first a letter or digit, and not "r_" at the beginning`;

export const startRunSchema = z
  .strictObject({
    id: z
      .string()
      .max(limits.ownRunIdMax, ownRunIdRule)
      .regex(new RegExp(OWN_RUN_ID_PATTERN), ownRunIdRule)
      .optional()
      .meta({ description: "The run's id of your own, once in the tenant; `/runs/{id}` takes it. Absent: one is made." }),
    onConflict: z
      .enum(["fail", "useExisting"])
      .optional()
      .meta({ description: "Only with `id`, when a run has it: 409 `run_exists` (default), or 200 with that run, open or ended." }),
    workflow: text(limits.idBytesMax),
    version: text(64).optional().meta({ description: "Absent: the highest published version." }),
    input: json.optional().meta({ description: "Absent: `{}`." }),
    ...urgency,
  })
  .refine(({ id, onConflict }) => onConflict === undefined || id !== undefined, {
    path: ["onConflict"],
    error: "`onConflict` is about `id`: give one, or leave it out.",
  })
  .meta({ id: "StartRun", description: "What to run." });

const linksSchema = z
  .object({ self: z.string(), events: z.string(), temporal: z.string().meta({ description: "This run in the Temporal Web UI." }) })
  .meta({ id: "RunLinks" });

const statusSchema = z.enum(runStatuses).meta({ id: "RunStatus" });

export const runSummarySchema = z
  .object({ id: z.string(), status: statusSchema, links: linksSchema })
  .meta({ id: "RunSummary", description: "A run's state as recorded." });

const runRowSchema = z
  .object({
    id: z.string(),
    workflow: z.string(),
    version: z.string(),
    status: statusSchema,
    parentId: z.string().nullable(),
    retryOf: z.string().nullable().meta({ description: "The run that this one tries again." }),
    forkOf: z.string().nullable().meta({ description: "The run that this one branched off from." }),
    startedBy: z.string(),
    startedAt: time,
    endedAt: time.nullable(),
    links: linksSchema,
  })
  .meta({ id: "RunRow", description: "A run without its data." });

export const runPageSchema = paged("RunPage", runRowSchema);

const usageSchema = z
  .object({
    inputTokens: z.int(),
    outputTokens: z.int(),
    calls: z.int(),
    costUsd: z.number().nullable().meta({ description: "null when the price of a call is not known." }),
  })
  .meta({ id: "Usage", description: "Totals over the run's own steps." });

const heldSchema = z
  .object({
    reason: z.string().meta({ description: "`run`, `tree:<run id>`, `definition:<name>` or `tenant`." }),
    source: z.enum(["run", "parent", "platform"]),
    by: z.string(),
    at: time,
    timers: z.enum(["run", "freeze"]),
    why: z.string().optional(),
  })
  .meta({ id: "Hold", description: "One reason for which a run is paused." });

export const runSchema = runRowSchema
  .extend({
    input: json,
    output: json,
    error: problemSchema.nullable(),
    passedErrors: z.array(problemSchema).nullable(),
    waitingFor: json,
    holds: z.array(heldSchema).meta({ description: "What pauses the run; it goes on when nothing does." }),
    retries: z.array(z.string()).meta({ description: "Runs that tried this one again, newest first." }),
    forks: z.array(z.string()).meta({ description: "Runs that branched off from this one, newest first." }),
    usage: usageSchema,
  })
  .meta({ id: "Run", description: "A run with its data; large values are resolved." });

const stepLinksSchema = z
  .object({
    self: z.string(),
    run: z.string(),
    temporal: z.string().meta({
      description: "The step's event in the Temporal Web UI; the run, when the step has none or Temporal has forgotten it.",
    }),
  })
  .meta({ id: "StepLinks" });

export const stepSchema = z
  .object({
    path: z.string(),
    type: z.string(),
    status: z.enum(stepStatuses),
    attempt: z.int(),
    output: json,
    error: problemSchema.nullable(),
    usage: json,
    reusedFrom: z.string().nullable().meta({ description: "The run that performed it, when its result was taken over." }),
    startedAt: time,
    endedAt: time.nullable(),
    links: stepLinksSchema.optional().meta({ description: "In lists with `links=true`." }),
  })
  .meta({
    id: "Step",
    description: "A step. In lists an output above 16 KB stands as `{$tenutoRef, bytes}`; read the step itself for the value.",
  });

export const stepPageSchema = paged("StepPage", stepSchema);

const eventSchema = z
  .object({
    seq: z.int().meta({ description: "1..n without gap." }),
    type: z.enum(Object.keys(eventTypes) as [string, ...string[]]),
    time,
    step: z.string().nullable(),
    data: jsonObject,
  })
  .meta({ id: "RunEvent", description: "One entry of a run's log." });

export const eventPageSchema = paged("EventPage", eventSchema);

export const emptySchema = z.strictObject({}).meta({ id: "Empty", description: "No fields." });

const dryRun = z.boolean().optional().meta({ description: "Say what would be reused and what would run; start nothing." });
const stepPath = text(limits.stepPathBytesMax);

export const retryRunSchema = z.strictObject({ dryRun }).meta({ id: "RetryRun", description: "Try a run that ended badly again." });

export const forkRunSchema = z
  .strictObject({
    from: stepPath.optional().meta({
      description: "Run again from here: this step and all that may depend on it. `a.b[3].c` an item's, `call/child.step` a child's.",
    }),
    input: json.optional().meta({ description: "Instead of the run's. Without `from` everything runs again." }),
    vars: jsonObject.optional().meta({ description: "Variables instead of what they were. Without `from` everything runs again." }),
    steps: z.record(stepPath, json).optional().meta({ description: "Outputs put in by hand; what depends on them runs again." }),
    version: text(64).optional().meta({ description: "Another published version; steps that are not the same there run again." }),
    reexecuteEffects: z.boolean().optional().meta({
      description: "What the origin's tools have done outside with the same arguments is done again; absent, its result is taken.",
    }),
    dryRun,
  })
  .meta({ id: "ForkRun", description: "Branch off from a run: what is not changed is reused." });

const previewFields = {
  reuse: z.array(z.string()).meta({ description: "Finished steps and scopes that are taken over as they are." }),
  run: z.array(z.string()).meta({ description: "Steps that will run, as far as the log can tell." }),
};

export const previewSchema = z
  .object({
    ...previewFields,
    childRuns: z
      .array(z.object({ step: z.string(), of: z.string(), ...previewFields }))
      .meta({ description: "Children that go on from an old one (`of`); a child's child has the step `call/inner`." }),
  })
  .meta({ id: "Preview", description: "What a retry or fork would do." });

export const auditPageSchema = paged(
  "AuditPage",
  z
    .object({
      id: z.string(),
      time,
      actor: z.string(),
      action: z.string(),
      object: z.string(),
      data: json,
      requestId: z.string().nullable(),
    })
    .meta({ id: "AuditEntry", description: "Who did what to which object." }),
);

export const terminateSchema = z
  .strictObject({ reason: text(1_000).optional() })
  .meta({ id: "Terminate", description: "Ends the run at once: nothing of it is compensated." });

export const takeSchema = z
  .strictObject({ result: json.optional().meta({ description: "What the step gives; absent: null." }) })
  .meta({ id: "Take", description: "It has happened, with this result." });

export const signalSchema = z
  .strictObject({
    event: text(255),
    data: json.optional().meta({ description: "Absent: null." }),
    id: text(255).optional().meta({ description: "The same id counts once. Absent: the Idempotency-Key, or a random one." }),
  })
  .meta({ id: "Signal", description: "An event for the run's mailbox." });

export const signalAnswerSchema = z
  .object({ id: z.string(), accepted: z.literal(true) })
  .meta({ id: "SignalAnswer", description: "The event lies in the mailbox." });

// Approvals

const voteSchema = z
  .object({ by: z.string(), decision: z.enum(["approved", "rejected"]), at: time, comment: z.string().nullable() })
  .meta({ id: "Vote", description: "One person's answer." });

export const approvalSchema = z
  .object({
    id: z.string(),
    runId: z.string(),
    stepPath: z.string(),
    title: z.string(),
    workflow: z.string(),
    payload: json,
    payloadHash: z.string().meta({
      description: "What an answer is bound to; SHA-256 of the payload's canonical JSON, without a payload of title and payload.",
    }),
    assignees: z.array(z.string()).meta({ description: "Names and `role:…`; empty: any person." }),
    quorum: z.number().meta({ description: "Different persons who must approve." }),
    votes: z.array(voteSchema).meta({ description: "Answers so far; those about a payload that was edited since do not count." }),
    editable: z.boolean().meta({ description: "`data` of an approval is the payload as it shall be." }),
    form: json.meta({ description: "JSON Schema of the decision's `data`, or null." }),
    status: z.string().meta({ description: "pending, approved, rejected, expired or canceled." }),
    askedAt: time,
    expiresAt: time.nullable(),
    decidedAt: time.nullable(),
    decidedBy: z.string().nullable(),
    comment: z.string().nullable(),
    data: json,
    escalatedAt: time.nullable(),
  })
  .meta({ id: "Approval", description: "A question that people are asked." });

export const approvalPageSchema = paged("ApprovalPage", approvalSchema);

export const decisionSchema = z
  .strictObject({
    decision: z.enum(["approve", "reject"]),
    payloadHash: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional()
      .meta({
        description:
          "The approval's, as it was shown: when the payload is another by now, 409 `approval_stale`; so it is without it once the payload has been another.",
      }),
    data: json.optional(),
    comment: text(10_000).optional(),
  })
  .meta({ id: "Decision", description: "A person's answer." });

// Keys and health

export const createKeySchema = z
  .strictObject({
    principal: text(200),
    kind: z.enum(["person", "service", "agent"]),
    roles: z.array(text(100)).max(50),
    tenant: z
      .string()
      .regex(new RegExp(TENANT_PATTERN))
      .optional()
      .meta({ description: "Only the platform's own key may name another tenant." }),
  })
  .meta({ id: "CreateKey", description: "Who shall get a key." });

const keySchema = z
  .object({
    id: z.string(),
    tenant: z.string(),
    principal: z.string(),
    kind: z.string(),
    roles: z.array(z.string()),
    last4: z.string(),
    createdAt: time,
    revokedAt: time.nullable(),
  })
  .meta({ id: "Key", description: "An API key without its secret." });

export const keyPageSchema = paged("KeyPage", keySchema);

export const createdKeySchema = keySchema
  .extend({ key: z.string().meta({ description: "Shown once." }) })
  .meta({ id: "CreatedKey", description: "A new key." });

export const liveSchema = z.object({ status: z.literal("ok") }).meta({ id: "Live" });

const checkSchema = z.enum(["ok", "down"]);
export const readySchema = z
  .object({ status: checkSchema, postgres: checkSchema, temporal: checkSchema })
  .meta({ id: "Ready", description: "What answers within a second." });

export type StartRun = z.infer<typeof startRunSchema>;
export type Detail = z.infer<typeof detailSchema>;
export type Preview = z.infer<typeof previewSchema>;
export type RetryRun = z.infer<typeof retryRunSchema>;
export type ForkRun = z.infer<typeof forkRunSchema>;
export type Take = z.infer<typeof takeSchema>;
export type Signal = z.infer<typeof signalSchema>;
export type Decision = z.infer<typeof decisionSchema>;
export type CreateKey = z.infer<typeof createKeySchema>;
export type RunLinks = z.infer<typeof linksSchema>;
