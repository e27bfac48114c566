import type { ToolFields } from "../contracts/activities.ts";
import { boundedProblem, Fault, type Problem } from "../contracts/faults.ts";
import type { Json } from "../contracts/json.ts";
import { allows, toolName } from "../contracts/policy.ts";
import { keep } from "../prisma/blobs.ts";
import type { Database } from "../prisma/client.ts";
import type { EffectLedger } from "./effects.ts";
import type { ToolCall } from "./tool.ts";
import type { WorkContext } from "./work.ts";

/** What a model asked for. */
export interface AskedCall extends ToolFields {
  /** Number of the call within the step: the same in every attempt. */
  call: number;
  /** Tools that the agent may use; absent: all that the definition lets pass, empty: none. */
  allowed?: string[];
}

/** What the model is told. */
export type ToolAnswer = { isError: false; output: Json } | { isError: true; problem: Problem };

/**
 * One tool call of a model.
 *
 * What the model can mend (wrong arguments, a tool's final error, a refusal by policy) comes back as a value; trouble outside that
 * another attempt may get over, and an effect of which nobody knows whether it happened (`effect_unknown`), are thrown.
 * Retry: safe; an effect that has happened is not repeated.
 */
export function createAgentCall(deps: {
  database: Database;
  tool: ToolCall;
  effects: EffectLedger;
}): (asked: AskedCall, context: WorkContext) => Promise<ToolAnswer> {
  return async ({ call, allowed, ...fields }, context) => {
    try {
      const name = toolName(fields);
      if (!allows(allowed, name)) throw new Fault("policy", `The agent may not use ${name.slice(0, 100)}.`);
      const { output, effect } = await deps.tool(fields, context, call);
      if (effect) await deps.effects.done(effect, await keep(deps.database, context.tenant, output));
      return { isError: false, output };
    } catch (error) {
      if (error instanceof Fault && isMendable(error)) return { isError: true, problem: boundedProblem(error.problem) };
      throw error;
    }
  };
}

const mendable: ReadonlySet<string> = new Set(["tool_input", "policy", "limit", "reserved_key", "schema"]);

const isMendable = ({ code, problem }: Fault): boolean =>
  mendable.has(code) || ((code === "tool" || code === "http") && problem["retryable"] === false);
