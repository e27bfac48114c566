import { readdir } from "node:fs/promises";
import { Fault } from "../../contracts/faults.ts";
import type { FilesRoot } from "../../activities/files-root.ts";

/** Reading files of a project that lies inside the files root. Links that lead out of the root are refused, not followed. */
export interface ProjectFiles {
  /** Fault `tool_input` when it is missing or no JSON object. */
  readJson(project: string, name: string): Promise<Record<string, unknown>>;
  /** Undefined when it is missing. */
  findJson(project: string, name: string): Promise<Record<string, unknown> | undefined>;
  /** Name of the first file of a folder that fits; null also when there is no such folder. */
  findFile(project: string, folder: string, pattern: RegExp): Promise<string | null>;
  readStart(project: string, name: string, bytesMax: number): Promise<string>;
}

export function createProjectFiles(root: FilesRoot): ProjectFiles {
  const at = (project: string, name: string): string => `${project}/${name}`;
  const readStart = (project: string, name: string, bytesMax: number) => readText(root, at(project, name), bytesMax);
  const readJson = async (project: string, name: string) => parseObject(await readStart(project, name, JSON_BYTES_MAX), name);
  return {
    readStart,
    readJson,
    findJson: (project, name) => orMissing(readJson(project, name), undefined),
    async findFile(project, folder, pattern) {
      const directory = await orMissing(root.find(at(project, folder)), undefined);
      const entries = directory === undefined ? [] : await readdir(directory, { withFileTypes: true });
      const found = entries.filter((entry) => entry.isFile() && pattern.test(entry.name)).map(({ name }) => name);
      return found.toSorted()[0] ?? null;
    },
  };
}

const JSON_BYTES_MAX = 20 * 1024 * 1024;

async function readText(root: FilesRoot, name: string, bytesMax: number): Promise<string> {
  const file = await root.open(name);
  try {
    const buffer = Buffer.alloc(Math.min(bytesMax, (await file.stat()).size));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return new TextDecoder().decode(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

function parseObject(text: string, name: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text.replace(/^\uFEFF/, "")) as unknown;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below, with the file's name.
  }
  throw new Fault("tool_input", `${name} is not a JSON object, or longer than ${JSON_BYTES_MAX} bytes.`);
}

async function orMissing<Found, Otherwise>(looking: Promise<Found>, otherwise: Otherwise): Promise<Found | Otherwise> {
  try {
    return await looking;
  } catch (error) {
    if (error instanceof Fault && error.problem["missing"] === true) return otherwise;
    throw error;
  }
}
