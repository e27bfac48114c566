import type { Block, Expression, Step, Template } from "./plan.ts";
import { blocksOf } from "./plan-steps.ts";

/** What expressions read: names (`input`, `item`, …) and steps by their id. */
export interface Reads {
  names: string[];
  steps: string[];
}

/** What a template reads, without the variables of its own macros. */
export function rootsOf(template: Template): Reads {
  const reads = new Set<string>();
  readTemplate(template, (name) => reads.add(name));
  return readsOf(reads);
}

/** What a block reads of what encloses it: with these it can run by itself. The steps and names it brings in do not count. */
export function freeRoots(block: Block): Reads {
  const reads = new Set<string>();
  readBlock(block, [], (name) => reads.add(name));
  return readsOf(reads);
}

/** Takes a name, or `steps.<id>`. */
type See = (name: string) => void;

const stepName = (id: string): string => `steps.${id}`;

const readsOf = (reads: ReadonlySet<string>): Reads => ({
  names: [...reads].filter((name) => !name.includes(".")),
  steps: [...reads].filter((name) => name.includes(".")).map((name) => name.slice(stepName("").length)),
});

/** Sees what is not bound here. */
const without =
  (names: readonly string[], see: See): See =>
  (name) => {
    if (!names.includes(name)) see(name);
  };

function readBlock(block: Block, names: readonly string[], see: See): void {
  const inside = without([...names, ...namesOf(block)], see);
  for (const step of block.steps) {
    for (const { reads, names: own = [] } of placesIn(step)) for (const part of reads) readPart(part, without(own, inside));
    for (const each of blocksOf(step)) readBlock(each.block, each.names, inside);
  }
  if (block.output) readTemplate(block.output, inside);
}

const namesOf = (block: Block): string[] => block.steps.map(({ id }) => stepName(id));

type Part = Template | Expression | undefined;

/** Parts of a step outside its blocks, with the names they see beyond what the step sees. */
interface Place {
  reads: Part[];
  names?: string[];
}

const placesIn = (step: Step): Place[] => [
  { reads: [step.if, step.summary, step.lock?.key] },
  { reads: [...valuesOf(step.export), step.retry?.while], names: ["output"] },
  ...step.catch.map(({ when, as }): Place => ({ reads: [when], names: [as] })),
  ...callPlaces(step),
  ...scopePlaces(step),
  ...waitPlaces(step),
];

function callPlaces(step: Step): Place[] {
  switch (step.type) {
    case "llm":
      return [{ reads: [...step.models, ...step.messages.map(({ content }) => content), step.cache?.key, step.fairnessKey] }];
    case "brief":
      return [
        {
          reads: [
            ...step.models,
            step.instructions,
            step.prompt,
            step.approval?.assignees,
            step.approval?.expiresAfter,
            step.approval?.remindAfter,
          ],
        },
        { reads: [step.thread, step.memory?.subject, ...(step.messages ?? []).map(({ content }) => content)] },
      ];
    case "think":
    case "call":
      return [{ reads: [step.given, step.fairnessKey] }];
    case "tool":
    case "activity":
      return [{ reads: [step.arguments, step.fairnessKey] }];
    case "http": {
      const { url, headers, query, body } = step.request;
      return [{ reads: [{ text: url }, ...valuesOf(headers), ...valuesOf(query), body, step.fairnessKey] }];
    }
    case "workflow":
      return [{ reads: [step.input] }];
    default:
      return [];
  }
}

function scopePlaces(step: Step): Place[] {
  switch (step.type) {
    case "set":
      return [{ reads: [step.values] }];
    case "switch":
      return [{ reads: step.cases.map(({ when }) => when) }];
    case "parallel":
      return [{ reads: [step.until], names: ["done"] }];
    case "foreach":
      return [
        { reads: [step.items] },
        { reads: [step.until], names: ["done"] },
        { reads: [step.key], names: [step.as, step.index, "output"] },
      ];
    case "agent":
      return [{ reads: [step.turns.until], names: [step.turns.index, "last", ...namesOf(step.turns.body)] }];
    case "loop":
      return [
        { reads: [step.while], names: [step.index, "last"] },
        { reads: [step.until], names: [step.index, "last", ...namesOf(step.body)] },
      ];
    case "raise":
      return [{ reads: [step.error] }];
    case "end":
      return [{ reads: [step.output] }];
    default:
      return [];
  }
}

function waitPlaces(step: Step): Place[] {
  switch (step.type) {
    case "wait":
      return [{ reads: [step.duration, step.until] }];
    case "emit":
      return [{ reads: [step.event, step.data, step.to] }];
    case "message":
      return [{ reads: [step.to, step.messageType, step.payload, step.replyTimeout] }];
    case "listen":
      return [
        { reads: [...step.events.map(({ event }) => event), step.timeout] },
        { reads: step.events.map(({ when }) => when), names: ["event"] },
        { reads: [step.stream?.until], names: ["event", "last"] },
      ];
    case "approval": {
      const { title, payload, assignees, quorum, remindAfter, escalate, expiresAfter } = step;
      return [{ reads: [title, payload, assignees, quorum, remindAfter, escalate?.after, escalate?.to, expiresAfter] }];
    }
    default:
      return [];
  }
}

const valuesOf = (entries: [string, Template][]): Template[] => entries.map(([, value]) => value);

function readPart(part: Part, see: See): void {
  if (Array.isArray(part)) readExpression(part, see);
  else if (part) readTemplate(part, see);
}

function readTemplate(template: Template, see: See): void {
  if ("expr" in template) readExpression(template.expr, see);
  else if ("text" in template) readNodes(template.text, see);
  else if ("list" in template) for (const item of template.list) readTemplate(item, see);
  else if ("map" in template) for (const [, value] of template.map) readTemplate(value, see);
}

function readExpression(expression: Expression, see: See): void {
  if (expression[0] === "lit") return;
  if (expression[0] === "name") return see(expression[1]);
  if (expression[0] === "each") return readMacro(expression, see);
  const [, of, member] = expression as unknown as [string, unknown, unknown];
  if (!isSteps(of)) return readNodes(expression.slice(1), see);
  // `steps.a`, `has(steps.a)`; `steps.?a`, `steps["a"]`: there the id is an expression of its own.
  const id = Array.isArray(member) && member[0] === "lit" ? (member as unknown[])[1] : member;
  if (typeof id === "string") return see(stepName(id));
  readNodes([member], see);
}

const isSteps = (node: unknown): boolean => Array.isArray(node) && node[0] === "name" && node[1] === "steps";

function readMacro([, , list, variable, ...bodies]: Extract<Expression, ["each", ...unknown[]]>, see: See): void {
  readExpression(list, see);
  readNodes(bodies, without([variable], see));
}

// An array that begins with text is a node; any other (the pairs of a map) only holds nodes.
function readNodes(parts: readonly unknown[], see: See): void {
  for (const part of parts) {
    if (!Array.isArray(part)) continue;
    if (typeof part[0] === "string") readExpression(part as unknown as Expression, see);
    else readNodes(part, see);
  }
}
