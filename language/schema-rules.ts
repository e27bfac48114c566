import { isObject, type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { checkPattern } from "./expression/pattern.ts";

/** What a JSON Schema may not hold, whoever wrote it: each as a sentence that says what to do. */
export function brokenRules(schema: JsonSchema): string[] {
  const text = JSON.stringify(schema);
  if (text.length > schemaBytesMax) return [`The schema has ${text.length} bytes; at most ${schemaBytesMax} are allowed.`];
  const problems: string[] = [];
  const parts = new Set<Json>();
  visit(schema, 0, (part, depth) => {
    parts.add(part);
    if (depth > depthMax) problems.push(`The schema is nested more than ${depthMax} levels deep; use \`$defs\`.`);
    else problems.push(...keywordProblems(part));
    if (depth > 0 && part["$id"] !== undefined) problems.push("Only the schema as a whole may have an `$id`; remove the others.");
  });
  return [...new Set([...problems, ...referenceProblems(schema, parts)])];
}

/** Only what stands where a schema may stand is read and counted as one. */
function referenceProblems(schema: JsonSchema, parts: Set<Json>): string[] {
  const all = [...parts] as JsonObject[];
  const anchors = new Set(all.flatMap(({ $anchor, $dynamicAnchor }) => [$anchor, $dynamicAnchor]));
  const isSchema = (reference: string): boolean => {
    if (!reference.startsWith("#/")) return reference === "#" || !reference.startsWith("#") || anchors.has(reference.slice(1));
    const target = memberAt(schema, reference.slice(2));
    return !isObject(target) || parts.has(target);
  };
  return all
    .flatMap(({ $ref, $dynamicRef }) => [$ref, $dynamicRef])
    .filter((reference) => typeof reference === "string")
    .filter((reference) => !isSchema(reference))
    .map((reference) => `${JSON.stringify(reference)} refers to no schema; put what it refers to under \`$defs\`.`);
}

function memberAt(schema: JsonSchema, pointer: string): Json | undefined {
  let found: Json | undefined = schema;
  for (const part of pointer.split("/")) {
    const key = decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
    found = typeof found === "object" && found !== null ? (found as JsonObject)[key] : undefined;
  }
  return found;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** In each part of a schema as it is validated: what it costs is counted there. */
export const COUNTED = "tenutoCounted";

/**
 * The schema as it is validated. Generated schemas (zod's among them) put a long pattern beside a `format`; it says
 * the same again and would be the slowest part of the check, so that the format alone counts.
 */
export function asValidated(schema: JsonSchema): JsonSchema {
  const copy = structuredClone(schema);
  visit(copy, 0, (part) => {
    if (repeatsFormat(part)) delete part["pattern"];
    part[COUNTED] = part["uniqueItems"] === true ? "items" : "part";
  });
  return copy;
}

const schemaBytesMax = 64 * 1024;
const depthMax = 32;
const uniqueItemsMax = 1_000;
const dialects = new Set(["https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2020-12/schema#"]);

function keywordProblems(part: JsonObject): string[] {
  const problems: string[] = [];
  const { $schema, $async, pattern, patternProperties, uniqueItems, maxItems } = part;
  if ($schema !== undefined && !(typeof $schema === "string" && dialects.has($schema)))
    problems.push(`\`$schema\` is ${JSON.stringify($schema)}; only JSON Schema 2020-12 is understood.`);
  if ($async !== undefined) problems.push("`$async` is not allowed; remove it.");
  for (const keyword of ["$ref", "$dynamicRef"]) {
    const reference = part[keyword];
    if (typeof reference === "string" && !reference.startsWith("#"))
      problems.push(`\`${keyword}\` is ${JSON.stringify(reference)}; only references into the schema itself (\`#/$defs/…\`) are followed.`);
  }
  if (typeof pattern === "string" && !repeatsFormat(part)) problems.push(...patternProblems(pattern));
  if (isObject(patternProperties)) problems.push(...Object.keys(patternProperties).flatMap(patternProblems));
  if (uniqueItems === true && !(typeof maxItems === "number" && maxItems <= uniqueItemsMax))
    problems.push(`\`uniqueItems\` compares every item with every other; add \`maxItems\` of at most ${uniqueItemsMax}.`);
  return problems;
}

const repeatsFormat = (part: JsonObject): boolean =>
  typeof part["format"] === "string" && typeof part["pattern"] === "string" && patternProblems(part["pattern"]).length > 0;

function patternProblems(pattern: string): string[] {
  const bytes = new TextEncoder().encode(pattern).length;
  if (bytes > limits.regexBytesMax)
    return [
      `The pattern ${shorten(pattern)} has ${bytes} bytes; at most ${limits.regexBytesMax} are allowed. Use \`format\`, or several shorter patterns in \`allOf\`.`,
    ];
  try {
    checkPattern(pattern);
    return [];
  } catch (error) {
    return [`The pattern ${shorten(pattern)} cannot be used: ${(error as Error).message}`];
  }
}

const shorten = (text: string): string => JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);

const schemaKeywords = [
  "items",
  "additionalProperties",
  "not",
  "if",
  "then",
  "else",
  "contains",
  "propertyNames",
  "unevaluatedItems",
  "unevaluatedProperties",
  "additionalItems",
  "contentSchema",
];
const listKeywords = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
const mapKeywords = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/** Every subschema; data that only looks like one (`const`, `enum`, `default`) is left alone. */
function visit(schema: Json | undefined, depth: number, see: (part: JsonObject, depth: number) => void): void {
  if (!isObject(schema)) return;
  see(schema, depth);
  if (depth > depthMax) return;
  for (const keyword of schemaKeywords) visit(schema[keyword], depth + 1, see);
  for (const keyword of listKeywords) {
    const list = schema[keyword];
    if (Array.isArray(list)) for (const part of list) visit(part, depth + 1, see);
  }
  for (const keyword of mapKeywords) {
    const map = schema[keyword];
    if (isObject(map)) for (const part of Object.values(map)) visit(part, depth + 1, see);
  }
}
