import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "@jest/globals";
import { canonicalJson, isObject, type Json, type JsonObject } from "../contracts/json.ts";
import { parse } from "yaml";
import { readDefinition, readDefinitionValue } from "./index.ts";
import { casesOf } from "../tests/cases.ts";

const hashOf = (text: string): string => String(text.length);
const folder = new URL("../tests/definitions/good/", import.meta.url);
const texts = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), "utf8"));
const values = texts.map((text) => parse(text) as Json);

const alphabet = [
  ...Array.from("{}[]:,-?&*!|>%@`'\"# \n\ta1."),
  "id",
  "type",
  "steps",
  "${",
  "}",
  "$ref",
  "set",
  "---\n",
  "\u0000",
  "\ud800",
];
const noise = fc.array(fc.oneof(fc.constantFrom(...alphabet), fc.string()), { maxLength: 60 }).map((parts) => parts.join(""));

const readable = (text: string): void => {
  for (const format of ["yaml", "json"] as const) {
    const result = readDefinition(text, format, { hashOf });
    expect(result.ok || result.problems.length > 0).toBe(true);
    if (!result.ok) for (const { line, column } of result.problems) expect(line! >= 1 && column! >= 1).toBe(true);
  }
};

test("no text makes reading throw", () => {
  fc.assert(fc.property(noise, readable), { numRuns: casesOf(400) });
});

test("no damage to the text of a good definition makes reading throw", () => {
  const damaged = fc.tuple(fc.constantFrom(...texts), fc.nat(), fc.nat(40), noise).map(([text, at, length, put]) => {
    const start = at % text.length;
    return text.slice(0, start) + put + text.slice(start + length);
  });
  fc.assert(fc.property(damaged, readable), { numRuns: casesOf(200) });
});

test("no damage to a node of a good definition makes reading throw, and what passes gives the same plan again", () => {
  const damaged = fc
    .tuple(
      fc.constantFrom(...values),
      fc.nat(),
      fc.constantFrom<Damage>("delete", "duplicate", "retype", "rename"),
      fc.jsonValue({ maxDepth: 2 }),
    )
    .map(damage);
  fc.assert(
    fc.property(damaged, (value) => {
      const result = readDefinitionValue(value, { hashOf });
      if (result.ok) expect(readDefinitionValue(JSON.parse(canonicalJson(result.definition as Json)), { hashOf }).ok).toBe(true);
      else expect(result.problems.length).toBeGreaterThan(0);
    }),
    { numRuns: casesOf(500) },
  );
});

type Damage = "delete" | "duplicate" | "retype" | "rename";

function damage([value, at, how, other]: [Json, number, Damage, unknown]): Json {
  const copy = structuredClone(value);
  const places = placesIn(copy);
  const { container, key } = places[at % places.length]!;
  if (Array.isArray(container)) damageList(container, Number(key), how, other as Json);
  else damageMember(container, key, how, other as Json);
  return copy;
}

function damageList(list: Json[], index: number, how: Damage, other: Json): void {
  if (how === "retype") list[index] = other;
  else if (how === "duplicate") list.splice(index, 0, structuredClone(list[index]!));
  else list.splice(index, 1);
}

function damageMember(object: JsonObject, key: string, how: Damage, other: Json): void {
  const old = object[key]!;
  if (how === "retype") object[key] = other;
  else delete object[key];
  if (how === "rename" || how === "duplicate") object[`${key}x`] = old;
  if (how === "duplicate") object[key] = structuredClone(old);
}

interface Place {
  container: Json[] | JsonObject;
  key: string;
}

function placesIn(value: Json): Place[] {
  if (!Array.isArray(value) && !isObject(value)) return [];
  return Object.entries(value).flatMap(([key, member]) => [{ container: value, key }, ...placesIn(member)]);
}
