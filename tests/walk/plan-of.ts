import { readDefinitionValue } from "../../language/index.ts";
import type { Plan } from "../../language/plan.ts";

export const planOf = (definition: unknown): Plan => {
  const read = readDefinitionValue(definition, { hashOf: () => "hash" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems, null, 2));
  return read.plan;
};
