import type { Json, JsonObject } from "../contracts/json.ts";
import type { Roots } from "../language/expression/evaluate.ts";
import type { Expression, Template } from "../language/plan.ts";

/** What the steps of one scope can see: names of their own (`item`, `index`, `error`), earlier steps, and what encloses them. */
export class Frame implements Roots {
  readonly #parent: Frame | undefined;
  readonly #names: Map<string, Json>;
  readonly #steps = new Map<string, Json>();

  constructor(parent: Frame | undefined, names: JsonObject = {}) {
    this.#parent = parent;
    this.#names = new Map(Object.entries(names));
  }

  name(name: string): Json | undefined {
    return this.#names.has(name) ? this.#names.get(name) : this.#parent?.name(name);
  }

  step(id: string): Json | undefined {
    return this.#steps.has(id) ? this.#steps.get(id) : this.#parent?.step(id);
  }

  setName(name: string, value: Json): void {
    this.#names.set(name, value);
  }

  setStep(id: string, view: Json): void {
    this.#steps.set(id, view);
  }

  /** The roots a template reads, for an evaluation outside the workflow. */
  rootsOf(template: Template): { roots: JsonObject; steps: JsonObject } {
    const found: Found = { names: new Set(), steps: new Set() };
    collectTemplate(template, found);
    const pick = (names: Set<string>, read: (name: string) => Json | undefined): JsonObject => {
      const entries = [...names].map((name) => [name, read(name)] as const).filter(([, value]) => value !== undefined);
      return Object.fromEntries(entries) as JsonObject;
    };
    return { roots: pick(found.names, (name) => this.name(name)), steps: pick(found.steps, (id) => this.step(id)) };
  }
}

interface Found {
  names: Set<string>;
  steps: Set<string>;
}

function collectTemplate(template: Template, found: Found): void {
  if ("expr" in template) collectExpression(template.expr, found);
  else if ("text" in template) collectParts(template.text, found);
  else if ("list" in template) for (const item of template.list) collectTemplate(item, found);
  else if ("map" in template) for (const [, value] of template.map) collectTemplate(value, found);
}

function collectExpression(expression: Expression, found: Found): void {
  if (expression[0] === "lit") return;
  if (expression[0] === "name") return void found.names.add(expression[1]);
  if (expression[0] === "get" && expression[1][0] === "name" && expression[1][1] === "steps") return void found.steps.add(expression[2]);
  // `steps.?a`, `steps["a"]`, `has(steps.a)`
  const [, of, member] = expression as unknown as [string, unknown, unknown];
  if (Array.isArray(of) && of[0] === "name" && of[1] === "steps") {
    const id = Array.isArray(member) && member[0] === "lit" ? (member as unknown[])[1] : member;
    if (typeof id === "string") found.steps.add(id);
  }
  collectParts(expression.slice(1), found);
}

// An array that begins with text is a node; any other (the pairs of a map) only holds nodes.
function collectParts(parts: readonly unknown[], found: Found): void {
  for (const part of parts) {
    if (!Array.isArray(part)) continue;
    if (typeof part[0] === "string") collectExpression(part as unknown as Expression, found);
    else collectParts(part, found);
  }
}
