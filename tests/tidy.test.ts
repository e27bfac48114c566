import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { ENGINE_VERSION } from "../contracts/engine.ts";
import { eventTypes } from "../contracts/events.ts";
import { faults } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { readDefinition } from "../language/index.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const notOurs = new Set(["node_modules", ".git", ".tenuto", "prisma/generated", "tests/fixtures", "tests/histories", "package-lock.json"]);

const entriesBelow = (folder: string): string[] =>
  readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(folder, entry.name);
    if (notOurs.has(name)) return [];
    return entry.isDirectory() ? [`${name}/`, ...entriesBelow(name)] : [name];
  });

const entries = entriesBelow("");
const files = entries.filter((name) => !name.endsWith("/"));
const filesNamed = (...endings: string[]): string[] => files.filter((name) => endings.some((ending) => name.endsWith(ending)));
const read = (name: string): string => readFileSync(path.join(root, name), "utf8");
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1]!);

test("no folder or file is a drawer", () => {
  const drawers = /^(utils?|common|shared|helpers?|lib|libs|managers?|services?|misc)$|^types\.ts$/;
  // The expression language has types; this file is about them.
  const isAllowed = (name: string): boolean => name === "language/expression/types.ts";
  const isDrawer = (name: string): boolean => drawers.test(path.basename(name)) || drawers.test(path.basename(name).split(".")[0]!);
  expect(entries.filter((name) => isDrawer(name) && !isAllowed(name))).toEqual([]);
});

test("no file of code is longer than 400 lines", () => {
  expect(filesNamed(".ts", ".mjs").filter((name) => read(name).split("\n").length > 401)).toEqual([]);
});

test("modules of the workflow bundle keep nothing: all runs of a worker share them", () => {
  const bundled = files.filter((name) => /^(workflows|contracts|language\/expression)\/.*(?<!\.test)\.ts$/.test(name));
  const keeps = /^(export )?((let|var) |const \w+(: [^=]+)? = (new (Map|Set|WeakMap|WeakSet)(<.*>)?\(\)|\[\]|\{\});)/m;
  // What a pattern or an expression compiles to follows from its text alone, whichever run asked first, and plans are compared by theirs;
  // each run has a line of its own; what has passed is compared within one activation.
  const isAllowed = (name: string): boolean =>
    /^(language\/expression\/(pattern|cel)|workflows\/(turns|quiet|shared-plans))\.ts$/.test(name);
  expect(bundled.filter((name) => keeps.test(read(name)) && !isAllowed(name))).toEqual([]);
  expect(keeps.test(read("language/expression/pattern.ts"))).toBe(true);
});

test("package.json has at most 12 scripts and exact versions only", () => {
  const { scripts, dependencies, devDependencies } = JSON.parse(read("package.json")) as Record<string, Record<string, string>>;
  expect(Object.keys(scripts!).length).toBeLessThanOrEqual(12);
  const inexact = Object.entries({ ...dependencies, ...devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
  );
  expect(inexact).toEqual([]);
});

test(".env.example shows the variables that settings.ts reads", () => {
  const settings = all(read("settings.ts"), /^ {2}([A-Z][A-Z0-9_]*):/gm);
  const example = all(read(".env.example"), /^#? ?([A-Z][A-Z0-9_]*)=/gm);
  expect(settings.length).toBeGreaterThan(0);
  expect(example.toSorted()).toEqual(settings.toSorted());
});

test.each(Object.entries({ faults, limits, eventTypes }))("docs/reference.md names all %s", (_, list) => {
  const words = new Set(all(read("docs/reference.md"), /`([\w.]+)`/g));
  expect(Object.keys(list).filter((name) => !words.has(name))).toEqual([]);
});

const examples = filesNamed(".yaml", ".yml").filter((name) => name.startsWith("examples/"));
const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

test("the examples are read without a problem", () => {
  const problems = examples.map((name) => [name, readDefinition(read(name), "yaml", { hashOf })] as const).filter(([, { ok }]) => !ok);
  expect(problems).toEqual([]);
  expect(examples).not.toEqual([]);
});

test("links between documents lead somewhere", () => {
  const isDead = (from: string, link: string): boolean => !existsSync(path.join(root, path.dirname(from), decodeURI(link)));
  const links = filesNamed(".md").flatMap((name) =>
    all(withoutCode(read(name)), /\]\(([^)\s#]+)[^)]*\)/g).map((link) => [name, link] as const),
  );
  expect(links.filter(([name, link]) => !/^[a-z]+:/.test(link) && isDead(name, link))).toEqual([]);
});

test("documents speak of the product, not of how or where it was made", () => {
  const words = [
    /\b(issue|PR|pull request|ticket)s? #?\d+/i,
    /\(#\d+\)|\b[\w.-]+\/[\w.-]+#\d+/,
    /\b(this|that|another|earlier|previous|next) session\b/i,
    /(?<![\w.])\/(work|root|tmp\/bg)\b/,
    /\bnotes\/\w+\.md/,
    /\b(registry|artifactory|nexus|mirror|proxy)\.([a-z0-9-]+\.)+[a-z]{2,}/i,
  ];
  const found = filesNamed(".md").flatMap((name) =>
    words.flatMap((word) => (word.exec(read(name)) ?? []).slice(0, 1).map((text) => `${name}: ${text}`)),
  );
  expect(found).toEqual([]);
});

test("every workflow type has a recorded history", () => {
  const types = all(read("workflows/index.ts"), /^export (?:async )?function (\w+)/gm);
  const histories = readdirSync(path.join(root, "tests/histories", `engine-${ENGINE_VERSION}`));
  expect(types).not.toEqual([]);
  expect(types.filter((type) => !histories.some((name) => name.split(/[.-]/)[0] === type))).toEqual([]);
});

const withoutCode = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
