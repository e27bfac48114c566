import type Anthropic from "@anthropic-ai/sdk";
import { transformJSONSchema } from "@anthropic-ai/sdk/lib/transform-json-schema";
import { isObject, type Json, type JsonSchema } from "../contracts/json.ts";

/**
 * A schema as Anthropic holds an answer to it: what it cannot be held to (lengths, ranges, patterns) becomes a part of the description, and
 * is checked here as all answers are. Undefined where the format would say something else: objects of any names, values of any type,
 * references (they may turn in circles), and more than the API takes.
 */
export function formatOf(schema: JsonSchema): Anthropic.JSONOutputFormat | undefined {
  if (!isExpressible(schema)) return undefined;
  const { properties, optional, unions } = sizeOf(schema);
  if (properties > PROPERTIES_MAX || optional > OPTIONAL_MAX || unions > UNIONS_MAX) return undefined;
  return { type: "json_schema", schema: transformJSONSchema(schema) as JsonSchema };
}

// By the API's own limits: more is refused (400).
const OPTIONAL_MAX = 24;
const UNIONS_MAX = 16;
// Refused is also what makes too large a grammar, of which it does not say how large: this is far from it.
const PROPERTIES_MAX = 100;

function isExpressible(schema: Json): boolean {
  if (!isObject(schema) || unknown.some((keyword) => schema[keyword] !== undefined)) return false;
  const variants = variantsOf(schema);
  const isLiteral = schema["enum"] !== undefined || schema["const"] !== undefined;
  if (variants.length > 0) return schema["type"] === undefined && variants.every(isExpressible);
  if (isLiteral) return [schema["enum"] ?? schema["const"]].flat().every((value) => !isObject(value) && !Array.isArray(value));
  switch (schema["type"]) {
    case "object":
      return isFixed(schema) && propertiesOf(schema).every(isExpressible);
    case "array":
      return isExpressible(schema["items"] ?? null);
    default:
      return typesOf(schema).length > 0 && typesOf(schema).every((type) => plainTypes.includes(type));
  }
}

const unknown = ["$ref", "patternProperties", "prefixItems", "allOf", "not", "if"];
const plainTypes: Json[] = ["string", "number", "integer", "boolean", "null"];

/** Its names are known. Whoever leaves open whether there may be others wants these. */
function isFixed(schema: JsonSchema): boolean {
  const names = isObject(schema["properties"]) ? Object.keys(schema["properties"]) : [];
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const isClosed = schema["additionalProperties"] === false;
  const isOpen = schema["additionalProperties"] === undefined && names.length > 0;
  return (isClosed || isOpen) && required.every((name) => names.includes(name as string));
}

interface Size {
  properties: number;
  optional: number;
  unions: number;
}

function sizeOf(schema: Json): Size {
  if (!isObject(schema)) return { properties: 0, optional: 0, unions: 0 };
  const properties = propertiesOf(schema).length;
  const own: Size = {
    properties,
    optional: properties - (Array.isArray(schema["required"]) ? schema["required"].length : 0),
    unions: variantsOf(schema).length > 0 || typesOf(schema).length > 1 ? 1 : 0,
  };
  return [...propertiesOf(schema), ...variantsOf(schema), schema["items"] ?? null].map(sizeOf).reduce(
    (sum, each) => ({
      properties: sum.properties + each.properties,
      optional: sum.optional + each.optional,
      unions: sum.unions + each.unions,
    }),
    own,
  );
}

const typesOf = ({ type }: JsonSchema): Json[] => (type === undefined ? [] : ([type].flat() as Json[]));

const variantsOf = (schema: JsonSchema): Json[] =>
  ["anyOf", "oneOf"].flatMap((keyword) => (Array.isArray(schema[keyword]) ? schema[keyword] : []));

const propertiesOf = ({ properties }: JsonSchema): Json[] => (isObject(properties) ? Object.values(properties) : []);
