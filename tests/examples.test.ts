import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { readDefinition, readDefinitionValue } from "../language/index.ts";

const examples = fileURLToPath(new URL("../examples/", import.meta.url));
const names = readdirSync(examples, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => name.slice(0, -".yaml".length))
  .toSorted();

const options = { hashOf: (text: string): string => createHash("sha256").update(text).digest("hex") };
const read = (name: string, format: "yaml" | "json") =>
  readDefinition(readFileSync(path.join(examples, `${name}.${format}`), "utf8"), format, options);

async function built(name: string) {
  const module = (await import(pathToFileURL(path.join(examples, `${name}.ts`)).href)) as { default: unknown };
  return readDefinitionValue(JSON.parse(JSON.stringify(module.default)), options);
}

test("there are examples", () => {
  expect(names).toContain("dependency-review/definition");
  expect(names.length).toBeGreaterThanOrEqual(5);
});

describe.each(names)("%s", (name) => {
  test("is written in TypeScript, YAML and JSON", () => {
    expect(["ts", "yaml", "json"].filter((format) => !existsSync(path.join(examples, `${name}.${format}`)))).toEqual([]);
  });

  test("compiles to the same Plan from all three", async () => {
    const fromYaml = read(name, "yaml");
    expect(fromYaml).toMatchObject({ ok: true });
    expect(read(name, "json")).toEqual(fromYaml);
    expect(await built(name)).toEqual(fromYaml);
  });
});
