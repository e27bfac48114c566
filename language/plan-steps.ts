import type { Block, Handler, Plan, Step } from "./plan.ts";

/** A list of steps inside a step, and how its step paths begin. */
interface Inner {
  /** `case0`, `catch0`, `compensate`, …; `[]` for items, iterations and events; empty where a scope has only one list. */
  slot: string;
  block: Block;
  /** What its steps see beyond what the step itself sees. */
  names: string[];
}

/** Every list of steps inside a step. */
export const blocksOf = (step: Step): Inner[] => [
  ...ownBlocks(step),
  ...handlerBlocks(step.catch),
  ...inner("compensate", step.compensate, ["output"]),
];

/**
 * The step at a run-time path, such as `annotate[3].note`, `route.case0.ship`, `auth.catch0.void`, `address.compensate.undo`,
 * `finally.x`, `ask.onExpire.mail`; an attempt (`#2`) may follow. Undefined when the Plan has none there.
 */
export const findStep = (plan: Plan, path: string): Step | undefined => stepAt(blocksOfPlan(plan), partsOf(path));

/** The list of steps at a run-time path: what stands in it has this path before its own; empty = the run's own steps. */
export function findBlock(plan: Plan, path: string): Block | undefined {
  if (path === "") return plan.body;
  const parts = partsOf(path);
  const own = findStep(plan, path);
  const around = stepAt(blocksOfPlan(plan), parts.slice(0, -1));
  const blocks = (own ?? around) ? blocksOf((own ?? around)!) : parts.length === 1 ? blocksOfPlan(plan) : [];
  return blocks.find(({ slot }) => slot === (own ? "" : parts.at(-1)))?.block;
}

const blocksOfPlan = (plan: Plan): Inner[] => [...inner("", plan.body), ...handlerBlocks(plan.catch), ...inner("finally", plan.finally)];

const partsOf = (path: string): string[] =>
  path
    .replace(/#\d+$/, "")
    .split(".")
    .flatMap((part) => (/\[\d+\]$/.test(part) ? [part.slice(0, part.indexOf("[")), "[]"] : [part]));

function stepAt(blocks: Inner[], parts: string[]): Step | undefined {
  const named = blocks.find(({ slot }) => slot === parts[0]);
  const [id, ...deeper] = named ? parts.slice(1) : parts;
  const step = (named ?? blocks.find(({ slot }) => slot === ""))?.block.steps.find((each) => each.id === id);
  return step && deeper.length > 0 ? stepAt(blocksOf(step), deeper) : step;
}

function ownBlocks(step: Step): Inner[] {
  switch (step.type) {
    case "sequence":
      return inner("", step.body);
    case "try":
      return [...inner("", step.body), ...inner("finally", step.finally)];
    case "switch":
      return [...step.cases.flatMap(({ name, body }) => inner(name, body)), ...inner("default", step.default)];
    case "parallel":
      return step.branches.flatMap(({ name, body }) => inner(name, body));
    case "foreach":
      return inner("[]", step.body, [step.as, step.index]);
    case "agent":
      return [...inner("", step.briefing), ...inner("[]", step.turns.body, ["brief", step.turns.index, "last"])];
    case "loop":
      return inner("[]", step.body, [step.index, "last"]);
    case "listen":
      return [...inner("[]", step.stream?.body, [step.stream?.as ?? "event"]), ...inner("onTimeout", step.onTimeout)];
    case "approval":
      return inner("onExpire", step.onExpire);
    default:
      return [];
  }
}

const handlerBlocks = (handlers: Handler[]): Inner[] => handlers.flatMap(({ as, body }, index) => inner(`catch${index}`, body, [as]));

const inner = (slot: string, block: Block | undefined, names: string[] = []): Inner[] => (block ? [{ slot, block, names }] : []);
