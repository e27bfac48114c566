import path from "node:path";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { createFilesRoot } from "../../activities/files-root.ts";
import { defineTool } from "../../activities/tool-registry.ts";
import { readSettings } from "../../settings.ts";
import { parseLockfile } from "./lockfile.ts";
import { createProjectFiles } from "./project-files.ts";
import { missingSections, reportText, tableOf } from "./report.ts";
import * as shapes from "./shapes.ts";
import { relevantLines, signalsOf } from "./signals.ts";
import { licenceChoices } from "./spdx.ts";

// Loaded by the worker: TENUTO_TOOLS=examples/dependency-review/tools.ts. Reading stays inside TENUTO_FILES_ROOT.
const settings = readSettings();
const root = createFilesRoot(settings.TENUTO_FILES_ROOT);
const files = createProjectFiles(root);

const readProject = defineTool({
  ...shapes.readProject,
  description: "Name and direct dependencies of a Node project, from its package.json.",
  effect: "read",
  async run({ project }) {
    const manifest = await files.readJson(project, "package.json");
    const kinds = [
      ["runtime", "dependencies"],
      ["development", "devDependencies"],
      ["optional", "optionalDependencies"],
    ] as const;
    const dependencies = kinds.flatMap(([kind, field]) =>
      Object.entries((manifest[field] ?? {}) as Record<string, string>).map(([name, range]) => ({ name, range, kind })),
    );
    const { name = path.basename(project), version = null } = manifest as { name?: string; version?: string | null };
    return { name, version, dependencies };
  },
});

const readLockfile = defineTool({
  ...shapes.readLockfile,
  description: "What package-lock.json says of the direct dependencies: version, source, integrity, what comes with them.",
  effect: "read",
  run: async ({ project, dependencies }) => parseLockfile(await files.readJson(project, "package-lock.json"), dependencies),
});

const readManifest = defineTool({
  ...shapes.readManifest,
  description: "The installed package's own package.json: licence, repository.",
  effect: "read",
  async run({ project, package: name, lockedLicence }) {
    const manifest = await files.findJson(project, `node_modules/${name}/package.json`);
    const licence = licenceOf(manifest) ?? lockedLicence;
    return {
      isInstalled: manifest !== undefined,
      licence,
      choices: licence === null ? [] : licenceChoices(licence),
      hasRepository: manifest?.["repository"] !== undefined,
    };
  },
});

/** A text today; an object or a list of them in packages from long ago. */
function licenceOf(manifest: Record<string, unknown> | undefined): string | null {
  const [declared] = [manifest?.["license"] ?? manifest?.["licenses"]].flat();
  const name = typeof declared === "object" && declared !== null ? (declared as { type?: unknown }).type : declared;
  return typeof name === "string" && name !== "" ? name.slice(0, 100) : null;
}

const readLicence = defineTool({
  ...shapes.readLicence,
  description: "The beginning of the licence file of an installed package.",
  effect: "read",
  async run({ project, package: name }) {
    const file = await files.findFile(project, `node_modules/${name}`, /^(licen[cs]e|copying|unlicen[cs]e)([.-]|$)/i);
    return { file, text: file === null ? "" : (await files.readStart(project, `node_modules/${name}/${file}`, 1_200)).trim() };
  },
});

const readChangelog = defineTool({
  ...shapes.readChangelog,
  description: "What the changelog of an installed package says of its version about security, breaking changes and deprecations.",
  effect: "read",
  async run({ project, package: name, version }) {
    const file = await files.findFile(project, `node_modules/${name}`, /^(changelog|changes|history|releases?)(\.(md|markdown|txt))?$/i);
    const text = file === null ? "" : await files.readStart(project, `node_modules/${name}/${file}`, 60_000);
    return { file, lines: relevantLines(text, version) };
  },
});

const findSignals = defineTool({
  ...shapes.findSignals,
  description: "What stands out in a dependency: rules over its lock entry, its manifest and its licence.",
  effect: "read",
  run: signalsOf,
});

const checkReport = defineTool({
  ...shapes.checkReport,
  description: "Which sections of the report's checklist are missing or too thin.",
  effect: "read",
  run(args) {
    const missing = missingSections(args);
    return { isComplete: missing.length === 0, missing };
  },
});

const drawTable = defineTool({
  ...shapes.drawTable,
  description: "A Markdown table of packages, the riskiest first.",
  effect: "read",
  run: ({ packages }) => tableOf(packages),
});

const writeReport = defineTool({
  ...shapes.writeReport,
  description: "Write the report as Markdown. The same run writes the same file, however often it tries.",
  effect: "write",
  idempotent: true,
  async run({ path: wanted, ...report }, { runId }) {
    const text = reportText(report, runId);
    if (wanted !== null) await root.write(wanted, text);
    const file = wanted === null ? await writeToState(`${runId}.md`, text) : await root.find(wanted);
    return { path: file, bytes: Buffer.byteLength(text) };
  },
});

async function writeToState(name: string, text: string): Promise<string> {
  const file = path.join(settings.stateDir, "dependency-review", name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(`${file}.tmp`, text);
  await rename(`${file}.tmp`, file);
  return file;
}

export const tools = [
  readProject,
  readLockfile,
  readManifest,
  readLicence,
  readChangelog,
  findSignals,
  checkReport,
  drawTable,
  writeReport,
];
