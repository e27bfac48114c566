import { z } from "zod";
import { anyJson, callFields, condition, duration, fixedText, identifier, jsonSchema, later, laterFields, text, version, workflowName } from "./definition-fields.schema.ts";

/** The fields of every step type that holds no steps of its own. */

export const llmFields = {
  type: z.literal("llm").describe("Ask a model."),
  ...callFields,
  ...later(laterFields.llm),
  model: text.optional().describe("An alias or `provider/model`. Absent: `defaults.model`, or the alias `default`."),
  fallbacks: z.array(text).optional().describe("Models to ask, in order, when the first one cannot answer."),
  prompt: text.optional().describe("What the user says to the model. Either this or `messages`."),
  messages: z
    .array(
      z.strictObject({
        role: z.enum(["system", "user", "assistant"]).describe("Who speaks."),
        content: text.describe("What is said."),
      }),
    )
    .min(1)
    .optional()
    .describe("The whole conversation. Either this or `prompt`."),
  repairs: z.int().min(0).max(10).optional().describe("How often the model may mend an answer that does not fit `outputSchema`; 2 by default."),
};

export const toolFields = {
  type: z.literal("tool").describe("Call a registered tool."),
  ...callFields,
  ...later(laterFields.tool),
  tool: fixedText.describe("The tool's name."),
  arguments: anyJson.optional().describe("What the tool gets."),
};

export const httpFields = {
  type: z.literal("http").describe("Call an HTTP address. Fails outside 2xx or `expect`."),
  ...callFields,
  method: fixedText.optional().describe("GET by default."),
  url: text.describe("Begins with http:// or https://, or is an expression. Values put into the path are percent-encoded."),
  headers: z.record(z.string(), anyJson).optional().describe("Request headers."),
  query: z.record(z.string(), anyJson).optional().describe("Query parameters."),
  body: anyJson.optional().describe("Sent as JSON; text is sent as it is."),
  expect: z.array(z.int().min(100).max(599)).min(1).optional().describe("Statuses that count as success; 2xx without it."),
};

export const activityFields = {
  type: z.literal("activity").describe("Run any Temporal activity, in any language."),
  ...callFields,
  activity: fixedText.describe("The activity type's name."),
  taskQueue: fixedText.optional().describe("Task queue of the workers that know it; ours without it."),
  arguments: anyJson.optional().describe("What the activity gets. A list gives several arguments, anything else is the only one."),
};

export const setFields = {
  type: z.literal("set").describe("Compute values. Costs nothing in the history."),
  ...later(laterFields.set),
  values: anyJson.describe("The step's output."),
};

export const workflowFields = {
  type: z.literal("workflow").describe("Start another workflow as a child run."),
  ...later(laterFields.workflow),
  workflow: workflowName.describe("Name of a published workflow."),
  version: version.optional().describe("Its version; the highest without it."),
  input: anyJson.optional().describe("The child's input."),
  await: z.boolean().optional().describe("Wait for its end and take its output; true by default."),
  parentClosePolicy: z.enum(["cancel", "abandon"]).optional().describe("What happens to the child when this run ends first; `cancel` by default."),
};

export const waitFields = {
  type: z.literal("wait").describe("Wait, across restarts."),
  ...later(laterFields.wait),
  duration: duration.optional().describe("How long. Either this or `until`."),
  until: text.optional().describe("Until this moment: an ISO 8601 date and time or an expression. Either this or `duration`."),
};

export const listenForSchema = z.strictObject({
  event: text.describe("Name of the event."),
  when: condition.optional().describe("Takes only events for which this is true; sees `event`."),
  schema: jsonSchema.optional().describe("JSON Schema of the event's data; others are not taken."),
  as: identifier.optional().describe("Name of the event in the output of `all`; the event's name without it."),
});

export const emitFields = {
  type: z.literal("emit").describe("Send an event to a run."),
  ...later(laterFields.emit),
  event: text.describe("Name of the event."),
  data: anyJson.optional().describe("What the event carries."),
  to: text.optional().describe("Id of the run that gets it."),
};

export const raiseFields = {
  type: z.literal("raise").describe("Fail with an error of your own. Inside a catch without `error`: pass the caught error on."),
  ...later(laterFields.raise),
  error: z
    .union(
      [
        z.string(),
        z.strictObject({
          type: text.describe("Name of the error; what `errors` of a catch matches."),
          status: z.union([z.int().min(400).max(599), z.string()], { error: "an HTTP status from 400 to 599" }).optional().describe("HTTP status that fits it."),
          title: text.optional().describe("The kind of error in a few words."),
          detail: text.optional().describe("What went wrong this time."),
        }),
      ],
      { error: "an object with `type`, `status`, `title`, `detail`, or an expression" },
    )
    .optional()
    .describe("The error."),
};

export const endFields = {
  type: z.literal("end").describe("End the run here."),
  ...later(laterFields.end),
  output: anyJson.optional().describe("The run's output."),
  status: z.enum(["completed", "failed", "canceled"]).optional().describe("How the run ends; `completed` by default."),
};
