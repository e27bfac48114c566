import { readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { ask, Refused, type Server } from "./api-client.ts";

interface Published {
  name: string;
  version: string;
  hash: string;
}

/** `tenuto publish <file>`: a .ts file is run here and sent as the JSON it makes; YAML and JSON are sent as they are, so that places in them are exact. */
export async function publish(server: Server, file: string, idempotencyKey?: string): Promise<number> {
  const definition = await read(file);
  try {
    const answer = await ask<Published>(server, "/api/v2/workflows", { method: "POST", ...definition, idempotencyKey });
    console.log(`${answer.name} ${answer.version}  ${answer.hash}`);
    return 0;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    for (const line of problemLines(file, error)) console.error(line);
    return 1;
  }
}

/** As compilers print: `file:line:col message`; without a line where a .ts file was run, with the place in the definition instead. */
function problemLines(file: string, { problem }: Refused): string[] {
  if (!problem.errors?.length) return [`${file}: ${problem.detail} [${problem.code}]`];
  return problem.errors.map(({ line, column, path: place, pointer, message }) => {
    const position = line === undefined ? "" : `:${line}:${column ?? 1}`;
    const where = place ?? pointer;
    return `${file}${position} ${message}${where ? ` (${where})` : ""}`;
  });
}

async function read(file: string): Promise<{ body: string; mediaType: string }> {
  const extension = path.extname(file);
  if (extension === ".yaml" || extension === ".yml") return { body: await readFile(file, "utf8"), mediaType: "application/yaml" };
  if (extension === ".json") return { body: await readFile(file, "utf8"), mediaType: "application/json" };
  if (extension === ".ts" || extension === ".mts") return { body: await runDefinition(file), mediaType: "application/json" };
  throw new Error(`${file}: a definition is a .ts, .yaml or .json file.`);
}

async function runDefinition(file: string): Promise<string> {
  const module = (await import(pathToFileURL(path.resolve(file)).href)) as { default?: unknown };
  if (typeof module.default !== "object" || module.default === null) throw new Error(`${file}: its default export must be a workflow.`);
  return JSON.stringify(module.default);
}
