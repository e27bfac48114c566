import { isObject, type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import { limits } from "../contracts/limits.ts";
import { checkPattern } from "./expression/pattern.ts";

/** What a JSON Schema may not hold, whoever wrote it: each as a sentence that says what to do. */
export function brokenRules(schema: JsonSchema): string[] {
  const text = JSON.stringify(schema);
  if (text.length > schemaBytesMax) return [`The schema has ${text.length} bytes; at most ${schemaBytesMax} are allowed.`];
  const problems: string[] = [];
  visit(schema, 0, (part, depth) => {
    if (depth > depthMax) problems.push(`The schema is nested more than ${depthMax} levels deep; use \`$defs\`.`);
    else problems.push(...keywordProblems(part));
  });
  return [...new Set(problems)];
}

/**
 * The schema as it is validated. Generated schemas (zod's among them) put a long pattern beside a `format`; it says
 * the same again and would be the slowest part of the check, so that the format alone counts.
 */
export function withoutRepeatedPatterns(schema: JsonSchema): JsonSchema {
  const copy = structuredClone(schema);
  visit(copy, 0, (part) => {
    if (repeatsFormat(part)) delete part["pattern"];
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
