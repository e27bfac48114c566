import type { StepDefinition } from "../contracts/definition.schema.ts";
import type { Path } from "./finding.ts";

/** Every list of steps inside a step, with the way to it. */
function listsInside(step: StepDefinition): { path: Path; steps: StepDefinition[] }[] {
  const lists = [...ownLists(step)];
  if ("compensate" in step) lists.push(...listAt(step.compensate as StepDefinition[] | undefined, "compensate"));
  const handlers = "catch" in step && Array.isArray(step.catch) ? (step.catch as { steps: StepDefinition[] }[]) : [];
  for (const [index, handler] of handlers.entries()) lists.push({ path: ["catch", index, "steps"], steps: handler.steps });
  return lists;
}

type List = { path: Path; steps: StepDefinition[] };

const listAt = (steps: StepDefinition[] | undefined, ...path: (string | number)[]): List[] => (steps ? [{ path, steps }] : []);

function ownLists(step: StepDefinition): List[] {
  switch (step.type) {
    case "sequence":
    case "foreach":
    case "loop":
      return listAt(step.steps, "steps");
    case "try":
      return [...listAt(step.steps, "steps"), ...listAt(step.finally, "finally")];
    case "switch":
      return [...step.cases.flatMap((each, index) => listAt(each.steps, "cases", index, "steps")), ...listAt(step.default, "default")];
    case "parallel":
      return Object.entries(step.branches).flatMap(([name, steps]) => listAt(steps, "branches", name));
    case "listen":
      return [...listAt(step.foreach?.steps, "foreach", "steps"), ...listAt(step.onTimeout, "onTimeout")];
    case "approval":
      return listAt(step.onExpire, "onExpire");
    default:
      return [];
  }
}

/** Every step of some lists, outer ones first, with the step around it. */
export function* everyStep(steps: readonly StepDefinition[], around = ""): Generator<{ step: StepDefinition; around: string }> {
  for (const step of steps) {
    yield { step, around };
    for (const list of listsInside(step)) yield* everyStep(list.steps, step.id);
  }
}
