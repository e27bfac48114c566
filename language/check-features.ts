import { earlyCommon, laterCommon, laterSteps } from "../contracts/definition-fields.schema.ts";
import type { AvailableStep, StepDefinition } from "../contracts/definition.schema.ts";
import type { Checking } from "./check-context.ts";
import type { Path } from "./finding.ts";

/** Name what belongs to the language but not to this version. False = the whole step does. */
export function checkFeatures(checking: Checking, step: StepDefinition, path: Path): step is AvailableStep {
  if (isLater(step)) {
    checking.add("not_available", [...path, "type"], `\`${step.type}\` steps are not yet available in this version.`);
    return false;
  }
  // A cast: the schema knows these fields as `unknown`, each on the types that will have them.
  const fields = step as unknown as Record<string, unknown>;
  const early: readonly string[] = earlyCommon[step.type as keyof typeof earlyCommon] ?? [];
  for (const field of laterCommon.filter((name) => !early.includes(name)))
    if (fields[field] !== undefined)
      checking.addAtKey("not_available", [...path, field], `\`${field}\` of \`${step.type}\` steps is not yet available in this version.`);
  return true;
}

const isLater = (step: StepDefinition): boolean => (laterSteps as readonly string[]).includes(step.type);
