import type { AvailableStep, StepDefinition } from "../contracts/definition.schema.ts";
import type { ProblemCode } from "../contracts/definition.ts";
import { Fault } from "../contracts/faults.ts";
import type { Policy } from "../contracts/policy.ts";
import type { Json, JsonSchema } from "../contracts/json.ts";
import { Lookup, type Scope } from "./check-scope.ts";
import { parseDuration } from "./duration.ts";
import { ExpressionSyntaxError, parseCondition, parseTemplate } from "./expression/parse.ts";
import { typeOfSchema } from "./expression/schema-types.ts";
import { anyType, listOf, membersOf, nameOf, objectOf, typeOfValue, unionOf, type Type } from "./expression/types.ts";
import { typeOfTemplate } from "./expression/infer.ts";
import type { Finding, Path } from "./finding.ts";
import type { Template } from "./plan.ts";
import type { Damage } from "./shape-repair.ts";
import { checkSchema } from "./validate.ts";

/** The steps of one scope. */
export interface BlockPlace {
  steps: StepDefinition[];
  /** Of the list of steps. */
  path: Path;
  output?: Json;
  outputPath?: Path;
  /** Called with what can be seen when all steps have ended. */
  atEnd?: (scope: Scope) => void;
}

export interface StepPlace<Step extends AvailableStep = AvailableStep> {
  step: Step;
  path: Path;
  scope: Scope;
}

interface CheckingFields {
  damage: Damage;
  /** Every id of the definition with the step around it; "" in the body itself. */
  around: Map<string, string>;
  stepsMax: number;
  policy: Policy;
  /** Check the steps of one scope and give the type of its output. `scope` is the scope's own inside. */
  block: (checking: Checking, place: BlockPlace, scope: Scope) => Type;
}

/** One pass over a definition: what was found, and the means to check its parts. */
export class Checking {
  readonly findings: Finding[] = [];
  readonly damage: Damage;
  readonly around: ReadonlyMap<string, string>;
  readonly policy: Policy;
  stepsLeft: number;
  /** Limits of the locks whose keys are the same everywhere, by key. */
  readonly lockLimits = new Map<string, number>();
  /** Which of them is taken while which is held: `[held, taken]`. */
  readonly lockOrders: [held: string, taken: string][] = [];
  readonly #block: CheckingFields["block"];

  constructor({ damage, around, stepsMax, policy, block }: CheckingFields) {
    this.damage = damage;
    this.around = around;
    this.stepsLeft = stepsMax;
    this.policy = policy;
    this.#block = block;
  }

  block(place: BlockPlace, scope: Scope): Type {
    return this.#block(this, place, scope);
  }

  add(code: ProblemCode, path: Path, message: string): void {
    this.findings.push({ code, path, message });
  }

  addAtKey(code: ProblemCode, path: Path, message: string): void {
    this.findings.push({ code, path, message, atKey: true });
  }

  /** A value with expressions in it; gives its type. */
  value(value: Json | undefined, path: Path, scope: Scope): Type {
    if (value === undefined) return anyType;
    const before = this.findings.length;
    const template = parseTemplate(value, (pointer, message) => this.add("expression_syntax", [...path, ...pointer], message));
    const isReadable = this.findings.length === before;
    const type = this.#typeAt(template, path, scope);
    return isReadable ? type : anyType;
  }

  /** A value that must be able to have one of the wanted types. */
  wanted(value: Json | undefined, path: Path, scope: Scope, wanted: { type: Type; what: string }): Type {
    const type = this.value(value, path, scope);
    const fits = membersOf(type).some(
      (member) => member.kind === "any" || membersOf(wanted.type).some((want) => want.kind === member.kind),
    );
    if (!fits) this.add("type_mismatch", path, `This is ${nameOf(type)}, but it must be ${wanted.what}.`);
    return type;
  }

  condition(value: string | boolean | undefined, path: Path, scope: Scope): void {
    if (typeof value === "string") this.expression(value, path, scope, { kind: "boolean" });
  }

  /** A field that is one expression, with or without `${ }`. */
  expression(text: string, path: Path, scope: Scope, wanted: Type): void {
    try {
      const type = this.#typeAt({ expr: parseCondition(text) }, path, scope);
      if (!membersOf(type).some((member) => member.kind === "any" || member.kind === wanted.kind))
        this.add("type_mismatch", path, `This is ${nameOf(type)}, but it must be ${nameOf(wanted)}.`);
    } catch (error) {
      if (!(error instanceof ExpressionSyntaxError)) throw error;
      this.add("expression_syntax", path, error.message);
    }
  }

  /** A duration that may be an expression; gives its milliseconds when it is none. */
  duration(value: Json | undefined, path: Path, scope: Scope): number | undefined {
    if (typeof value !== "string" || !value.includes("${")) return this.fixedDuration(value, path);
    this.wanted(value, path, scope, textOrNumber);
    return undefined;
  }

  /** A fixed duration that is longer than nothing. */
  fixedSpan(value: Json | undefined, path: Path): number | undefined {
    const ms = this.fixedDuration(value, path);
    if (ms === 0) this.add("wrong_value", path, `\`${String(path.at(-1))}\` must be longer than nothing.`);
    return ms;
  }

  fixedDuration(value: Json | undefined, path: Path): number | undefined {
    if (value === undefined) return undefined;
    if (typeof value === "string" && value.includes("${")) {
      this.add("literal_required", path, "This must be a fixed duration; an expression is not allowed here.");
      return undefined;
    }
    try {
      return parseDuration(value);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.add("duration", path, error.message);
      return undefined;
    }
  }

  schema(schema: JsonSchema | undefined, path: Path): Type {
    if (schema === undefined) return anyType;
    const problems = checkSchema(schema);
    for (const problem of problems) this.add("schema", path, problem);
    return problems.length === 0 ? typeOfSchema(schema) : anyType;
  }

  #typeAt(template: Template, path: Path, scope: Scope): Type {
    if ("lit" in template) return typeOfValue(template.lit);
    if ("list" in template) return listOf(unionOf(template.list.map((item, index) => this.#typeAt(item, [...path, index], scope))));
    if ("map" in template) return objectOf(template.map.map(([key, value]) => [key, this.#typeAt(value, [...path, key], scope)]));
    const lookup = new Lookup(
      scope,
      (id) => this.around.get(id),
      (code, message) => this.add(code, path, message),
    );
    return typeOfTemplate(template, lookup, (message) => {
      this.add(lookup.code, path, message);
      lookup.code = "type_mismatch";
    });
  }
}

const textOrNumber = { type: unionOf([{ kind: "string" }, { kind: "number" }]), what: "a duration" };
