import type { Usage } from "../contracts/activities.ts";
import type { JsonObject } from "../contracts/json.ts";
import type { MadeCall } from "./model-calls.ts";
import { noUsage } from "./model-port.ts";

/** What a step has paid. Its model is the one asked last: the one that answered. */
export function totalOf(made: MadeCall[]): Usage {
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

/** Why which model was asked, once per model. */
export function routesOf(made: MadeCall[]): { routes?: JsonObject[] } {
  const routes = made.flatMap(({ route }) => (route ? [route] : []));
  const distinct = [...new Map(routes.map((route) => [JSON.stringify(route), route])).values()];
  return distinct.length === 0 ? {} : { routes: distinct };
}

export const toldOf = (usage: Usage, made: MadeCall[]): { told?: JsonObject } => {
  const routes = routesOf(made);
  return routes.routes ? { told: { usage: { ...usage, ...routes } } } : {};
};
