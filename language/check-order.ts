import type { StepDefinition } from "../contracts/definition.schema.ts";
import type { Checking } from "./check-context.ts";
import type { Path } from "./finding.ts";
import { near } from "./check-scope.ts";

/** The order of one block's steps: who waits for whom. */
export interface Order {
  /** So that every step comes after those it waits for. */
  steps: { step: StepDefinition; index: number }[];
  /** Whether `id` has ended whenever `step` starts. */
  isBefore(id: string, step: string): boolean;
}

/** Check ids and `needs` of a block and put its steps into order. Steps in a circle keep the author's order. */
export function checkOrder(checking: Checking, steps: StepDefinition[], path: Path, visible: ReadonlySet<string>): Order {
  checkIds(checking, steps, path, visible);
  const needs = new Map<string, string[]>();
  for (const [index, step] of steps.entries()) if (!needs.has(step.id)) needs.set(step.id, needsOf(checking, steps, index, path));
  reportCycles(checking, steps, needs, path);
  return { steps: sorted(steps, needs), isBefore: reachability(needs) };
}

const reservedIds = /^(catch\d+|finally|compensate)$/;

function checkIds(checking: Checking, steps: StepDefinition[], path: Path, visible: ReadonlySet<string>): void {
  const seen = new Set<string>();
  for (const [index, { id }] of steps.entries()) {
    const at = [...path, index, "id"];
    if (seen.has(id)) checking.add("duplicate_id", at, `The id \`${id}\` stands twice in this scope; give one of the steps another.`);
    else if (visible.has(id))
      checking.add("duplicate_id", at, `The id \`${id}\` belongs to a step of an enclosing scope; give one of them another.`);
    if (reservedIds.test(id)) checking.add("wrong_value", at, `The id \`${id}\` is a part of step paths; choose another.`);
    seen.add(id);
  }
}

export const isBackground = (step: StepDefinition): boolean => "background" in step && step.background === true;

/** What a step without `needs` waits for: the step before, and nothing waits for one in the background. */
export function impliedNeeds(steps: readonly StepDefinition[], index: number): string[] {
  const before = steps.slice(0, index).findLast((step) => !isBackground(step));
  return before ? [before.id] : [];
}

/** The siblings a step waits for: absent = the step before. Names that are none are reported and left out. */
function needsOf(checking: Checking, steps: StepDefinition[], index: number, path: Path): string[] {
  const step = steps[index]!;
  const given = "needs" in step && Array.isArray(step.needs) ? (step.needs as string[]) : undefined;
  if (!given) return impliedNeeds(steps, index);
  const ids = steps.map(({ id }) => id);
  return given.filter((need, at) => {
    const where = [...path, index, "needs", at];
    if (steps.some((each) => each.id === need && isBackground(each)))
      checking.add("conflict", where, `\`${need}\` is in the background and ends with its scope at the latest; nothing can wait for it.`);
    else if (ids.includes(need) && need !== step.id) return true;
    else if (need === step.id) checking.add("need_cycle", where, `\`${need}\` cannot wait for itself; remove it from \`needs\`.`);
    else checking.add("unknown_need", where, unknownNeed(checking, need, ids));
    return false;
  });
}

function unknownNeed(checking: Checking, need: string, ids: string[]): string {
  if (checking.around.has(need)) return `\`${need}\` is in another scope; \`needs\` names steps of the same list only.`;
  return `There is no step \`${need}\` beside this one.${near(need, ids)}`;
}

function reportCycles(checking: Checking, steps: StepDefinition[], needs: Map<string, string[]>, path: Path): void {
  const state = new Map<string, "open" | "done">();
  const trail: string[] = [];
  const visit = (id: string): void => {
    state.set(id, "open");
    trail.push(id);
    for (const need of needs.get(id) ?? []) {
      if (state.get(need) === "open") report([...trail.slice(trail.indexOf(need)), need]);
      else if (!state.has(need)) visit(need);
    }
    trail.pop();
    state.set(id, "done");
  };
  const report = (cycle: string[]): void => {
    const index = steps.findIndex(({ id }) => id === cycle[0]);
    const way = cycle.map((id) => `\`${id}\``).join(" → ");
    checking.add("need_cycle", [...path, index, "needs"], `These steps wait for each other: ${way}. Remove one of the \`needs\`.`);
  };
  for (const { id } of steps) if (!state.has(id)) visit(id);
}

function sorted(steps: StepDefinition[], needs: Map<string, string[]>): { step: StepDefinition; index: number }[] {
  const indexes = new Map(steps.map(({ id }, index) => [id, index]));
  const placed = new Set<number>();
  const result: { step: StepDefinition; index: number }[] = [];
  const place = (index: number): void => {
    if (placed.has(index)) return;
    placed.add(index);
    for (const need of needs.get(steps[index]!.id) ?? []) place(indexes.get(need)!);
    result.push({ step: steps[index]!, index });
  };
  for (const index of steps.keys()) place(index);
  return result;
}

function reachability(needs: Map<string, string[]>): Order["isBefore"] {
  const before = new Map<string, Set<string>>();
  const allBefore = (step: string): Set<string> => {
    const known = before.get(step);
    if (known) return known;
    const found = new Set<string>();
    const open = [...(needs.get(step) ?? [])];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (found.has(id)) continue;
      found.add(id);
      open.push(...(needs.get(id) ?? []));
    }
    before.set(step, found);
    return found;
  };
  return (id, step) => id !== step && allBefore(step).has(id);
}
