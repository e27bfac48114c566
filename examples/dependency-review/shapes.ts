import { z } from "zod";

/**
 * The tools by name, with what they take and give: `definition.ts` gets its types from here, `tools.ts` adds the work.
 * Nothing of this enters the definition but the names.
 */

const project = z.string().min(1).max(1_024).describe("Project folder, from the files root");
const packageName = z.string().regex(/^(@[a-z0-9~._-]+\/)?[a-z0-9~_-][a-z0-9~._-]*$/i);
const family = z.enum(["permissive", "weak copyleft", "strong copyleft", "unknown"]);
const risk = z.enum(["low", "medium", "high"]);

export type Family = z.infer<typeof family>;
export const FamilyAnswer = z.object({ family });
export const Verdict = z.object({ risk, summary: z.string().max(240).describe("why, in at most two sentences") });
export const Review = z.object({
  summary: z.string().max(600).describe("what matters most, in at most four sentences"),
  attention: z
    .array(z.object({ package: z.string(), reason: z.string().max(200) }))
    .max(8)
    .describe("packages of high risk, packages with an install script"),
});

export const Input = z.object({
  project: z.string().describe("project folder, from the files root of the worker"),
  report: z.string().optional().describe("where to write the report, from the files root; absent: the state folder"),
  model: z.string().optional().describe("alias or provider/model; absent: default"),
});
export type Input = z.input<typeof Input>;

export interface Vars {
  permissive: string[];
  weakCopyleft: string[];
  strongCopyleft: string[];
  /** The report as far as it is written. */
  sections: Record<string, never>;
}

const Declared = z.object({ name: z.string(), range: z.string(), kind: z.enum(["runtime", "development", "optional"]) });

export const readProject = {
  name: "npm.readProject",
  input: z.strictObject({ project }),
  output: z.strictObject({ name: z.string(), version: z.string().nullable(), dependencies: z.array(Declared) }),
};

const Locked = Declared.extend({
  version: z.string().nullable(),
  source: z.enum(["registry", "git", "file", "missing"]),
  hasIntegrity: z.boolean(),
  /** Packages that come with it, directly or further down. */
  transitive: z.int(),
  hasInstallScript: z.boolean(),
  scriptsBelow: z.array(z.string()).describe("packages further down that run a script when they are installed"),
  deprecated: z.string().nullable(),
  licence: z.string().nullable().describe("as npm noted it when it wrote the lockfile"),
});
export type LockedDependency = z.infer<typeof Locked>;

export const readLockfile = {
  name: "npm.readLockfile",
  input: z.strictObject({ project, dependencies: z.array(Declared) }),
  output: z.strictObject({ packages: z.int(), dependencies: z.array(Locked) }),
};

const Manifest = z.strictObject({
  isInstalled: z.boolean(),
  licence: z.string().nullable().describe("as the package declares it"),
  choices: z.array(z.array(z.string())).describe("one of these sets of licences, all of the set: from the SPDX expression"),
  hasRepository: z.boolean(),
});
export type PackageManifest = z.infer<typeof Manifest>;

export const readManifest = {
  name: "npm.readManifest",
  input: z.strictObject({ project, package: packageName, lockedLicence: z.string().nullable().describe("for what is not installed") }),
  output: Manifest,
};

const LicenceText = z.strictObject({ file: z.string().nullable(), text: z.string() });
export type LicenceFile = z.infer<typeof LicenceText>;

export const readLicence = {
  name: "npm.readLicence",
  input: z.strictObject({ project, package: packageName }),
  output: LicenceText,
};

const ChangelogLines = z.strictObject({
  file: z.string().nullable(),
  lines: z.array(z.string()).describe("security, breaking changes, deprecations"),
});
export type Changelog = z.infer<typeof ChangelogLines>;

export const readChangelog = {
  name: "npm.readChangelog",
  input: z.strictObject({ project, package: packageName, version: z.string().nullable() }),
  output: ChangelogLines,
};

const Signal = z.strictObject({ severity: z.enum(["high", "medium", "minor"]), text: z.string() });
export type Signal = z.infer<typeof Signal>;

export const findSignals = {
  name: "review.findSignals",
  input: z.strictObject({ dependency: Locked, manifest: Manifest, family, hasLicenceFile: z.boolean() }),
  output: z.array(Signal),
};

const ReviewedPackage = z.object({
  name: z.string(),
  version: z.string().nullable(),
  kind: z.string(),
  licence: z.string(),
  family,
  transitive: z.int(),
  concerns: z.string(),
  risk,
  summary: z.string(),
});
export type Reviewed = z.infer<typeof ReviewedPackage>;

const sections = z.record(z.string(), z.string());

export const checkReport = {
  name: "review.checkReport",
  input: z.strictObject({ sections, flagged: z.array(z.string()) }),
  output: z.strictObject({
    isComplete: z.boolean(),
    missing: z.array(z.strictObject({ section: z.string(), by: z.enum(["model", "table"]), task: z.string() })),
  }),
};

export const drawTable = {
  name: "review.drawTable",
  input: z.strictObject({ packages: z.array(ReviewedPackage) }),
  output: z.string(),
};

export const writeReport = {
  name: "review.writeReport",
  input: z.strictObject({
    title: z.string(),
    sections,
    decision: z.string(),
    path: z.string().min(1).max(1_024).nullable().describe("from the files root; null: into the state folder"),
  }),
  output: z.strictObject({ path: z.string(), bytes: z.int() }),
};
