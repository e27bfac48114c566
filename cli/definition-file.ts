import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { DefinitionFormat } from "../contracts/definition.ts";

export interface DefinitionFile {
  text: string;
  format: DefinitionFormat;
  /** A .ts file was run here, and its JSON is the text: lines of that are nothing the author has seen. */
  isCompiled: boolean;
}

export async function readDefinitionFile(file: string): Promise<DefinitionFile> {
  const extension = path.extname(file);
  if (!existsSync(file)) throw new Error(`${file} is not there. Paths are read from ${process.cwd()}.`);
  if (extension === ".yaml" || extension === ".yml") return { text: await readFile(file, "utf8"), format: "yaml", isCompiled: false };
  if (extension === ".json") return { text: await readFile(file, "utf8"), format: "json", isCompiled: false };
  if (extension === ".ts" || extension === ".mts") return { text: await runDefinition(file), format: "json", isCompiled: true };
  throw new Error(`${file}: a definition is a .ts, .yaml or .json file.`);
}

interface Problem {
  path?: string;
  pointer?: string;
  line?: number;
  column?: number;
  message: string;
}

/** As compilers print: `file:line:col message (place)`; for a .ts file the place in the definition alone. */
export function problemLine(file: string, { isCompiled }: DefinitionFile, problem: Problem): string {
  const { line, column, message } = problem;
  const position = line === undefined || isCompiled ? "" : `:${line}:${column ?? 1}`;
  const place = problem.path ?? problem.pointer;
  return `${file}${position} ${message}${place ? ` (${place})` : ""}`;
}

async function runDefinition(file: string): Promise<string> {
  const module = (await import(pathToFileURL(path.resolve(file)).href)) as { default?: unknown };
  if (typeof module.default !== "object" || module.default === null) throw new Error(`${file}: its default export must be a workflow.`);
  return JSON.stringify(module.default);
}
