import { _, Ajv2020, type ErrorObject, type KeywordCxt, type ValidateFunction } from "ajv/dist/2020.js";
import ajvFormats from "ajv-formats";
import { canonicalJson, type Json, type JsonSchema } from "../contracts/json.ts";
import { Fault } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { matchesPattern } from "./expression/pattern.ts";
import { Meter } from "./expression/values.ts";
import { asValidated, brokenRules, COUNTED } from "./schema-rules.ts";

export interface Mismatch {
  /** RFC 6901; empty for the whole value. */
  pointer: string;
  message: string;
}

/**
 * Check a value against a JSON Schema (2020-12). Empty = it fits.
 *
 * A schema that `checkSchema` refuses gives its problems at pointer "": nothing passes a schema that cannot be read.
 * Not for workflows: compiling a schema makes code (`docs/decisions/0003-schema-validation-in-language.md`).
 */
export function validateValue(schema: JsonSchema, value: Json): Mismatch[] {
  const compiled = compiledSchema(schema);
  if ("problems" in compiled) return compiled.problems.map((message) => ({ pointer: "", message }));
  meter = newMeter();
  try {
    return compiled.validate(value) ? [] : (compiled.validate.errors ?? []).slice(0, mismatchesMax).map(mismatchOf);
  } catch (error) {
    if (error instanceof RangeError) return [{ pointer: "", message: overflow }];
    if (error instanceof Fault) return [{ pointer: "", message: error.message }];
    throw error;
  }
}

/** What is wrong with a JSON Schema itself, each as a sentence. Empty = it can be used. */
export function checkSchema(schema: JsonSchema): string[] {
  const compiled = compiledSchema(schema);
  return "problems" in compiled ? compiled.problems : [];
}

type Compiled = { validate: ValidateFunction } | { problems: string[] };

const mismatchesMax = 100;
const cachedMax = 200;
const overflow = "The schema refers to itself without an end; give the reference a place inside `properties` or `items`.";

const endless = `To check the value against this schema takes more than ${limits.schemaStepsMax} steps; make the value smaller, or the schema simpler.`;

// A Map keeps the order of insertion: the first key is the one that was used longest ago.
const cache = new Map<string, Compiled>();

function compiledSchema(schema: JsonSchema): Compiled {
  const key = keyOf(schema);
  if (key === undefined) return { problems: ["The schema is nested too deeply."] };
  const compiled = cache.get(key) ?? compile(schema);
  cache.delete(key);
  cache.set(key, compiled);
  if (cache.size > cachedMax) cache.delete(cache.keys().next().value!);
  return compiled;
}

function keyOf(schema: JsonSchema): string | undefined {
  try {
    return canonicalJson(schema);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function compile(schema: JsonSchema): Compiled {
  const problems = brokenRules(schema);
  if (problems.length > 0) return { problems };
  try {
    // An instance of its own: two schemas of two people may carry the same $id.
    const ajv = new Ajv2020({ strict: false, allErrors: true, inlineRefs: false, logger: false, code: { regExp: linearPattern } });
    ajvFormats.default(ajv);
    ajv.addKeyword({ keyword: COUNTED, before: "$ref", code: countPart });
    if (ajv.validateSchema(schema) !== true) return { problems: schemaErrors(ajv.errors ?? []) };
    const validate = ajv.compile(asValidated(schema));
    for (const sample of samples) {
      meter = newMeter();
      validate(sample);
    }
    return { validate };
  } catch (error) {
    if (error instanceof RangeError) return { problems: [overflow] };
    if (error instanceof Fault) return { problems: [error.message] };
    return { problems: [`The schema is not valid JSON Schema: ${(error as Error).message}.`] };
  }
}

// JavaScript's RegExp backtracks: `(a|aa)+$` blocks the process for minutes on one short text. Ours takes text times pattern.
const linearPattern = Object.assign(
  (pattern: string) => ({
    test: (text: string): boolean => matchesPattern(text, pattern, meter),
    // ajv keeps one matcher for equal keys, and this is the key.
    toString: (): string => pattern,
  }),
  { code: "linearPattern" },
);

/**
 * What one check costs: parts of the schema, each time one is held against a value, and steps of patterns. A schema that refers to
 * its own parts can double the work with each level of the value; another compares every item with every other.
 */
let meter = newMeter();

function newMeter(): Meter {
  return new Meter(limits.schemaStepsMax, endless);
}

function count(isUnique: boolean, value: unknown): void {
  meter.spend(isUnique && Array.isArray(value) ? 1 + (value.length * value.length) / 16 : 1);
}

function countPart({ gen, schema, data }: KeywordCxt): void {
  gen.code(_`${gen.scopeValue("func", { ref: count })}(${schema === "items"}, ${data})`);
}

/** One sentence for each place: the meta-schema says the same thing in several ways. */
function schemaErrors(errors: ErrorObject[]): string[] {
  const places = new Map(
    errors
      .toReversed()
      .map(({ instancePath, message }) => [instancePath, `\`${instancePath || "/"}\` of the schema ${message ?? "is not valid"}.`]),
  );
  return [...places.values()].toReversed();
}

// A schema that refers to itself in place overflows on any value at all.
const samples: Json[] = [null, "", [], {}];

function mismatchOf({ instancePath, keyword, message, params }: ErrorObject): Mismatch {
  const property: unknown = params["additionalProperty"] ?? params["unevaluatedProperty"];
  if (typeof property === "string") return { pointer: `${instancePath}/${escape(property)}`, message: "is not allowed here" };
  if (keyword === "required") return { pointer: `${instancePath}/${escape(String(params["missingProperty"]))}`, message: "is missing" };
  if (keyword === "enum") return { pointer: instancePath, message: `must be one of ${list(params["allowedValues"])}` };
  if (keyword === "const") return { pointer: instancePath, message: `must be ${JSON.stringify(params["allowedValue"])}` };
  return { pointer: instancePath, message: message ?? "does not fit" };
}

const list = (values: unknown): string =>
  Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(", ") : String(values);
const escape = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");
