import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";

// A rule that cannot fail is decoration: the fixture tree mirrors the rooms and holds one planted violation per rule and border.
const root = fileURLToPath(new URL("../", import.meta.url));
const fixture = path.join(root, "tests/fixtures/lint");
const bin = (name: string): string => path.join(root, "node_modules/.bin", name);

interface Diagnostic {
  code: string;
  filename: string;
  labels: { span: { line: number } }[];
}

test("every planted violation is reported at its line, and nothing else is", () => {
  expect(reported()).toEqual(planted());
});

test("every rule that the configuration adds is planted somewhere", () => {
  const rules = new Set(planted().map((line) => line.split(" ")[1]!.replace(/^.*\//, "")));
  expect(configuredRules().filter((rule) => !rules.has(rule))).toEqual([]);
});

test("an enum does not compile", () => {
  const file = path.join(fixture, "contracts/enum.ts");
  const options = ["--ignoreConfig", "--noEmit", "--erasableSyntaxOnly", "--target", "es2023", "--module", "nodenext", file];
  const tsc = spawnSync(bin("tsc"), options, { encoding: "utf8" });
  expect(tsc.stdout).toContain("TS1294");
  expect(tsc.status).not.toBe(0);
});

function reported(): string[] {
  const oxlint = spawnSync(bin("oxlint"), ["-c", "oxlint.json", "--type-aware", "-f", "json", "."], { cwd: fixture, encoding: "utf8" });
  const { diagnostics } = JSON.parse(oxlint.stdout) as { diagnostics: Diagnostic[] };
  return diagnostics.map(({ code, filename, labels }) => `${filename}:${labels[0]!.span.line} ${ruleOf(code)}`).toSorted();
}

function planted(): string[] {
  const files = execFileSync("find", [".", "-name", "*.ts"], { cwd: fixture, encoding: "utf8" }).trim().split("\n");
  return files
    .map((file) => path.normalize(file))
    .flatMap(plantedIn)
    .toSorted();
}

const plantedIn = (file: string): string[] =>
  readFileSync(path.join(fixture, file), "utf8")
    .split("\n")
    .flatMap((line, index) => (line.split("// planted: ")[1]?.split(", ") ?? []).map((rule) => `${file}:${index + 1} ${ruleOf(rule)}`));

/** `eslint(max-lines)` in a report and `typescript/no-explicit-any` in a configuration: the name alone is enough. */
const ruleOf = (code: string): string => code.replace(/^.*[/(]/, "").replace(/\)$/, "");

interface Configuration {
  rules: Record<string, unknown>;
  overrides: { rules: Record<string, unknown> }[];
}

function configuredRules(): string[] {
  // YAML reads JSON, and its comments are the only thing to take away first.
  const text = readFileSync(path.join(root, ".oxlintrc.json"), "utf8").replace(/^\s*\/\/.*$/gm, "");
  const { rules, overrides } = parse(text) as Configuration;
  return [rules, ...overrides.map((override) => override.rules)]
    .flatMap((group) => Object.entries(group))
    .filter(([, level]) => level !== "off")
    .map(([rule]) => ruleOf(rule));
}
