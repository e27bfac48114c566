import { z } from "zod";
import { budget } from "./budget.schema.ts";
import {
  anyJson,
  condition,
  count,
  defaultRetry,
  duration,
  fixedText,
  identifier,
  jsonSchema,
  later,
  laterCommon,
  timeFields,
  laterSteps,
  onError,
  policy,
  priority,
  text,
  version,
  workflowName,
} from "./definition-fields.schema.ts";
import { concurrency, triggers } from "./definition-starts.schema.ts";
import { limits } from "./limits.ts";
import {
  activityFields,
  agentFields,
  approvalFields,
  emitFields,
  endFields,
  foreachFields,
  httpFields,
  listenFields,
  llmFields,
  loopFields,
  messageFields,
  parallelFields,
  raiseFields,
  setFields,
  toolFields,
  waitFields,
  workflowFields,
} from "./definition-steps.schema.ts";

/** The definition language as people write it. Descriptions become the help of editors (`docs/workflow.schema.json`). */

type Steps = z.ZodArray<typeof stepSchema>;

const someSteps = (): Steps => z.array(stepSchema).min(1);
const output = anyJson.optional().describe("What the scope gives; its last step's output without it.");

export const handlerSchema = z.strictObject({
  errors: z.array(fixedText).min(1).optional().describe("Error types it takes; all without it."),
  when: condition.optional().describe("Takes the error only when this is true; sees `error`."),
  as: identifier.optional().describe("Name under which the error is seen; `error` without it."),
  get steps(): Steps {
    return someSteps().describe("What to do about it.");
  },
  output,
});

const common = {
  id: identifier.describe("Name of the step: letters, digits and _; unique among the steps it can see."),
  description: text.optional().describe("For people."),
  if: condition.optional().describe("The step is skipped when this is false."),
  needs: z.array(identifier).optional().describe("Siblings that must have ended first. Absent: the step before. Empty: starts at once."),
  outputSchema: jsonSchema.optional().describe("JSON Schema the output must fit."),
  export: z
    .record(identifier, anyJson)
    .optional()
    .describe("Values to put into `vars` when the step has ended; `output` is the step's own."),
  catch: z.array(handlerSchema).optional().describe("What to do when the step fails after its retries; the first handler that fits runs."),
  onError: onError.optional(),
  summary: text.optional().describe("One line shown with the step in the Temporal Web UI."),
  metadata: z.record(z.string(), anyJson).optional().describe("For your own tools; the platform does not read it."),
  budget: budget.optional().describe("What the step may spend, with everything that runs below it."),
  ...later(laterCommon),
};

interface Undo {
  compensate: z.ZodOptional<Steps>;
}

/** A step that takes time may have done something that can be undone. */
const undoable = <Shape extends object>(shape: Shape): Shape & Undo =>
  // A cast and a getter put in by hand: the steps refer to themselves, in types as in values, and a spread would read the getter.
  Object.defineProperty(shape, "compensate", {
    enumerable: true,
    get: () => someSteps().optional().describe("Undoes the step when the run fails or is cancelled after it; sees `output`."),
  }) as Shape & Undo;

const sequenceSchema = z.strictObject(
  undoable({
    ...common,
    ...timeFields,
    type: z.literal("sequence").describe("Steps as one."),
    get steps(): Steps {
      return someSteps().describe("The steps.");
    },
    output,
  }),
);

const caseSchema = z.strictObject({
  name: identifier.optional().describe("Name of the case in step paths; `case0`, `case1`, … without it."),
  when: condition.describe("Takes this case when true."),
  get steps(): Steps {
    return someSteps().describe("What to do then.");
  },
  output,
});

const switchSchema = z.strictObject(
  undoable({
    ...common,
    ...timeFields,
    type: z.literal("switch").describe("The first case that is true; null when none is."),
    cases: z.array(caseSchema).min(1).describe("The cases, in order."),
    get default(): z.ZodOptional<Steps> {
      return someSteps().optional().describe("What to do when no case is true.");
    },
  }),
);

const parallelSchema = z.strictObject(
  undoable({
    ...common,
    get branches(): z.ZodRecord<typeof identifier, Steps> {
      return z.record(identifier, someSteps()).describe("Steps by the name of their branch.");
    },
    ...parallelFields,
  }),
);

const foreachSchema = z.strictObject(
  undoable({
    ...common,
    ...foreachFields,
    get steps(): Steps {
      return someSteps().describe("What to do for each item.");
    },
    output,
  }),
);

const loopSchema = z.strictObject(
  undoable({
    ...common,
    ...loopFields,
    get steps(): Steps {
      return someSteps().describe("One iteration.");
    },
    output,
  }),
);

const streamSchema = z.strictObject({
  as: identifier.optional().describe("Name of the event in its steps; `event` without it."),
  concurrency: count(limits.foreachConcurrencyMax)
    .optional()
    .describe("Events handled at the same time; 1 by default: one after the other."),
  get steps(): Steps {
    return someSteps().describe("What to do with each event.");
  },
  output,
});

const listenSchema = z.strictObject(
  undoable({
    ...common,
    ...listenFields,
    foreach: streamSchema.optional().describe("Handle one event after the other, until `until` or the timeout."),
    get onTimeout(): z.ZodOptional<Steps> {
      return someSteps().optional().describe("What to do when the time is over; the error `timeout` without it.");
    },
  }),
);

const approvalSchema = z.strictObject(
  undoable({
    ...common,
    ...approvalFields,
    get onExpire(): z.ZodOptional<Steps> {
      return someSteps().optional().describe("What to do when nobody decided in time.");
    },
  }),
);

const trySchema = z.strictObject(
  undoable({
    ...common,
    ...timeFields,
    type: z.literal("try").describe("Steps with handlers for their errors."),
    get steps(): Steps {
      return someSteps().describe("What to try.");
    },
    output,
    get finally(): z.ZodOptional<Steps> {
      return someSteps().optional().describe("Runs in any case, at the end.");
    },
    undo: z.boolean().optional().describe("What was done inside is compensated when the `try` catches an error."),
  }),
);

const laterStep = <const Type extends string>(type: Type) =>
  z.looseObject({ id: identifier.describe("Name of the step."), type: z.literal(type).describe("Not yet available in this version.") });

export const stepSchema = z.discriminatedUnion("type", [
  z.strictObject(undoable({ ...common, ...llmFields })),
  z.strictObject(undoable({ ...common, ...agentFields })),
  z.strictObject(undoable({ ...common, ...toolFields })),
  z.strictObject(undoable({ ...common, ...httpFields })),
  z.strictObject(undoable({ ...common, ...activityFields })),
  z.strictObject({ ...common, ...setFields }),
  sequenceSchema,
  switchSchema,
  parallelSchema,
  foreachSchema,
  loopSchema,
  z.strictObject(undoable({ ...common, ...workflowFields })),
  z.strictObject(undoable({ ...common, ...waitFields })),
  listenSchema,
  z.strictObject(undoable({ ...common, ...emitFields })),
  z.strictObject(undoable({ ...common, ...messageFields })),
  approvalSchema,
  trySchema,
  z.strictObject({ ...common, ...raiseFields }),
  z.strictObject({ ...common, ...endFields }),
  laterStep(laterSteps[0]),
  laterStep(laterSteps[1]),
  laterStep(laterSteps[2]),
]);

export const definitionSchema = z.strictObject({
  $schema: z.string().optional().describe("For editors."),
  name: workflowName.describe("Name of the workflow: letters, digits, `.`, `_` and `-`."),
  version: version.describe("Semantic version, such as 1.0.0. A published version never changes."),
  title: text.max(200).optional().describe("For people."),
  description: text.optional().describe("For people."),
  tags: z.array(fixedText).max(50).optional().describe("Words to find it by."),
  input: jsonSchema.optional().describe("JSON Schema of the input; anything goes without it."),
  outputSchema: jsonSchema.optional().describe("JSON Schema the output must fit."),
  vars: z.record(identifier, anyJson).optional().describe("Variables with their first values; steps change them by `export`."),
  defaults: z
    .strictObject({
      retry: defaultRetry.optional().describe("For steps that leave the workflow."),
      timeout: duration.optional().describe("For one attempt of them."),
      onError: onError.optional(),
      model: fixedText.optional().describe("For `llm` steps without `model`."),
      priority: priority.optional(),
    })
    .optional()
    .describe("What steps get that do not say otherwise."),
  policy: policy.optional().describe("What its steps may use: an absent list lets everything pass, an empty one nothing."),
  concurrency: concurrency.optional(),
  triggers: triggers.optional(),
  record: z
    .enum(["full", "ends"])
    .optional()
    .describe("What the run's log keeps: everything, or only the run's own events, waits, people's decisions and errors."),
  budget: budget.optional().describe("What each of its runs may spend, its child runs included."),
  steps: someSteps().describe("What to do."),
  output: anyJson.optional().describe("What the run gives; its last step's output without it."),
  catch: z.array(handlerSchema).optional().describe("What to do about errors that no step took."),
  finally: someSteps().optional().describe("Runs in any case, at the end."),
});

export type Definition = z.infer<typeof definitionSchema>;
export type StepDefinition = z.infer<typeof stepSchema>;
export type HandlerDefinition = z.infer<typeof handlerSchema>;
export type LaterStepType = (typeof laterSteps)[number];
/** A step of this version: what the compiler meets once the checker let it pass. */
export type AvailableStep = Exclude<StepDefinition, { type: LaterStepType }>;
export type StepOf<Type extends AvailableStep["type"]> = Extract<AvailableStep, { type: Type }>;

const instantSteps = ["set", "raise", "end"] as const;
/** A step that takes time. */
export type LastingStep = Exclude<AvailableStep, { type: (typeof instantSteps)[number] }>;
export const isInstant = (type: string): boolean => (instantSteps as readonly string[]).includes(type);
export const isLasting = (step: AvailableStep): step is LastingStep => !isInstant(step.type);
