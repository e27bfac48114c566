import { readFile } from "node:fs/promises";
import path from "node:path";

/** What the demo reviews. */
export interface Project {
  folder: string;
  name: string;
  /** The dependency in question. */
  package: string;
}

/** What can be said before anything is started. */
export async function readProject(given: string, wanted?: string): Promise<Project> {
  const folder = path.resolve(given);
  const manifest = await readManifest(folder);
  if (!manifest) throw new Error(`${path.join(folder, "package.json")} cannot be read. --project wants the folder of a Node project.`);
  const { name = path.basename(folder), dependencies = {}, devDependencies = {} } = manifest;
  const names = wanted === undefined ? Object.keys({ ...dependencies, ...devDependencies }) : [wanted];
  if (names.length === 0) throw new Error(`${folder} depends on nothing: name another project by --project.`);
  const found = await Promise.all(names.map(async (each) => ({ name: each, manifest: await readManifest(inModules(folder, each)) })));
  const installed = found.filter((each) => each.manifest !== undefined);
  // One that runs a script when it is installed is worth a look.
  const chosen = installed.find((each) => runsScript(each.manifest!)) ?? installed[0];
  if (chosen) return { folder, name, package: chosen.name };
  const missing = wanted === undefined ? "None of its dependencies is" : `The package ${wanted} is not`;
  throw new Error(`${missing} installed in ${folder}: run "npm install" there, or name one that is by --package.`);
}

interface Manifest {
  name?: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  scripts?: Record<string, string>;
}

const inModules = (folder: string, name: string): string => path.join(folder, "node_modules", name);

async function readManifest(folder: string): Promise<Manifest | undefined> {
  try {
    return JSON.parse(await readFile(path.join(folder, "package.json"), "utf8")) as Manifest;
  } catch {
    return undefined;
  }
}

const runsScript = ({ scripts = {} }: Manifest): boolean => ["preinstall", "install", "postinstall"].some((name) => name in scripts);
