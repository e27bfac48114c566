import { mkdtemp, mkdir, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { expect, test } from "@jest/globals";
import { createFilesRoot } from "../../activities/files-root.ts";
import { parseLockfile } from "./lockfile.ts";
import { createProjectFiles } from "./project-files.ts";
import { missingSections, tableOf } from "./report.ts";
import { relevantLines } from "./signals.ts";
import { licenceChoices } from "./spdx.ts";

test.each([
  ["MIT", [["MIT"]]],
  ["(MIT OR GPL-2.0+)", [["MIT"], ["GPL-2.0-or-later"]]],
  [
    "MIT AND (ISC OR Zlib)",
    [
      ["MIT", "ISC"],
      ["MIT", "Zlib"],
    ],
  ],
  ["GPL-2.0 WITH Classpath-exception-2.0 or MIT", [["GPL-2.0"], ["MIT"]]],
  ["SEE LICENSE IN terms.txt", [["SEE LICENSE IN terms.txt"]]],
])("the licence %s leaves these choices", (expression, choices) => {
  expect(licenceChoices(expression)).toEqual(choices);
});

const packages = {
  "": {},
  "node_modules/a": { version: "1.0.0", resolved: "https://r.example/a.tgz", integrity: "sha512-a", dependencies: { b: "1", c: "1" } },
  "node_modules/a/node_modules/b": { version: "1.5.0", resolved: "https://r.example/b.tgz", hasInstallScript: true },
  "node_modules/b": { version: "2.0.0", resolved: "git+ssh://git@h.example/b.git" },
  "node_modules/c": { version: "1.0.0", dependencies: { a: "1" } },
};
const runtime = (name: string) => ({ name, range: "*", kind: "runtime" as const });

test("the nearest copy of a package is the one that counts, and circles end", () => {
  const { packages: all, dependencies } = parseLockfile({ packages }, [runtime("a"), runtime("b"), runtime("gone")]);
  expect(all).toBe(4);
  expect(dependencies).toMatchObject([
    { name: "a", version: "1.0.0", source: "registry", hasIntegrity: true, transitive: 2, scriptsBelow: ["b"] },
    { name: "b", version: "2.0.0", source: "git", transitive: 0 },
    { name: "gone", version: null, source: "missing" },
  ]);
});

test("a lockfile from before npm 7 is refused with what to do", () => {
  expect(() => parseLockfile({ lockfileVersion: 1, dependencies: {} }, [])).toThrow(/npm 7 or newer/);
});

test("only the project is read, also through links", async () => {
  const outside = await mkdtemp(path.join(os.tmpdir(), "review-"));
  const project = path.join(outside, "project");
  await mkdir(path.join(project, "node_modules"), { recursive: true });
  await writeFile(path.join(outside, "package.json"), "{}");
  await symlink(outside, path.join(project, "node_modules", "evil"));
  const files = createProjectFiles(createFilesRoot(project));
  await expect(files.readJson(".", "../package.json")).rejects.toMatchObject({ code: "policy" });
  await expect(files.findJson(".", "node_modules/evil/package.json")).rejects.toMatchObject({ code: "policy" });
  await expect(files.findJson(".", "node_modules/none/package.json")).resolves.toBeUndefined();
});

test("of a changelog only the version's own lines count", () => {
  const changelog = "# Log\n\n## 2.0.0\n- breaking: all new\n\n## 1.1.0\n- security fix\n- faster\n\n## 1.0.0\n- deprecated x\n";
  expect(relevantLines(changelog, "1.1.0")).toEqual(["security fix"]);
  expect(relevantLines(changelog, "9.9.9")).toEqual(["breaking: all new"]);
  expect(relevantLines("", null)).toEqual([]);
});

test("a report is complete when every section says something and names what was flagged", () => {
  const long = "Something that is worth saying.";
  const sections = { Summary: long, Security: long, Licences: long, "Next steps": long, "All packages": long, "Flagged packages": long };
  expect(missingSections({ sections, flagged: [] })).toEqual([]);
  expect(missingSections({ sections, flagged: ["left-pad"] })).toMatchObject([{ section: "Flagged packages" }]);
  expect(missingSections({ sections: {}, flagged: [] })).toHaveLength(6);
});

test("a table survives what models and packages write", () => {
  const row = { name: "a", version: null, kind: "runtime", licence: "MIT", family: "permissive" as const, transitive: 0, concerns: "" };
  expect(tableOf([{ ...row, risk: "low", summary: "one | two\nthree" }])).toContain("| one \\| two three |");
});
