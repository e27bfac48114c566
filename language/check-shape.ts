import type { z } from "zod";
import { callFields, laterField, timeFields } from "../contracts/definition-fields.schema.ts";
import { definitionSchema, isInstant, stepSchema, type Definition } from "../contracts/definition.schema.ts";
import type { Json } from "../contracts/json.ts";
import { valueAt, type Finding, type Path } from "./finding.ts";
import { nearest } from "../contracts/nearest.ts";
import { flatten, sentenceFor, type Issue } from "./shape-sentences.ts";
import { repair, type Damage } from "./shape-repair.ts";

export interface Shape {
  findings: Finding[];
  /**
   * The definition, or what can still be checked of it: broken fields left out, broken steps put to `set` steps.
   * Absent when too little is left.
   */
  definition: Definition | undefined;
  damage: Damage;
}

/** Whether a value has the shape of a definition; names every field that does not fit. */
export function checkShape(value: Json): Shape {
  const first = parse(value);
  if (first.definition)
    return { findings: [], definition: first.definition, damage: { isAnywhere: false, isBroken: () => false, texts: new Set() } };
  const { value: mended, damage } = repair(value, first.issues);
  // Leaving a broken field out can leave a required one missing: then the whole step gives way.
  const second = parse(mended);
  if (second.definition) return { findings: first.findings, definition: second.definition, damage };
  const last = repair(mended, second.issues, damage);
  return { findings: first.findings, definition: parse(last.value).definition, damage: last.damage };
}

interface Parsed {
  definition?: Definition;
  issues: Issue[];
  findings: Finding[];
}

function parse(value: Json): Parsed {
  const fields = new Map<string, string[]>();
  // Only while the issue is raw does it know the object schema, and so the fields to suggest.
  const remember = (issue: z.core.$ZodRawIssue): undefined => {
    if (issue.code === "unrecognized_keys") fields.set(JSON.stringify(issue.path ?? []), fieldsOf(issue.inst));
  };
  const result = definitionSchema.safeParse(value, { error: remember });
  if (result.success) return { definition: result.data, issues: [], findings: [] };
  const issues = result.error.issues.flatMap((issue) => flatten(issue));
  return { issues, findings: issues.flatMap((issue) => findingsFor(issue, value, fields)) };
}

function findingsFor(issue: Issue, root: Json, fields: Map<string, string[]>): Finding[] {
  const path = issue.path as Path;
  if (issue.code !== "unrecognized_keys") return [sentenceFor(issue, valueAt(root, path), stepTypes)];
  const known = fields.get(JSON.stringify(path)) ?? [];
  const type = typeAt(root, path);
  return issue.keys.map((key) => {
    const reason = type && misplaced(key, type);
    const at = { path: [...path, key], atKey: true };
    return reason
      ? { ...at, code: "conflict", message: reason }
      : { ...at, code: "unknown_field", message: unknownField(key, known, type) };
  });
}

const ofCalls = new Set(Object.keys(callFields).filter((field) => !(field in timeFields)));
const ofTime = new Set([...Object.keys(timeFields), "compensate"]);

/** Why a field of other steps means nothing on this one. */
function misplaced(field: string, type: string): string | undefined {
  if (isInstant(type) && (ofTime.has(field) || ofCalls.has(field)))
    return `\`${type}\` takes no time and touches nothing outside, so that \`${field}\` means nothing here; remove it.`;
  if (!ofCalls.has(field)) return undefined;
  return `\`${field}\` belongs to steps that call something outside (\`llm\`, \`tool\`, \`http\`, \`activity\`); put it there.`;
}

function unknownField(key: string, known: string[], type: string | undefined): string {
  const where = type === undefined ? "" : ` on \`${type}\` steps`;
  const near = nearest(key, known);
  return near
    ? `Unknown field \`${key}\`${where}. Did you mean \`${near}\`?`
    : `Unknown field \`${key}\`${where}; remove it. Known are ${known.map((name) => `\`${name}\``).join(", ")}.`;
}

function typeAt(root: Json, path: Path): string | undefined {
  const type = valueAt(root, [...path, "type"]);
  return typeof type === "string" && path.length > 0 && stepTypes.has(type) ? type : undefined;
}

const shapeOf = (schema: unknown): Record<string, unknown> =>
  (schema as { _zod?: { def?: { shape?: Record<string, unknown> } } })?._zod?.def?.shape ?? {};
const fieldsOf = (schema: unknown): string[] =>
  Object.entries(shapeOf(schema)).flatMap(([name, field]) => (field === laterField ? [] : [name]));

const stepTypes: ReadonlySet<string> = new Set(stepSchema.options.map((option) => option.shape.type.value));
