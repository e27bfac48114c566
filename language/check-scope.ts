import type { ProblemCode } from "../contracts/definition.ts";
import type { TypeScope } from "./expression/infer.ts";
import { suggestion } from "./expression/suggest.ts";
import { anyType, type Type } from "./expression/types.ts";

/** ` Did you mean …?`; names of one or two letters are all near each other. */
export const near = (name: string, known: string[]): string => (name.length < 3 ? "" : suggestion(name, known));

/** What a lookup of a step gives: its type, or why it cannot be read here. */
export type StepLookup = Type | { code: ProblemCode; missing: string };

/** The steps of one block, as they are seen from one of them. */
export interface StepView {
  step(id: string): StepLookup | undefined;
  ids(): string[];
}

interface ScopeFields {
  names?: Record<string, Type>;
  steps?: StepView;
  isInCatch?: boolean;
  /** These steps undo another. */
  isUndoing?: boolean;
  /** Key of a lock that is held here. */
  lock?: string | undefined;
  /** Texts of broken fields: one may be what should have given an expression its name. */
  mayBeNames?: ReadonlySet<string>;
  /** A broken step stands here whose id is not known. */
  hidesSteps?: boolean;
  pathLength?: number;
}

/** What the expressions at one place of a definition can see. */
export class Scope {
  readonly #parent: Scope | undefined;
  readonly #fields: ScopeFields;
  /** Blocks around this place. */
  readonly depth: number;

  constructor(fields: ScopeFields, parent?: Scope, depth = 0) {
    this.#parent = parent;
    this.#fields = fields;
    this.depth = depth;
  }

  /** The same block with more to see. */
  with(fields: ScopeFields): Scope {
    return new Scope(fields, this, this.depth);
  }

  /** A block inside. */
  inside(fields: ScopeFields): Scope {
    return new Scope(fields, this, this.depth + 1);
  }

  /** Whether an error is being handled: `raise` may pass it on. */
  get isInCatch(): boolean {
    return this.#fields.isInCatch ?? this.#parent?.isInCatch ?? false;
  }

  get isUndoing(): boolean {
    return this.#fields.isUndoing ?? this.#parent?.isUndoing ?? false;
  }

  /** Keys of the locks that steps around this place hold, innermost first. */
  locks(): string[] {
    const { lock } = this.#fields;
    return [...(lock === undefined ? [] : [lock]), ...(this.#parent?.locks() ?? [])];
  }

  mayBeName(name: string): boolean {
    return this.#fields.mayBeNames?.has(name) === true || this.#parent?.mayBeName(name) === true;
  }

  get hidesSteps(): boolean {
    return this.#fields.hidesSteps === true || this.#parent?.hidesSteps === true;
  }

  /** Characters of the longest step path that leads here. */
  get pathLength(): number {
    return (this.#fields.pathLength ?? 0) + (this.#parent?.pathLength ?? 0);
  }

  name(name: string): Type | undefined {
    const { names } = this.#fields;
    return names && Object.hasOwn(names, name) ? names[name] : this.#parent?.name(name);
  }

  step(id: string): StepLookup | undefined {
    return this.#fields.steps?.step(id) ?? this.#parent?.step(id);
  }

  names(): string[] {
    return [...new Set([...Object.keys(this.#fields.names ?? {}), ...(this.#parent?.names() ?? [])])];
  }

  ids(): string[] {
    return [...(this.#fields.steps?.ids() ?? []), ...(this.#parent?.ids() ?? [])];
  }
}

/** For one expression: what it may name, and with which code the next report of the inference is to be taken. */
export class Lookup implements TypeScope {
  code: ProblemCode = "type_mismatch";
  readonly #scope: Scope;
  /** Where a step stands that cannot be seen from here: the id of the step around it. */
  readonly #around: (id: string) => string | undefined;
  readonly #reportName: (code: ProblemCode, message: string) => void;

  constructor(scope: Scope, around: (id: string) => string | undefined, reportName: (code: ProblemCode, message: string) => void) {
    this.#scope = scope;
    this.#around = around;
    this.#reportName = reportName;
  }

  name(name: string): Type | undefined {
    if (name === "steps") this.#reportName("unknown_name", "`steps` cannot be used as a whole; name a step: `steps.<id>.output`.");
    const type = this.#scope.name(name);
    if (type !== undefined || name === "steps") return type;
    if (name === "secrets") this.#reportName("not_available", "`secrets` are not yet available in this version.");
    if (name === "secrets" || this.#scope.mayBeName(name)) return anyType;
    this.code = "unknown_name";
    return undefined;
  }

  step(id: string): Type | { missing: string } {
    const found = this.#scope.step(id) ?? { code: "unknown_name" as const, missing: this.#unseen(id) };
    if (!("missing" in found)) return found;
    if (found.code === "unknown_name" && this.#scope.hidesSteps) return anyType;
    this.code = found.code;
    return found;
  }

  names(): string[] {
    return this.#scope.names();
  }

  #unseen(id: string): string {
    const around = this.#around(id);
    if (around === undefined) return `There is no step \`${id}\`.${near(id, this.#scope.ids())}`;
    if (around === "") return `\`${id}\` is a step of the workflow's body and not seen from here; export what is needed into \`vars\`.`;
    const outer = this.#scope.step(around);
    if (outer && "missing" in outer)
      return `\`${id}\` stands inside \`${around}\` and is not seen from here; export what is needed into \`vars\`.`;
    return `\`${id}\` stands inside \`${around}\`; from outside only a scope's output is seen: use \`steps.${around}.output\`.`;
  }
}
