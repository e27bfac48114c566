import type { ToolFields } from "../contracts/activities.ts";
import { Fault, messageOf } from "../contracts/faults.ts";
import { isDeeper, type Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { REFERENCE_KEY, usesReservedKey } from "../contracts/reference.ts";
import { validateValue } from "../language/validate.ts";
import type { Database } from "../prisma/client.ts";
import { admit } from "./admission.ts";
import type { Budgets, Spender } from "./budgets.ts";
import { settledFault, type EffectLedger, type Effected } from "./effects.ts";
import { perhapsDone, wasNeverSent } from "./http.ts";
import { noSecrets, type Redact } from "./redact.ts";
import type { ToolCalls } from "./tool-calls.ts";
import type { FindTool } from "./tool-finder.ts";
import type { Tool } from "./tool-registry.ts";
import { withDeadline, type WorkContext } from "./work.ts";

/** `call`: number of the call within the step. */
export type ToolCall = (fields: ToolFields, context: WorkContext, call?: number) => Promise<Effected>;

/**
 * Run a tool of the catalogue with checked arguments. Out: its result.
 *
 * Faults: `tool_input` (unknown tool, arguments that do not fit: `pointer`, `errors`), `tool` (whatever it threw, with `mayHaveHappened`
 * when it changes something and its error does not say that nothing was sent), `timeout`,
 * `limit`, `reserved_key`, `effect_unknown` (it may have changed something, and cannot say), and every fault the tool throws itself.
 * Retry: the tool gets the same `context.idempotencyKey` in every attempt; what it has changed outside is not changed again.
 */
export function createTool({ find, effects, calls, redact, ...asked }: ToolDeps): ToolCall {
  return async (fields, given, call = 0) => {
    const { hosts, memory } = fields;
    const context = { ...given, ...(hosts ? { hosts } : {}), ...(memory ? { memory } : {}) };
    // What was done is told without a server that may be gone by now.
    const known = fields.server === undefined ? undefined : await effects.known(fields, call, context);
    if (known) return known;
    const tool = await find(fields, context);
    try {
      const args = await tool.parse(fields.arguments);
      const perform = async (within: WorkContext, isAgain: boolean, meant: unknown): Promise<Json> => {
        const limited = { ...within, ...(await admitTool(asked, tool, { ...within, agent: fields.agent, isAgain })) };
        return calls.watch(tool, limited, () => performTool(tool, meant, limited, redact));
      };
      if (tool.effect === "read") {
        if (fields.settle) throw settledFault(context.path);
        return { output: await perform(context, false, args) };
      }
      return await effects.once({ tool, fields, args, call }, context, perform);
    } finally {
      await tool.close?.();
    }
  };
}

export interface ToolDeps extends Asked {
  find: FindTool;
  effects: EffectLedger;
  calls: ToolCalls;
  redact?: Redact;
}

interface Asked {
  database: Database;
  budgets: Budgets;
}

type Admission = WorkContext & Pick<Spender, "agent"> & { isAgain: boolean };

/**
 * Its agent's state and its budgets are asked. Not sooner: what an earlier attempt has done is found out and answered for also when
 * nothing new may begin.
 */
async function admitTool(asked: Asked, tool: Tool, { agent, isAgain, ...context }: Admission): Promise<Pick<WorkContext, "until">> {
  try {
    return await admit(asked, context, { label: tool.name, agent, isRead: tool.effect === "read", isAgain });
  } catch (error) {
    // An effect that was begun before must not look like one that has not happened.
    throw isAgain ? perhapsDone(error) : error;
  }
}

/** Its result, checked. Whether it was done before, the effect ledger knows. */
export async function performTool(tool: Tool, args: unknown, context: WorkContext, redact = noSecrets): Promise<Json> {
  try {
    const result = await withDeadline(context, context.timeoutMs, (signal) => runTool(tool, args, { ...context, signal }));
    return redact.value(checkResult(tool, result));
  } catch (error) {
    // Before anybody notes it.
    throw redact.error(error);
  }
}

async function runTool(tool: Tool, args: unknown, context: WorkContext): Promise<unknown> {
  try {
    return await tool.run(args, context);
  } catch (error) {
    if (error instanceof Fault || context.signal.aborted) throw error;
    const detail = `${tool.name}: ${messageOf(error).slice(0, 1_000) || "failed without a word"}`;
    const fault = new Fault("tool", detail, { cause: error });
    // A socket that was reset and an answer that cannot be read are Errors, too: only a Fault is the tool's own word that nothing was done.
    throw tool.effect === "read" || wasNeverSent(error) ? fault : perhapsDone(fault);
  }
}

function checkResult(tool: Tool, result: unknown): Json {
  const text = toText(tool, result);
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.toolAnswerBytesMax)
    throw new Fault("limit", `${tool.name} gave ${bytes} bytes; at most ${limits.toolAnswerBytesMax} are taken.`, {
      extra: { hasHappened: true },
    });
  // What is recorded and what the next step sees must be the same value: dates, maps and undefined end here.
  const value = JSON.parse(text) as Json;
  if (isDeeper(value, limits.valueDepthMax))
    throw new Fault("limit", `${tool.name} gave values nested more than ${limits.valueDepthMax} deep.`, { extra: { hasHappened: true } });
  const broken = tool.output ? validateValue(tool.output, value)[0] : undefined;
  if (broken) throw finalFault(tool, `gave a result that does not fit its own output schema: ${broken.pointer || "/"} ${broken.message}`);
  if (usesReservedKey(value))
    throw new Fault("reserved_key", `${tool.name} answered with the reserved key ${REFERENCE_KEY}.`, { extra: { hasHappened: true } });
  return value;
}

function toText(tool: Tool, result: unknown): string {
  try {
    return JSON.stringify(result) ?? "null";
  } catch (error) {
    throw finalFault(tool, `gave a result that is not JSON: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`);
  }
}

const finalFault = (tool: Tool, detail: string): Fault =>
  new Fault("tool", `${tool.name} ${detail}`, { extra: { retryable: false, hasHappened: true } });
