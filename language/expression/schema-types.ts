import type { Json, JsonObject, JsonSchema } from "../../contracts/json.ts";
import { isObject } from "../../contracts/json.ts";
import {
  anyMap,
  anyType,
  booleanType,
  listOf,
  nullType,
  numberType,
  stringType,
  typeOfValue,
  unionOf,
  type ObjectType,
  type Type,
} from "./type.ts";

/**
 * What a JSON Schema says about a value; `any` where it does not say, or says it in a way that is not followed here.
 * An object that names its properties counts as closed unless `additionalProperties` or `patternProperties` allow
 * more: a name that is not among them is nearly always a typing error.
 */
export const typeOfSchema = (schema: JsonSchema | undefined): Type => read(schema, { root: schema ?? {}, depth: 0 });

interface Place {
  root: JsonSchema;
  depth: number;
}

// Schemas may refer to themselves; below this a type says nothing more.
const depthMax = 10;

function read(schema: Json | undefined, { root, depth }: Place): Type {
  if (!isObject(schema) || depth > depthMax) return anyType;
  const place = { root, depth: depth + 1 };
  const type = readBase(schema, place);
  return schema["nullable"] === true ? unionOf([type, nullType]) : type;
}

function readBase(schema: JsonObject, place: Place): Type {
  if (typeof schema["$ref"] === "string") return read(resolve(place.root, schema["$ref"]), place);
  if (schema["const"] !== undefined) return typeOfValue(schema["const"]);
  if (Array.isArray(schema["enum"])) return unionOf(schema["enum"].map(typeOfValue));
  if (Array.isArray(schema["allOf"])) return readAll(schema, schema["allOf"], place);
  const choices = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(choices)) return "properties" in schema ? anyType : unionOf(choices.map((choice) => read(choice, place)));
  return readType(schema, place);
}

function readType(schema: JsonObject, place: Place): Type {
  const type = schema["type"];
  if (Array.isArray(type)) return type.length === 0 ? anyType : unionOf(type.map((one) => readType({ ...schema, type: one }, place)));
  switch (type) {
    case "null":
      return nullType;
    case "boolean":
      return booleanType;
    case "number":
    case "integer":
      return numberType;
    case "string":
      return stringType;
    case "array":
      return readList(schema, place);
    case "object":
      return readObject(schema, place);
    default:
      return type === undefined && isObject(schema["properties"]) ? readObject(schema, place) : anyType;
  }
}

function readList(schema: JsonObject, place: Place): Type {
  const first = schema["prefixItems"];
  if (!Array.isArray(first)) return listOf(read(schema["items"], place));
  const rest = schema["items"] === false ? [] : [read(schema["items"], place)];
  return listOf(unionOf([...first.map((item) => read(item, place)), ...rest]));
}

function readObject(schema: JsonObject, place: Place): Type {
  const properties = schema["properties"];
  const others = schema["additionalProperties"];
  if (!isObject(properties))
    return others === false && !isObject(schema["patternProperties"]) ? { kind: "object", fields: {}, required: [], open: false } : anyMap;
  const required = Array.isArray(schema["required"]) ? schema["required"].filter((key) => typeof key === "string") : [];
  return {
    kind: "object",
    fields: Object.fromEntries(Object.entries(properties).map(([key, member]) => [key, read(member, place)])),
    required,
    open: others === true || isObject(others) || isObject(schema["patternProperties"]),
  };
}

/** Objects are put together; anything else that must fit several schemas is not followed. */
function readAll(schema: JsonObject, parts: Json[], place: Place): Type {
  const { allOf: _, ...own } = schema;
  const base = "type" in own || "properties" in own || "$ref" in own || "anyOf" in own || "oneOf" in own ? [own] : [];
  const types = [...base, ...parts].map((part) => read(part, place)).filter((type) => type.kind !== "any");
  if (types.length === 1 && types[0]!.kind !== "object") return types[0]!;
  const objects = types.filter((type) => type.kind === "object");
  if (objects.length === 0 || objects.length !== types.length) return anyType;
  // A part of which nothing is known may hold further members.
  const isWhole = types.length === base.length + parts.length;
  return objects.reduce(together, { kind: "object", fields: {}, required: [], open: !isWhole });
}

const together = (left: ObjectType, right: ObjectType): ObjectType => ({
  kind: "object",
  fields: { ...left.fields, ...right.fields },
  required: [...new Set([...left.required, ...right.required])],
  open: left.open || (right.open && Object.keys(right.fields).length > 0),
});

/** `#`, `#/$defs/name` and other pointers into the schema itself; what is elsewhere is unknown. */
function resolve(root: JsonSchema, reference: string): Json | undefined {
  if (reference !== "#" && !reference.startsWith("#/")) return undefined;
  let found: Json | undefined = root;
  for (const part of reference.split("/").slice(1)) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    found = isObject(found) && Object.hasOwn(found, key) ? found[key] : undefined;
  }
  return found;
}
