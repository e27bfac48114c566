import { isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { escapeText, kindOf, meaningOf, nameRef, refuse, stepRef, type Ref } from "./builder-refs.ts";

/** Steps that can see each other, and the names the scope brings in (`item`, `index`, `last`, `error`, …). */
export class Scope {
  readonly parent: Scope | undefined;
  readonly names: ReadonlySet<string>;
  readonly ids = new Set<string>();
  readonly steps: JsonObject[] = [];

  constructor(parent: Scope | undefined, names: readonly string[]) {
    this.parent = parent;
    this.names = new Set(names);
  }

  /** The nearest scope, from here outwards, that brings in the name. */
  owner(name: string): Scope | undefined {
    return this.names.has(name) || this.ids.has(name) ? this : this.parent?.owner(name);
  }

  ref<V = never>(name: string): Ref<V> {
    return nameRef<V>(this, name);
  }
}

export interface Block {
  steps: Json[];
  output?: Json;
}

/** Collects the steps of one definition, scope by scope, while the author's callbacks run. */
export class Recorder {
  #scope: Scope | undefined;

  /**
   * Run a callback in a scope of its own. What it returns is the scope's output, unless that is the last step's anyway.
   * `after` runs at the end, where the scope's steps can still be seen.
   */
  block<R>(names: readonly string[], build: (scope: Scope) => R, after?: (result: R) => void): Block {
    const outer = this.#scope;
    const scope = new Scope(outer, names);
    this.#scope = scope;
    try {
      const result = build(scope);
      refusePromise(result);
      if (scope.steps.length === 0) refuse("A callback made no step; every scope needs one, such as set('result', …).");
      after?.(result);
      return isLastStep(scope, result) ? { steps: scope.steps } : { steps: scope.steps, output: this.render(result) };
    } finally {
      this.#scope = outer;
    }
  }

  /** A scope in a place where the language has no room for an output beside the steps. */
  steps(build: (scope: Scope) => unknown, place: string, names: readonly string[] = []): Json[] {
    const { steps, output } = this.block(names, build);
    if (output !== undefined) refuse(`The callback of ${place} must return its last step or nothing; put other values into a last set(…).`);
    return steps;
  }

  /** Names for fields that no step fills: `output` in a retry condition, `event` in a filter. */
  seeing<T>(names: readonly string[], read: (scope: Scope) => T): T {
    const outer = this.#scope;
    this.#scope = new Scope(outer, names);
    try {
      return read(this.#scope);
    } finally {
      this.#scope = outer;
    }
  }

  add(step: JsonObject & { id: string }): Ref<never> {
    const scope = this.#open();
    const name = `steps.${step.id}`;
    if (scope.owner(name)) refuse(`Two steps that can see each other are called \`${step.id}\`; rename one.`);
    scope.ids.add(name);
    scope.steps.push(step);
    return stepRef<never>(scope, step.id);
  }

  /** A name that hides none of an enclosing scope: `item`, then `item2`, … */
  freeName(wanted: string): string {
    let name = wanted;
    for (let next = 2; this.#open().owner(name); next += 1) name = `${wanted}${next}`;
    return name;
  }

  /** The id of a step of the present scope, for `needs`. */
  siblingId(step: unknown): string {
    const meaning = meaningOf(step);
    const id = meaning ? meaning.step : step;
    return typeof id === "string" && this.#open().ids.has(`steps.${id}`)
      ? id
      : refuse("`needs` takes steps of the same scope that stand before this one.");
  }

  /** A value of the author as it stands in the definition: references become `${…}`, texts stay texts. */
  render(value: unknown): Json {
    const meaning = meaningOf(value);
    if (meaning) return this.#renderRef(meaning);
    if (typeof value === "string") return escapeText(value);
    if (value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return value;
    if (Array.isArray(value)) return value.map((member) => this.render(member));
    if (isPlain(value)) return Object.fromEntries(present(value).map(([key, member]) => [key, this.render(member)]));
    return refuse(`A definition is plain JSON; ${kindOf(value)} cannot stand in it.`);
  }

  /** The fields that were given, rendered. */
  fields(given: Record<string, unknown>): JsonObject {
    return this.render(given) as JsonObject;
  }

  #renderRef({ kind, source, origins }: NonNullable<ReturnType<typeof meaningOf>>): Json {
    for (const { scope, name } of origins) {
      if (this.#open().owner(name) !== scope)
        refuse(
          `\`${source}\` cannot be seen here: \`${name}\` belongs to another scope. Return it from that scope and use the scope's own output.`,
        );
    }
    return kind === "text" ? source : `\${${source}}`;
  }

  #open(): Scope {
    return this.#scope ?? refuse("Steps are made inside the callback of workflow(…), which runs once and at once.");
  }
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  isObject(value) && (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null);

export const present = (fields: Record<string, unknown>): [string, unknown][] =>
  Object.entries(fields).filter(([, value]) => value !== undefined);

const isLastStep = (scope: Scope, result: unknown): boolean => {
  if (result === undefined) return true;
  const step = meaningOf(result)?.step;
  return step !== undefined && scope.ids.has(`steps.${step}`) && scope.steps.at(-1)?.["id"] === step;
};

function refusePromise(result: unknown): void {
  if (result instanceof Promise) {
    // Whatever it ends with was not asked for; an unheard rejection would end the process.
    result.catch(() => undefined);
    refuse("Callbacks of the builder run at once: they cannot be async. Waiting is what steps do when the workflow runs.");
  }
}
