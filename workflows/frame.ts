import type { Json, JsonObject } from "../contracts/json.ts";
import { fill, Meter, type Roots } from "../language/expression/evaluate.ts";
import type { Template } from "../language/plan.ts";
import { rootsOf } from "../language/roots.ts";
import { Pace } from "./pace.ts";
import type { Given } from "./walk.ts";

/** What the steps of one scope can see: names of their own (`item`, `index`, `error`), earlier steps, and what encloses them. */
export class Frame implements Roots {
  /** Of the whole run: what is evaluated in any frame counts. */
  readonly pace: Pace;
  readonly #parent: Frame | undefined;
  readonly #names: Map<string, Json>;
  readonly #steps = new Map<string, Json>();
  readonly #path: string | undefined;

  /** `path` of the step that sees it, where it is one's own. */
  constructor(parent: Frame | undefined, names: JsonObject = {}, path?: string) {
    this.#parent = parent;
    this.pace = parent?.pace ?? new Pace();
    this.#path = path;
    this.#names = new Map(Object.entries(names));
  }

  /** Whose expressions are filled here; "run" around all steps. */
  get path(): string {
    return this.#path ?? this.#parent?.path ?? "run";
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

  /** The value of a template that reads what is seen here. Faults, and throws, as the language's `fill`. */
  fill(template: Template): Json {
    const meter = new Meter();
    try {
      return fill(template, this, meter);
    } finally {
      this.pace.spend(meter.spent);
    }
  }

  /** The roots a template reads, for an evaluation outside the workflow. */
  rootsOf(template: Template): { roots: JsonObject; steps: JsonObject } {
    const reads = rootsOf(template);
    const pick = (names: string[], read: (name: string) => Json | undefined): JsonObject => {
      const entries = names.map((name) => [name, read(name)] as const).filter(([, value]) => value !== undefined);
      return Object.fromEntries(entries) as JsonObject;
    };
    return { roots: pick(reads.names, (name) => this.name(name)), steps: pick(reads.steps, (id) => this.step(id)) };
  }
}

/** What all steps of a run can see. */
export function topNames({ run, part, input, env }: Pick<Given, "run" | "part" | "input" | "env">): JsonObject {
  const { id, workflow, version, parentId = null, startedAt } = run;
  const own = { id, workflow, version, parentId, startedAt: new Date(startedAt).toISOString() };
  // A part of a run sees the run that it is part of.
  return { input, env, vars: {}, run: part?.names["run"] ?? own };
}
