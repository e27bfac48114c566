import { canonicalJson, isObject, type Json, type JsonObject, type JsonSchema } from "../contracts/json.ts";
import { chooseBoolean, rankLabels, supportedLabels } from "./local-label.ts";
import { chooseNumber } from "./local-number.ts";
import { fitsSchema, flatten, numberOf } from "./local-schema.ts";
import { createPlace, createSource, relevance, type Place, type Source } from "./local-source.ts";
import { chooseString } from "./local-string.ts";
import { best } from "./local-text.ts";

/**
 * A value that fits the schema, taken from the text as far as the text gives it.
 * Every keyword that common outputs use is met; `not`, `if` and conflicting bounds are left to the caller's check.
 */
export function fillSchema(schema: JsonSchema, input: { text: string; instruction: string }): Json {
  const source = createSource(input.text, input.instruction);
  return fill(schema, { root: schema, source, place: createPlace("", schema["description"]), depth: 0, budget: { values: VALUES_MAX } });
}

interface Filling {
  root: JsonSchema;
  source: Source;
  place: Place;
  depth: number;
  /** What may still be filled: lists of lists and choices of choices multiply. */
  budget: { values: number };
}

function fill(given: Json, filling: Filling): Json {
  if (--filling.budget.values < 0) return null;
  const schema = flatten(given, filling.root);
  if (schema["const"] !== undefined) return schema["const"];
  if (Array.isArray(schema["enum"])) return chooseLabel(schema["enum"], schema, filling);
  const choices = [schema["oneOf"], schema["anyOf"]].find(Array.isArray);
  if (choices) return fillChoice(choices, schema, filling);
  switch (typeOf(schema)) {
    case "object":
      return fillObject(schema, filling);
    case "array":
      return fillArray(schema, filling);
    case "number":
    case "integer":
      return chooseNumber({ ...schema, type: typeOf(schema) }, filling.source, filling.place);
    case "boolean":
      // In a list of unique ones the second is the other one.
      return chooseBoolean(filling.source, filling.place) !== (filling.place.ordinal % 2 === 1);
    case "null":
      return null;
    default:
      return fillString(schema, filling);
  }
}

function fillString(schema: JsonSchema, { source, place, budget }: Filling): string {
  const text = chooseString(schema, source, place);
  budget.values -= Math.floor(text.length / 100);
  return text;
}

function chooseLabel(labels: Json[], schema: JsonSchema, { source, place }: Filling): Json {
  const types = [schema["type"] ?? []].flat();
  const allowed = types.length === 0 ? labels : labels.filter((label) => types.some((type) => fitsSchema({ type }, label)));
  const ranked = rankLabels(allowed.length > 0 ? allowed : labels, source, place);
  return ranked[place.ordinal % Math.max(1, ranked.length)] ?? null;
}

/** The first choice whose filling fits; for `oneOf` it must fit no other. Null only when nothing else does. */
function fillChoice(choices: Json[], schema: JsonSchema, filling: Filling): Json {
  const { oneOf: _one, anyOf: _any, ...base } = schema;
  const substantial = choices.filter((choice) => !(isObject(choice) && choice["type"] === "null"));
  const candidates = [...substantial, ...choices.filter((choice) => !substantial.includes(choice))];
  const deeper = { ...filling, depth: filling.depth + 1 };
  if (filling.depth > DEPTH_MAX) return fill({ ...base, ...flatten(candidates.at(-1)!, filling.root) }, deeper);
  const whole = { ...schema, ...definitionsOf(filling.root) };
  let first: Json | undefined;
  for (const choice of candidates) {
    const value = fill({ allOf: [base, choice] }, deeper);
    if (fitsSchema(whole, value)) return value;
    first ??= value;
  }
  return first ?? null;
}

function fillObject(schema: JsonSchema, filling: Filling): JsonObject {
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  const required = Array.isArray(schema["required"]) ? schema["required"].map(String) : [];
  const optional = Object.keys(properties).filter((name) => !required.includes(name) && properties[name] !== false);
  const room = (numberOf(schema, "maxProperties") ?? Infinity) - required.length;
  const wanted = filling.depth > DEPTH_MAX ? [] : optional.slice(0, Math.max(0, room));
  const names = [...required, ...wanted];
  const extra = isObject(schema["additionalProperties"]) ? schema["additionalProperties"] : { type: "string" };
  for (let n = 1; names.length < (numberOf(schema, "minProperties") ?? 0); n++) if (!names.includes(`field${n}`)) names.push(`field${n}`);
  const entries = names.map((name): [string, Json] => {
    const member = Object.hasOwn(properties, name) ? properties[name]! : extra;
    const place = createPlace(name, isObject(member) ? member["description"] : undefined, filling.place.ordinal);
    return [name, fill(member, { ...filling, place, depth: filling.depth + 1 })];
  });
  return Object.fromEntries(entries);
}

function fillArray(schema: JsonSchema, filling: Filling): Json[] {
  const fixed = Array.isArray(schema["prefixItems"]) ? schema["prefixItems"] : [];
  const low = numberOf(schema, "minItems") ?? 0;
  const high = numberOf(schema, "maxItems") ?? Math.max(low, ITEMS_MAX);
  const items = schema["items"] ?? { type: "string" };
  const focus = itemSources(items, filling);
  const wanted = filling.depth > DEPTH_MAX ? low : Math.min(high, Math.max(low, fixed.length, focus.length));
  const values: Json[] = [];
  const seen = new Set<string>();
  // Unique items may need more tries than items: the ordinal makes each try another value.
  for (let ordinal = 0; values.length < wanted && ordinal < wanted * 4 + 16 && filling.budget.values > 0; ordinal++) {
    const member = fixed[values.length] ?? items;
    if (member === false) break;
    const source = focus[values.length] ?? filling.source;
    const place = { ...filling.place, ordinal: source === filling.source ? ordinal : Math.max(0, ordinal - values.length) };
    const value = fill(member, { ...filling, source, place, depth: filling.depth + 1 });
    const key = canonicalJson(value);
    if (schema["uniqueItems"] === true && seen.has(key)) continue;
    seen.add(key);
    values.push(value);
  }
  return values;
}

/** What each item is filled from: labels of the whole text, otherwise one sentence each. */
function itemSources(items: Json, filling: Filling): Source[] {
  const { source, place } = filling;
  const schema = flatten(items, filling.root);
  const labels = schema["enum"];
  if (Array.isArray(labels)) return supportedLabels(labels, source).map(() => source);
  const type = typeOf(schema);
  if (type !== "object" && type !== "string") return source.sentences.slice(0, 1).map(() => source);
  const chosen = best(source.sentences, ITEMS_MAX, (sentence) => relevance(sentence, place) + sentence.words.length / 1_000);
  return chosen.toSorted((a, b) => a.index - b.index).map((sentence) => createSource(sentence.text, source.instruction));
}

const VALUES_MAX = 5_000;
const DEPTH_MAX = 6;
const ITEMS_MAX = 5;

const definitionsOf = (root: JsonSchema): JsonSchema =>
  Object.fromEntries(["$defs", "definitions"].flatMap((keyword) => (root[keyword] === undefined ? [] : [[keyword, root[keyword]]])));

/** What the keywords speak of when there is no `type`; of several types the first that says something. */
function typeOf(schema: JsonSchema): string {
  const type = schema["type"];
  if (typeof type === "string") return type;
  if (Array.isArray(type)) return type.filter((name) => typeof name === "string").find((name) => name !== "null") ?? "null";
  if (schema["properties"] ?? schema["required"] ?? schema["additionalProperties"]) return "object";
  if (schema["items"] ?? schema["prefixItems"] ?? schema["minItems"]) return "array";
  return ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"].some((word) => word in schema) ? "number" : "string";
}
