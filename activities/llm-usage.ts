import type { Usage } from "../contracts/activities.ts";
import { isObject, type JsonObject } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { MadeCall } from "./model-calls.ts";
import { noUsage } from "./model-port.ts";
import type { Worked } from "./step.ts";

/** What a step has paid, with what others have paid for it. Its model is the one asked last: the one that answered. */
export const totalOf = (made: MadeCall[], others: readonly Usage[] = []): Usage => others.reduce(plus, ownTotal(made));

/** What was done, with what others have paid for it. */
export function totalWith(worked: Worked, others: readonly Usage[]): Worked {
  if (others.length === 0 || !worked.usage) return worked;
  const usage = others.reduce(plus, worked.usage);
  const told = worked.told?.["usage"];
  return { ...worked, usage, told: { ...worked.told, usage: { ...(isObject(told) ? told : {}), ...usage } } };
}

const plus = (usage: Usage, { inputTokens, outputTokens, costUsd, calls }: Usage): Usage => ({
  ...usage,
  inputTokens: usage.inputTokens + inputTokens,
  outputTokens: usage.outputTokens + outputTokens,
  costUsd: usage.costUsd === null || costUsd === null ? null : usage.costUsd + costUsd,
  calls: usage.calls + calls,
});

function ownTotal(made: MadeCall[]): Usage {
  const last = made.at(-1);
  const sum = (tokens: (call: MadeCall) => number): number => made.reduce((total, call) => total + tokens(call), 0);
  return {
    model: last ? `${last.provider}/${last.model}` : "none",
    inputTokens: sum(({ usage }) => (usage ?? noUsage).inputTokens),
    outputTokens: sum(({ usage }) => (usage ?? noUsage).outputTokens),
    costUsd: made.some(({ costUsd }) => costUsd === null) ? null : sum(({ costUsd }) => costUsd ?? 0),
    calls: made.filter(({ status }) => status !== "cached" && status !== "skipped").length,
    ...(last?.status === "cached" ? { cached: true as const } : {}),
  };
}

/** The usage with the reason for each model that was asked; of several tries of one model the last. */
export function toldUsage(made: MadeCall[], others?: readonly Usage[]): JsonObject {
  const routes = new Map(made.flatMap(({ route }) => (route ? [[JSON.stringify([route["wanted"], route["taken"]]), route] as const] : [])));
  const usage = totalOf(made, others);
  return routes.size === 0 ? { ...usage } : { ...usage, routes: [...routes.values()] };
}

/** The same as a part of an error, which keeps only what is short. */
export function boundedUsage(made: MadeCall[], others?: readonly Usage[]): JsonObject {
  const usage = toldUsage(made, others);
  return JSON.stringify(usage).length <= limits.errorDetailMax ? usage : { ...totalOf(made, others) };
}
