import type { Json } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import type { Plan } from "../language/plan.ts";

/** By the hash of their definition. */
const plans = new Map<string, { text: string; plan: Plan }>();

/**
 * One copy for all runs that walk the same plan: it came with each of them, as a value of its own. The same in content: of one definition another
 * compiler may have made another plan.
 */
export function sharedPlan(given: Json): Plan {
  const plan = given as unknown as Plan;
  const text = JSON.stringify(plan);
  const known = plans.get(plan.hash);
  if (known?.text === text) return known.plan;
  if (plans.size >= limits.sharedPlansMax) plans.clear();
  plans.set(plan.hash, { text, plan: frozen(plan) });
  return plan;
}

/** A run that changed it would change it for the others. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}
