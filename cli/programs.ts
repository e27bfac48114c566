import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

/** The first program of that name in the folders, as a full path. */
export function findProgram(name: string, folders: string[]): string | undefined {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  return folders.map((folder) => path.join(folder, file)).find(isProgram);
}

export const isProgram = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** What a program prints, or undefined when it fails or takes longer than `limitMs`. */
export async function outputOf(command: string, args: string[], limitMs = 5_000): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { timeout: limitMs, killSignal: "SIGKILL" });
    return stdout.trim();
  } catch {
    return undefined;
  }
}

/** Run a program to its end; its own words are in the error. */
export async function run(
  command: string,
  args: string[],
  options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, options);
    return stdout;
  } catch (cause) {
    const { stderr = "" } = cause as { stderr?: string };
    throw new Error(`${path.basename(command)} failed: ${stderr.trim() || String(cause)}`, { cause });
  }
}

/** Arguments with which Node runs a TypeScript file of ours, from whatever folder. */
export const nodeArguments = (script: string, ...args: string[]): string[] => [...tsxArguments(), script, ...args];

export const tsxArguments = (): string[] => ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href];
