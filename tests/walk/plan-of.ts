import { readDefinitionValue } from "../../language/index.ts";
import type { Json } from "../../contracts/json.ts";
import type { Plan } from "../../language/plan.ts";
import { sharedPlan } from "../../workflows/shared-plans.ts";

/** As runs have it: frozen, since they share it. */
export const planOf = (definition: unknown): Plan => {
  const read = readDefinitionValue(definition, { hashOf: () => "hash" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems, null, 2));
  return sharedPlan(read.plan as unknown as Json);
};
