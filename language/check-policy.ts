import { ASK_HUMAN, isAgentTool, isWorkflowTool, type GrantedTool } from "../contracts/agent-task.ts";
import { agentToolName } from "../contracts/agents.ts";
import type { AvailableStep, Definition } from "../contracts/definition.schema.ts";
import { allows, allowsHost, toolName } from "../contracts/policy.ts";
import type { Checking, StepPlace } from "./check-context.ts";
import type { Path } from "./finding.ts";

/** What a step uses by a fixed name must pass the definition's `policy`; the rest is refused when it runs. */
export function checkPolicy(checking: Checking, { step, path }: StepPlace): void {
  const { policy } = checking;
  const refuse = (at: Path, name: string, list: string): void =>
    checking.add("policy", at, `\`policy.${list}\` does not let ${JSON.stringify(name.slice(0, 100))} pass; add it there or use another.`);
  if (step.type === "tool" && !allows(policy.tools, toolName(step))) refuse([...path, "tool"], toolName(step), "tools");
  if (step.type === "agent")
    for (const [index, granted] of (step.tools ?? []).entries())
      if (isTool(granted) && !allows(policy.tools, agentToolName(granted)))
        refuse([...path, "tools", index], agentToolName(granted), "tools");
  if (step.type === "llm" || step.type === "agent")
    for (const [at, model] of modelsOf(step))
      if (isFixed(model) && !allows(policy.models, model)) refuse([...path, ...at], model, "models");
  if (step.type === "llm" || step.type === "agent")
    for (const [index, rule] of (step.guardrails ?? []).entries()) {
      const at = [...path, "guardrails", index];
      if (rule.type === "model" && !allows(policy.models, rule.model)) refuse([...at, "model"], rule.model, "models");
      if (rule.type === "custom" && !allows(policy.tools, rule.tool)) refuse([...at, "tool"], rule.tool, "tools");
    }
  if (step.type === "http") {
    const url = hostOf(step.url);
    if (url && !allowsHost(policy.hosts, url)) refuse([...path, "url"], url.host, "hosts");
  }
}

/** A step without a model asks `defaults.model`, which is checked where it stands. */
export function checkDefaultModel(checking: Checking, { defaults }: Definition): void {
  const model = defaults?.model;
  if (model !== undefined && !allows(checking.policy.models, model))
    checking.add(
      "policy",
      ["defaults", "model"],
      `\`policy.models\` does not let ${JSON.stringify(model)} pass; add it there or use another.`,
    );
}

const modelsOf = ({ model, fallbacks = [] }: Extract<AvailableStep, { type: "llm" | "agent" }>): [Path, string][] => [
  ...(model === undefined ? [] : [[["model"], model] as [Path, string]]),
  ...fallbacks.map((name, index): [Path, string] => [["fallbacks", index], name]),
];

const isTool = (granted: GrantedTool): boolean => granted !== ASK_HUMAN && !isWorkflowTool(granted) && !isAgentTool(granted);

const isFixed = (text: string): boolean => !text.includes("${");

/** The server of a url, when no expression decides it. */
function hostOf(url: string): URL | undefined {
  const start = /^https?:\/\/[^/?#]+/i.exec(url)?.[0];
  return start !== undefined && isFixed(start) && URL.canParse(start) ? new URL(start) : undefined;
}
