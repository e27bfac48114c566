import { z } from "zod";
import { STEP_ID_PATTERN } from "./ids.ts";
import type { Json } from "./json.ts";
import { limits } from "./limits.ts";
import { reasonings } from "./model-calls.ts";
import { RANGE_PATTERN } from "./semver.ts";

/** Message of a zod issue that stands for "no expression here"; the checker gives it the code `literal_required`. */
export const LITERAL_REQUIRED = "literal_required";

/** The value is known to be JSON when it is checked: only its type is missing. */
export const anyJson = z.unknown() as unknown as z.ZodType<Json>;

export const text = z.string().max(limits.definitionBytesMax);

const withoutExpression = (value: string): boolean => !value.includes("${");

/** Text that is fixed when the definition is published. */
export const fixedText = z.string().min(1).max(256).refine(withoutExpression, { error: LITERAL_REQUIRED });

export const identifier = z.string().max(limits.idBytesMax).regex(new RegExp(STEP_ID_PATTERN));

export const condition = z.union([z.string(), z.boolean()], { error: "an expression that gives true or false" });

export const duration = z.union([z.string(), z.number()], { error: "a duration such as `250ms`, `10s`, `5m`, `2h`, `7d`, `PT15M`" });

export const jsonSchema = z.record(z.string(), anyJson);

export const count = (max: number): z.ZodInt => z.int().min(1).max(max);

/** Of an agent, published or of a step. */
export const contextTokens = z.int().min(limits.agentContextTokensMin).max(limits.agentContextTokensMax);

const semver = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

export const version = z.string().max(64).regex(semver);

export const versionRange = z.string().max(64).regex(new RegExp(RANGE_PATTERN));

export const workflowName = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/);

/** What an agent may call: in steps and in published agents. */
export const grantedTool = z.union(
  [
    fixedText,
    z.strictObject({
      tool: fixedText.describe("The tool's name."),
      version: versionRange.optional().describe("Its version, or a range, as in `tool` steps."),
      server: fixedText.optional().describe("The MCP server that has it; the workers' own tools without it."),
      timeout: duration
        .optional()
        .describe("Time for one call. Absent: what the tool itself or its MCP server is said to take, then `defaults.timeout`, then 30 s."),
    }),
    z.strictObject({
      workflow: workflowName.describe("Name of a published workflow: the agent may run it as a tool."),
      version: version.optional().describe("Its version; the highest without it."),
      as: identifier.optional().describe("What the model knows it by."),
    }),
    z.strictObject({
      agent: workflowName.describe("A published agent: it gets a task of its own, with its own instructions, tools and limits."),
      version: versionRange.optional().describe("Its version, or a range; the highest without it."),
      as: identifier.optional().describe("What the model knows it by."),
    }),
  ],
  { error: "a tool's name, `{tool, version, server, timeout}`, `{workflow, version, as}` or `{agent, version, as}`" },
);

/** How a model is to answer: in steps and in published agents. */
export const manner = {
  reasoning: z
    .enum(reasonings)
    .optional()
    .describe("How hard the model is to reason before it answers, as its maker understands it. Models that cannot are asked for nothing."),
  maxOutputTokens: count(limits.outputTokensMax)
    .optional()
    .describe("The longest answer, reasoning included, of one call: what its budgets set aside. At most what the model can."),
};

export const handoffs = z
  .array(workflowName)
  .max(limits.agentHandoffsMax)
  .optional()
  .describe("Published agents that it may hand its conversation over to: they go on with their own instructions and tools.");

export const onError = z
  .enum(["fail", "park", "continue"])
  .describe(
    "What an error does that nothing catches: `fail` ends the run (it can be retried from here), `park` waits for a person, `continue` goes on.",
  );

export const priority = z.int().min(1).max(5).describe("Who goes first when workers are busy: 1 (first) to 5 (last).");

const retryFields = {
  maxAttempts: z.int().min(1).max(1_000).optional().describe("All attempts, the first included."),
  initialInterval: duration.optional().describe("Wait before the second attempt."),
  backoff: z.number().min(1).max(100).optional().describe("Each wait is this many times longer than the one before."),
  maxInterval: duration.optional().describe("The longest wait between two attempts."),
  jitter: z.number().min(0).max(1).optional().describe("Share of a wait that is random, 0 to 1."),
  nonRetryable: z.array(fixedText).optional().describe("Error types that are not tried again."),
};

export const defaultRetry = z.strictObject(retryFields);

const retry = z.strictObject({
  ...retryFields,
  while: condition.optional().describe("Try again while this is true; sees `output`. For answers that came but are not good enough."),
});

/** Every step that takes time. */
export const timeFields = {
  retry: retry.optional().describe("How often and how patiently the step is tried again; without it a step that is no call is tried once."),
  timeout: duration.optional().describe("Time for one attempt; then what runs inside is cancelled and it fails with `timeout`."),
  totalTimeout: duration.optional().describe("Time for all attempts with the waits between them."),
  background: z
    .boolean()
    .optional()
    .describe("Does not keep its scope open: it is cancelled when the others have ended. Its error fails the scope."),
  lock: z
    .strictObject({
      key: text.describe("What is locked, in the whole tenant."),
      limit: count(limits.lockLimitMax)
        .optional()
        .describe("How many may hold it at once; 1 by default. The same wherever the key stands."),
    })
    .optional()
    .describe("Held while the step runs, granted in the order of asking, freed by any end."),
};

/** Steps that leave the workflow. */
export const callFields = {
  ...timeFields,
  heartbeat: duration.optional().describe("A worker that says nothing for this long counts as gone."),
  priority: priority.optional(),
  fairnessKey: text.optional().describe("Steps of one key share the workers fairly with those of others."),
  effect: z
    .enum(["read", "write", "dangerous"])
    .optional()
    .describe("What the call does outside: `read` needs no undoing. GET and HEAD read unless you say otherwise."),
};

const names = (what: string) => z.array(fixedText).max(limits.policyEntriesMax).optional().describe(what);

export const policy = z.strictObject({
  tools: names("Tools that its steps may call; of an MCP server `server/tool`. A `*` at the end stands for the rest."),
  models: names("Models that its steps may ask, as they name them: `fast`, `openai/*`."),
  hosts: names("Hosts that its `http` steps and tools may call: `api.example.com`, `*.example.com`, `localhost:8080`."),
});

export const laterField = z.unknown().optional().describe("Not yet available in this version.");

/** Fields that belong to the language but not to this version: known by name, so that the refusal says so. */
export const later = <const Name extends string>(names: readonly Name[]): Record<Name, typeof laterField> =>
  Object.fromEntries(names.map((name) => [name, laterField])) as Record<Name, typeof laterField>;

export const laterSteps = ["a2a", "team", "plan"] as const;
export const laterCommon = ["cache"] as const;
/** Of `laterCommon`, what some types have already. */
export const earlyCommon = { llm: ["cache"] } as const;
