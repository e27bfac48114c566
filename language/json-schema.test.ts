import { readdirSync, readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";
import { isObject, type Json } from "../contracts/json.ts";
import { languageJsonSchema } from "./index.ts";

const published = (): Json => JSON.parse(readFileSync(new URL("../docs/workflow.schema.json", import.meta.url), "utf8")) as Json;

test("docs/workflow.schema.json is the language as it is (npm run generate)", () => {
  expect(published()).toEqual(languageJsonSchema());
});

const folder = new URL("../tests/definitions/good/", import.meta.url);

test("an editor accepts every good example", () => {
  const validate = new Ajv2020({ strict: false }).compile(languageJsonSchema());
  const refused = readdirSync(folder).filter((file) => !validate(parse(readFileSync(new URL(file, folder), "utf8"))));
  expect(refused).toEqual([]);
});

test("an editor refuses unknown fields and has help for every known one", () => {
  const validate = new Ajv2020({ strict: false }).compile(languageJsonSchema());
  expect(validate({ name: "a", version: "1.0.0", steps: [{ id: "a", type: "set", values: 1, valeus: 2 }] })).toBe(false);
  expect(undescribed(languageJsonSchema(), "")).toEqual([]);
});

/** Properties without a description, by their way through the schema. */
function undescribed(schema: Json, way: string): string[] {
  if (Array.isArray(schema)) return schema.flatMap((part, index) => undescribed(part, `${way}/${index}`));
  if (!isObject(schema)) return [];
  const properties = isObject(schema["properties"]) ? Object.entries(schema["properties"]) : [];
  const bare = properties.filter(([, field]) => isObject(field) && field["description"] === undefined).map(([name]) => `${way}/${name}`);
  return [...bare, ...Object.entries(schema).flatMap(([key, part]) => undescribed(part, `${way}/${key}`))];
}
