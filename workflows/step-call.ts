import type { StepCall, ToolFields } from "../contracts/activities.ts";
import type { Json } from "../contracts/json.ts";
import type { CallOptions, Step } from "../language/plan.ts";
import { agentsAbove } from "./agents-above.ts";
import type { Here, HereOf } from "./context.ts";
import type { Walk } from "./walk.ts";

/** What every activity that does one step's work is told. */
export function stepCall(
  walk: Walk,
  here: Here<Step & CallOptions>,
  fields: Json,
  carried: StepCall<unknown>["carried"],
): StepCall<unknown> {
  const { step, path, attempt, context } = here;
  const { while: retryWhile, ...retry } = step.retry;
  const agents = agentsAbove(walk.options.agents, path);
  return {
    run: walk.journal.reference,
    path,
    attempt,
    ...(walk.options.plan.record ? { record: walk.options.plan.record } : {}),
    idempotencyKey: walk.effectKey(path),
    carried,
    retry,
    ...(context.budgets.length > 0 ? { budgets: context.budgets.map(({ scope, caps, onExceed }) => ({ scope, caps, onExceed })) } : {}),
    ...(agents.length > 0 ? { agents } : {}),
    ...(step.outputSchema ? { outputSchema: step.outputSchema } : {}),
    ...(retryWhile ? { retryWhile: retryWhile as Json } : {}),
    fields,
  };
}

export const toolFields = (walk: Walk, { step }: HereOf<"tool">): Omit<ToolFields, "arguments"> => ({
  tool: step.tool,
  ...(step.version === undefined ? {} : { version: step.version }),
  ...(step.server === undefined ? {} : { server: step.server }),
  ...(step.agent === undefined ? {} : { agent: step.agent }),
  ...(step.memory ? { memory: step.memory } : {}),
  ...hostsOf(walk),
});

export const hostsOf = ({ options: { plan } }: Walk): { hosts?: string[] } => (plan.policy?.hosts ? { hosts: plan.policy.hosts } : {});
