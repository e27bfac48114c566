import { z } from "zod";
import {
  anyJson,
  callFields,
  condition,
  contextTokens,
  count,
  duration,
  fixedText,
  grantedTool,
  handoffs,
  identifier,
  jsonSchema,
  manner,
  priority,
  text,
  timeFields,
  version,
  versionRange,
  workflowName,
} from "./definition-fields.schema.ts";
import { guardrails } from "./guardrail.schema.ts";
import { defaults, limits } from "./limits.ts";

/** The fields of every step type, without those that hold steps: those refer to all types and stand in `definition.schema.ts`. */

export const llmFields = {
  type: z.literal("llm").describe("Ask a model."),
  ...callFields,
  model: text.optional().describe("An alias or `provider/model`. Absent: `defaults.model`, or the alias `default`."),
  fallbacks: z.array(text).max(limits.fallbacksMax).optional().describe("Models to ask, in order, when the first one cannot answer."),
  ...manner,
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
  repairs: z
    .int()
    .min(0)
    .max(10)
    .optional()
    .describe("How often the model may mend an answer that does not fit `outputSchema`; 2 by default."),
  stream: z.boolean().optional().describe("Show what the model says while it says it, to whoever follows the run's events."),
  cache: z
    .strictObject({
      key: text.optional().describe("What the answer depends on, instead of the whole conversation."),
      ttl: duration.describe("How long an answer may stand for the same request."),
    })
    .optional()
    .describe("Take an earlier answer of the tenant to the same request, for nothing."),
  guardrails,
};

export const toolFields = {
  type: z.literal("tool").describe("Call a registered tool."),
  ...callFields,
  tool: fixedText.describe("The tool's name."),
  version: versionRange
    .optional()
    .describe("Version of the tool, or a range (`^1.2`, `~1.2.0`, `1`), settled once for the run; the highest there is without it."),
  server: fixedText.optional().describe("The MCP server that has the tool; the workers' own tools without it."),
  short: z
    .boolean()
    .optional()
    .describe("The tool only reads and answers within 2 s: the step costs a fraction. Only for tools that say so themselves."),
  arguments: anyJson.optional().describe("What the tool gets."),
};

const assignees = z.union([z.string(), z.array(text)], { error: "a list of people and roles, or an expression that gives one" });

export const agentFields = {
  type: z.literal("agent").describe("A model that works with tools, turn by turn, until it has an answer."),
  ...timeFields,
  timeout: duration
    .optional()
    .describe(
      "Time for one attempt, what people take to answer not counted; 1 h, or what the agent says, without it. Then it fails with `timeout`.",
    ),
  agent: workflowName
    .optional()
    .describe("A published agent. What stands here goes before what it says; of its tools, `tools` may name some."),
  version: versionRange.optional().describe("Its version, or a range; the highest there is without it."),
  model: text.optional().describe("An alias or `provider/model`. Absent: the agent's, then `defaults.model`, then the alias `default`."),
  fallbacks: z.array(text).max(limits.fallbacksMax).optional().describe("Models to ask, in order, when the first one cannot answer."),
  ...manner,
  instructions: text.optional().describe("Who the agent is and how it works: the system prompt. No model's answer should stand in it."),
  prompt: text.describe("Its task."),
  tools: z
    .array(grantedTool)
    .max(limits.agentToolsMax)
    .optional()
    .describe("What it may call; nothing else. `ask_human` lets it ask a person. Without it what the agent may, or nothing."),
  maxTurns: count(limits.agentTurnsMax)
    .optional()
    .describe(`Model calls at most, ${defaults.agentTurns} by default; then the error \`max_turns\`.`),
  concurrency: count(limits.agentCallsPerTurnMax)
    .optional()
    .describe(`Tool calls of one turn at the same time; ${defaults.agentCallsAtOnce} by default.`),
  approval: z
    .strictObject({
      tools: z
        .array(fixedText)
        .min(1)
        .max(limits.agentToolsMax)
        .optional()
        .describe("Tools whose calls a person must approve, beside those with `effect: dangerous`; a `*` at the end stands for the rest."),
      unasked: z
        .array(fixedText)
        .max(limits.agentToolsMax)
        .optional()
        .describe("Of its tools with `effect: dangerous` those that nobody is asked about. Of a published agent's only the agent says so."),
      assignees: assignees.optional().describe("Who may decide, and answer `ask_human`; whoever may approve without it."),
      expiresAfter: duration
        .optional()
        .describe("How long they may take; then the call is refused, or the question left without an answer."),
      remindAfter: duration.optional().describe("They are reminded each time this long has passed."),
    })
    .optional()
    .describe("Calls that wait for a person, who sees the exact arguments, and who answers `ask_human`. The agent learns of a refusal."),
  guardrails,
  handoffs,
  contextTokens: contextTokens
    .optional()
    .describe(
      `What it begins with is fitted into so many tokens, and a longer conversation replaced by a summary before the next turn; ${defaults.agentContextTokens} by default.`,
    ),
  thread: text
    .optional()
    .describe("The conversation that it goes on with, such as a customer's id. Tasks of one thread come after each other."),
  memory: z
    .strictObject({
      subject: text.optional().describe("Whom or what the task is about: it reaches memories of this subject, and those of none."),
      recall: z
        .int()
        .min(0)
        .max(limits.memoriesFoundMax)
        .optional()
        .describe(`Memories that it begins with at most; ${defaults.memoriesRecalled} by default.`),
      ttl: duration.optional().describe("How long it remembers at most; a year by default."),
    })
    .optional()
    .describe("It begins with what it remembers of its task. To remember it needs `memory.remember` among its `tools`."),
  stream: z.boolean().optional().describe("Show what the model says while it says it, to whoever follows the run's events."),
  priority: priority.optional(),
  fairnessKey: text.optional().describe("Steps of one key share the workers fairly with those of others."),
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
  idempotent: z
    .boolean()
    .optional()
    .describe(
      "Whether the server does it once, however often it is sent with one `Idempotency-Key`. Yes without it. With `false` a call that may have happened is not sent again: a person is asked.",
    ),
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
  values: anyJson.describe("The step's output."),
};

export const workflowFields = {
  type: z.literal("workflow").describe("Start another workflow as a child run."),
  ...timeFields,
  workflow: workflowName.describe("Name of a published workflow."),
  version: version.optional().describe("Its version; the highest without it."),
  input: anyJson.optional().describe("The child's input."),
  await: z.boolean().optional().describe("Wait for its end and take its output; true by default."),
  parentClosePolicy: z
    .enum(["cancel", "abandon"])
    .optional()
    .describe("What happens to the child when this run ends first; `cancel` by default."),
};

export const waitFields = {
  type: z.literal("wait").describe("Wait, across restarts."),
  ...timeFields,
  duration: duration.optional().describe("How long. Either this or `until`."),
  until: text.optional().describe("Until this moment: an ISO 8601 date and time or an expression. Either this or `duration`."),
};

const listenForSchema = z.strictObject({
  event: text.describe("Name of the event."),
  when: condition.optional().describe("Takes only events for which this is true; sees `event`."),
  schema: jsonSchema.optional().describe("JSON Schema of the event's data; others are not taken."),
  as: identifier.optional().describe("Name of the event in the output of `all`; the event's name without it."),
});

export const listenFields = {
  type: z.literal("listen").describe("Wait for events sent to this run."),
  ...timeFields,
  one: listenForSchema.optional().describe("The event to wait for."),
  any: z.array(listenForSchema).min(1).optional().describe("The first of these events."),
  all: z.array(listenForSchema).min(1).optional().describe("All of these events; gives an object by `as`."),
  until: condition
    .optional()
    .describe("With `foreach`: the last event is the one after whose handling this is true; sees `event` and `last`."),
  early: z.enum(["keep", "ignore"]).optional().describe("Events that came before the step began: taken (default) or ignored."),
  timeout: duration.optional().describe("How long to wait."),
};

export const approvalFields = {
  type: z.literal("approval").describe("Ask people."),
  ...timeFields,
  title: text.describe("The question."),
  payload: anyJson.optional().describe("What they decide about."),
  assignees: assignees.optional().describe("Who may decide, such as `role:finance`; whoever may approve without it."),
  quorum: z
    .union([count(limits.approvalQuorumMax), z.string()], { error: "a number of persons, or an expression that gives one" })
    .optional()
    .describe("Different persons who must approve; 1 by default. One rejection rejects."),
  form: jsonSchema.optional().describe("JSON Schema of what they fill in: the output's `data`."),
  editable: z.boolean().optional().describe("Whoever approves may change the payload; the output's `data` is the payload as approved."),
  remindAfter: duration.optional().describe("They are reminded each time this long has passed."),
  escalate: z
    .strictObject({
      after: duration.describe("How long the first ones are waited for."),
      to: assignees.describe("Who may decide then, too."),
    })
    .optional()
    .describe("Whom to ask as well when nobody decides."),
  expiresAfter: duration.optional().describe("How long they may take."),
};

const joinFields = {
  join: z
    .enum(["all", "any", "race", "quorum"])
    .optional()
    .describe("`all` (default), `any`: the first success, `race`: the first end, even an error, `quorum`: n successes."),
  quorum: count(limits.foreachItemsMax).optional().describe("Successes needed; only with `join: quorum`."),
  until: condition.optional().describe("Ends the join when true; sees `done`, the outputs so far in the order they came."),
  rest: z
    .enum(["cancel", "finish"])
    .optional()
    .describe("What becomes of the others when the join is met: `cancel` (default), or they go on and the enclosing scope waits."),
};

export const parallelFields = {
  type: z.literal("parallel").describe("Branches at the same time; gives an object by branch."),
  ...timeFields,
  ...joinFields,
  maxConcurrency: count(limits.foreachConcurrencyMax).optional().describe("Branches that run at the same time; all without it."),
};

export const foreachFields = {
  type: z.literal("foreach").describe("The same steps for every item of a list; gives a list in item order."),
  ...timeFields,
  items: z.union([z.string(), z.array(anyJson)], { error: "a list or an expression that gives one" }).describe("The list."),
  as: identifier.optional().describe("Name of the current item; `item` without it."),
  index: identifier.optional().describe("Name of its place, from 0; `index` without it."),
  concurrency: count(limits.foreachConcurrencyMax).optional().describe("Items at the same time; 10 by default, 1 = one after the other."),
  ...joinFields,
  onItemError: z
    .enum(["fail", "collect", "skip"])
    .optional()
    .describe("`fail` (default): one error fails the step. `collect`: the error takes the item's place. `skip`: the item is left out."),
  key: text.optional().describe("Gives each item a key; the output is then an object."),
  isolate: z.boolean().optional().describe("Each item in a child run of its own: for items with a long history."),
};

export const loopFields = {
  type: z.literal("loop").describe("The same steps again and again; gives the last iteration's output."),
  ...timeFields,
  while: condition.optional().describe("Checked before an iteration; sees `last`, null at first."),
  until: condition.optional().describe("Checked after an iteration; sees its steps."),
  index: identifier.optional().describe("Name of the iteration's number, from 0; `index` without it."),
  maxIterations: count(limits.loopIterationsMax).describe(
    "The most iterations; reaching it is the error `loop_limit` unless `onLimit: end`.",
  ),
  onLimit: z.enum(["fail", "end"]).optional().describe("What reaching `maxIterations` does; `fail` by default."),
  keepLast: count(1_000).optional().describe("Iterations kept for inspection; 10 by default."),
};

export const emitFields = {
  type: z.literal("emit").describe("Send an event to a run, or to all runs that wait for it."),
  ...timeFields,
  event: text.describe("Name of the event."),
  data: anyJson.optional().describe("What the event carries."),
  to: text.optional().describe("Id of the run that gets it; all runs of the tenant that wait for the event without it."),
};

export const messageFields = {
  type: z.literal("message").describe("Send a message to an agent or a webhook; with `replyTimeout` wait for the answer."),
  ...timeFields,
  to: z
    .union(
      [
        text,
        z.strictObject({ agent: text.describe("A published agent.") }),
        z.strictObject({ webhook: text.describe("A webhook of the tenant.") }),
        z.strictObject({ topic: text.describe("Not yet available in this version.") }),
      ],
      { error: "an agent's name, `{agent}` or `{webhook}`" },
    )
    .describe("Who gets it: an agent by its name, `{agent}` or `{webhook}`."),
  messageType: text.describe(`What kind of message it is, in at most ${limits.messageTypeMax} characters.`),
  payload: anyJson.optional().describe("What it says."),
  replyTimeout: duration.optional().describe("Wait so long for the answer, then fail with `no_reply`; absent: do not wait."),
};

export const raiseFields = {
  type: z.literal("raise").describe("Fail with an error of your own. Inside a catch without `error`: pass the caught error on."),
  error: z
    .union(
      [
        z.string(),
        z.strictObject({
          type: text.describe("Name of the error; what `errors` of a catch matches."),
          status: z
            .union([z.int().min(400).max(599), z.string()], { error: "an HTTP status from 400 to 599" })
            .optional()
            .describe("HTTP status that fits it."),
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
  output: anyJson.optional().describe("The run's output."),
  status: z.enum(["completed", "failed", "canceled"]).optional().describe("How the run ends; `completed` by default."),
};
