import { ASK_HUMAN, type AgentOrder, type Brief, type BriefTool, type GrantedTool } from "../contracts/agent-task.ts";
import { Fault } from "../contracts/faults.ts";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { allows, toolName } from "../contracts/policy.ts";
import type { Database } from "../prisma/client.ts";
import type { Plans } from "../prisma/plans.ts";
import type { FindTool } from "./tool-finder.ts";
import { Transcripts } from "./transcripts.ts";

interface Deps {
  database: Database;
  find: FindTool;
  plans: Plans;
}

/**
 * Settle what an agent may use, once for its task, and store it: a tool that changes under way, or a new version of a workflow, is
 * nothing to a task that has begun. Faults: `tool_input` (no such tool), `not_found` (no such workflow), `conflict` (two of one name).
 */
export function createBrief({ database, find, plans }: Deps) {
  return async ({ tenant, run, order }: { tenant: string; run: string; order: AgentOrder }): Promise<string> => {
    const { tools, asks, ...task } = order;
    const settled = await Promise.all(tools.map((granted) => settle(granted)));
    refuseNamesakes(settled);
    const guarded = settled.map((tool) => ({ ...tool, asks: allows(asks, knownAs(tool)) }));
    return new Transcripts(database, tenant).keep({ ...task, tools: guarded } satisfies Brief as unknown as Json);

    async function settle(granted: GrantedTool): Promise<BriefTool> {
      if (granted === ASK_HUMAN) return human;
      if (typeof granted === "object" && "workflow" in granted) return workflowTool(granted);
      const wanted = typeof granted === "string" ? { tool: granted } : granted;
      const { version, server, tool: name } = wanted;
      const fields = { tool: name, ...(version === undefined ? {} : { version }), ...(server === undefined ? {} : { server }) };
      const tool = await find(fields, { tenant, idempotencyKey: `${run}:` } as Parameters<FindTool>[1]);
      return {
        name: modelName(toolName({ tool: name, server })),
        description: tool.description,
        parameters: tool.input,
        ...fields,
        version: tool.version,
        effect: tool.effect,
        ...(tool.short ? { isShort: true as const } : {}),
        asks: false,
      };
    }

    async function workflowTool({ workflow, version, as }: Extract<GrantedTool, { workflow: string }>): Promise<BriefTool> {
      const plan = await plans.load(tenant, workflow, version);
      return {
        name: modelName(as ?? workflow),
        description: plan.title ?? `Runs the workflow ${workflow}.`,
        parameters: plan.input ?? { type: "object" },
        workflow,
        version: plan.version,
        asks: false,
      };
    }
  };
}

const human: BriefTool = {
  name: ASK_HUMAN,
  description: "Ask a person, when only a person can know or decide. It may take long.",
  parameters: {
    type: "object",
    properties: { question: { type: "string", description: "The question, with all that is needed to answer it." } },
    required: ["question"],
  } as JsonSchema,
  asks: false,
};

/** What an `approval` of the step knows it by. */
const knownAs = ({ name, tool, server, workflow }: BriefTool): string =>
  workflow ?? (tool === undefined ? name : toolName({ tool, server }));

/** Providers take letters, digits, `_` and `-`, 64 of them. */
const modelName = (name: string): string => name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64);

function refuseNamesakes(tools: BriefTool[]): void {
  const [twice] = tools.map(({ name }) => name).filter((name, index, all) => all.indexOf(name) !== index);
  if (twice !== undefined)
    throw new Fault("conflict", `Two tools of the agent are called ${twice} by the model; name one of them by \`as\`, or leave it out.`);
}
