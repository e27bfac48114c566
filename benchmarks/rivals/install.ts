import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { inheritedEnv, readLaptop } from "../../cli/laptop.ts";
import { findProgram, run } from "../../cli/programs.ts";
import type { Log } from "../test-bed.ts";

// What we are compared with is no dependency of ours: exact versions, in the cache folder, when they are first needed.

/** A folder with these packages in its node_modules. */
export const installPackages = (name: string, packages: Record<string, string>, log: Log): Promise<string> =>
  installed(name, packages, async (folder) => {
    const npm = requireProgram("npm", "Node's package manager");
    const wanted = Object.entries(packages).map(([each, version]) => `${each}@${version}`);
    log(`rivals: npm install ${wanted.join(" ")} into ${folder}, once …`);
    await writeFile(path.join(folder, "package.json"), JSON.stringify({ private: true }));
    const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"];
    await run(npm, ["install", "--prefix", folder, ...options, ...wanted], { env: inheritedEnv() });
  });

/** A folder with these Go programs, built from their modules at that version. */
export const installGoPrograms = (name: string, programs: { modules: string[]; version: string }, log: Log): Promise<string> =>
  installed(name, { go: programs.version }, async (folder) => {
    const go = requireProgram("go", "Go 1.26 or newer (https://go.dev/dl)");
    const wanted = programs.modules.map((module) => `${module}@v${programs.version}`);
    log(`rivals: go install ${wanted.join(" ")} into ${folder}: 6 minutes or more, once …`);
    await run(go, ["install", "-trimpath", "-ldflags=-s -w", ...wanted], { env: { ...inheritedEnv(), GOBIN: folder } });
  });

/** Filled under another name: what is there is whole. */
async function installed(name: string, versions: Record<string, string>, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = path.join(readLaptop().cacheDir, "rivals", `${name}-${Object.values(versions).join("-")}`);
  if (existsSync(folder)) return folder;
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    await fill(draft);
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return folder;
}

function requireProgram(name: string, what: string): string {
  const program = findProgram(name, readLaptop().searchPath);
  if (program === undefined) throw new Error(`${name} is not on PATH; the comparison needs ${what}.`);
  return program;
}
