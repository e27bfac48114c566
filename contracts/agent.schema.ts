import { z } from "zod";
import { agentStates, agentToolName, type Agent } from "./agents.ts";
import { paged, pageSchema, text as someText, time } from "./api.schema.ts";
import {
  contextTokens,
  count,
  duration,
  fixedText,
  grantedTool,
  handoffs,
  manner,
  text,
  version,
  workflowName,
} from "./definition-fields.schema.ts";
import { guardrails } from "./guardrail.schema.ts";
import { defaults, limits } from "./limits.ts";
import { allows } from "./policy.ts";

/** An agent as people write it, and what the API says of agents. */

const capability = z.strictObject({
  name: workflowName.describe("What it can do: letters, digits, `.`, `_` and `-`."),
  level: z.int().min(1).max(5).describe("How well: 1 (a little) to 5 (an expert)."),
});

/** What makes an agent work: the same whether it is published or stands in a definition. */
const agentFields = {
  instructions: text
    .min(1)
    .max(limits.agentInstructionsMax)
    .describe("What the model is told before anything else. Plain text: expressions in it mean nothing."),
  model: fixedText.optional().describe("An alias or `provider/model`; the alias `default` without it."),
  fallbacks: z.array(fixedText).max(limits.fallbacksMax).optional().describe("Models to ask, in order, when the first one cannot answer."),
  ...manner,
  tools: z.array(grantedTool).max(limits.agentToolsMax).optional().describe("What it may call; nothing without it."),
  limits: z
    .strictObject({
      maxTurns: count(limits.agentTurnsMax).optional().describe("Calls of the model."),
      timeout: duration
        .optional()
        .describe("Time for one task, all calls together; what people take to answer does not count. 1 h without it."),
      toolCalls: count(limits.agentToolCallsMax).optional().describe("Calls of tools in one task."),
      parallelToolCalls: count(limits.agentParallelToolCallsMax).optional().describe("Calls of tools at the same time."),
    })
    .optional()
    .describe("What one task may take."),
  contextTokens: contextTokens
    .optional()
    .describe(
      `What a task begins with is fitted into so many tokens, and a longer conversation replaced by a summary; ${defaults.agentContextTokens} by default.`,
    ),
  approval: z
    .strictObject({
      tools: z
        .array(fixedText)
        .min(1)
        .max(limits.agentToolsMax)
        .optional()
        .describe(
          "Names as in `tools`; of an MCP server `server/tool`. A `*` at the end stands for the rest. Those with `effect: dangerous` without it, too.",
        ),
      unasked: z
        .array(fixedText)
        .max(limits.agentToolsMax)
        .optional()
        .describe("Of its tools with `effect: dangerous` those that nobody is asked about."),
      assignees: z
        .array(fixedText)
        .max(limits.agentAssigneesMax)
        .optional()
        .describe("Who may decide, and answer `ask_human`, such as `role:finance`."),
      expiresAfter: duration.optional().describe("How long they may take."),
      remindAfter: duration.optional().describe("They are reminded each time this long has passed."),
    })
    .optional()
    .describe("Calls that people are asked about before they are made, and who answers `ask_human`."),
  memory: z
    .strictObject({
      recall: z.int().min(0).max(limits.memoriesFoundMax).optional().describe("Memories that a task begins with at most."),
      ttl: duration.optional().describe("How long it remembers at most."),
    })
    .optional()
    .describe("Tasks begin with what it remembers of them. To remember it needs `memory.remember` among its `tools`."),
  guardrails,
  handoffs,
};

export const agentSchema = z
  .strictObject({
    name: workflowName.describe("Letters, digits, `.`, `_` and `-`."),
    version: version.describe("Semantic version, such as 1.0.0. A published version never changes."),
    title: someText(200).optional().describe("For people."),
    description: someText(limits.agentDescriptionMax).optional().describe("For people, and for agents that look for one."),
    tags: z.array(fixedText).max(limits.agentTagsMax).optional().describe("Words to find it by."),
    role: fixedText.optional().describe("What it is to others, in a few words."),
    capabilities: z.array(capability).max(limits.agentCapabilitiesMax).optional().describe("What it can do, each named once."),
    ...agentFields,
  })
  .superRefine((agent, context) => {
    const { capabilities = [], tools = [] } = agent;
    const names = tools.map(agentToolName);
    const refuse = (path: (string | number)[], message: string): void => context.addIssue({ code: "custom", path, message });
    for (const index of repeated(capabilities.map(({ name }) => name)))
      refuse(["capabilities", index, "name"], "The capability stands here twice.");
    for (const index of repeated(names)) refuse(["tools", index], `The tool ${names[index]} stands here twice.`);
    for (const field of ["tools", "unasked"] as const)
      for (const [index, entry] of (agent.approval?.[field] ?? []).entries())
        // A slip of the finger here would let calls pass that somebody wanted to see.
        if (!names.some((name) => allows([entry], name)))
          refuse(["approval", field, index], `The agent has no tool ${entry}; name one of its \`tools\`.`);
  })
  .meta({ id: "Agent", description: "An agent: what it is told, what it may call, what it may take." }) satisfies z.ZodType<Agent>;

const repeated = (names: string[]): number[] => [...names.keys()].filter((index) => names.indexOf(names[index]!) < index);

const state = z.enum(agentStates).meta({
  id: "AgentState",
  description: "`paused`: for a while. `stopped`: the kill switch. `retired`: for good. Only an `active` agent begins calls.",
});

const stateFields = {
  state,
  revision: z.int().meta({ description: "Counts the changes of state." }),
  why: z.string().nullable().meta({ description: "null: it has only been published." }),
  changedBy: z.string(),
  changedAt: time,
};

export const agentStateSchema = z
  .object({ name: z.string(), ...stateFields })
  .meta({ id: "AgentStateChange", description: "A state of an agent: since when, who said so, and why." });

export const agentStatePageSchema = paged("AgentStatePage", agentStateSchema);

export const changeAgentStateSchema = z
  .strictObject({
    state,
    why: someText(1_000).meta({ description: "For people: kept with the change and in the audit." }),
    restart: z.boolean().optional().meta({ description: "Needed to make a stopped agent active again." }),
    expectedRevision: z
      .int()
      .min(1)
      .optional()
      .meta({ description: "The revision that was seen: when there is a newer one, 409 `revision_stale`." }),
  })
  .meta({ id: "ChangeAgentState", description: "What shall become of an agent." });

const versionFields = {
  name: z.string(),
  version: z.string(),
  hash: z.string().meta({ description: "SHA-256 of the agent's canonical JSON." }),
  publishedBy: z.string(),
  publishedAt: time,
};

export const publishedAgentSchema = z
  .object({ ...versionFields, state })
  .meta({ id: "PublishedAgent", description: "A published version of an agent. It never changes." });

export const agentVersionSchema = z
  .object({ ...versionFields, definition: agentSchema })
  .meta({ id: "AgentVersion", description: "A version of an agent with its definition." });

export const agentWithStateSchema = z
  .object({
    ...versionFields,
    ...stateFields,
    definition: agentSchema,
    versions: z.array(z.string()).meta({ description: "A page of them, highest first." }),
    page: pageSchema,
  })
  .meta({ id: "AgentWithState", description: "The highest version of an agent, its state, and what other versions there are." });

export const agentPageSchema = paged(
  "AgentPage",
  z
    .object({
      ...versionFields,
      title: z.string().nullable(),
      description: z.string().nullable(),
      role: z.string().nullable(),
      tags: z.array(z.string()),
      capabilities: z.array(z.object({ name: z.string(), level: z.int() })),
      state,
      revision: z.int(),
    })
    .meta({ id: "AgentSummary", description: "The highest version of an agent, without its instructions." }),
);

export type ChangeAgentState = z.infer<typeof changeAgentStateSchema>;
