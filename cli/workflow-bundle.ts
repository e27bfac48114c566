import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { run, tsxArguments } from "./programs.ts";

/**
 * The workflows as one script, made again only when a source it may hold has changed: each start of a worker saves 1–2 s.
 * Built while the servers start.
 */
export async function workflowBundle(stateDir: string): Promise<string> {
  const folder = path.join(stateDir, "bundles");
  const file = path.join(folder, `${hashOfSources()}.js`);
  if (existsSync(file)) return file;
  rmSync(folder, { recursive: true, force: true });
  // In a process of its own: workers/ is no room of ours to import, and the bundler is 200 MB of memory that nobody else needs.
  const code = `import { writeBundle } from ${JSON.stringify(bundler)}; await writeBundle(${JSON.stringify(file)});`;
  await run(process.execPath, [...tsxArguments(), "--input-type=module", "--eval", code]);
  return file;
}

const root = path.dirname(import.meta.dirname);
const bundler = pathToFileURL(path.join(root, "workers/bundle.ts")).href;

function hashOfSources(): string {
  const hash = createHash("sha256").update(readFileSync(path.join(root, "package-lock.json")));
  for (const room of ["contracts", "language", "workflows", "workers"]) {
    const names = readdirSync(path.join(root, room), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
    for (const name of names.toSorted()) hash.update(name).update(readFileSync(path.join(root, room, name)));
  }
  return hash.digest("hex").slice(0, 16);
}
