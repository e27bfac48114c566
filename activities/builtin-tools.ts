import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { Fault, messageOf } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { calculator } from "./calculator.ts";
import { createHttp } from "./http.ts";
import { createHttpTools } from "./http-tools.ts";
import { pinTool } from "./pinned.ts";
import { createSqlTool } from "./sql-tool.ts";
import { createTenantFiles, type FilesRoot } from "./files-root.ts";
import { textTools } from "./text-tools.ts";
import { defineTool, type Tool } from "./tool-registry.ts";

export interface BuiltinOptions {
  /** Files are confined to it, and within it to those of the tenant. */
  filesRoot: string;
  /** The tenant whose files lie in it; those of the others have folders of their own. */
  mainTenant: string;
  /** Hosts that the HTTP tools may reach although they are private. */
  httpAllow: string[];
  /** Databases that `sql.query` may read, by `tenant/name`. */
  sql: Record<string, string>;
}

/** The tools every installation has. */
export function createBuiltinTools({ filesRoot, mainTenant, httpAllow, sql }: BuiltinOptions): Tool[] {
  const files = createTenantFiles(filesRoot, mainTenant);
  return [
    readText(files),
    readJson(files),
    listFiles(files),
    writeText(files),
    exists(files),
    ...createHttpTools(createHttp({ allow: httpAllow })),
    createSqlTool(sql),
    ...textTools,
    timeNow,
    calculator,
    pinTool,
  ];
}

type FilesOf = (tenant: string) => FilesRoot;

const filePath = z.string().min(1).max(1_024).describe("Path from the files root");
const maxBytes = z.int().min(1).max(limits.toolAnswerBytesMax).optional();

const readText = (files: FilesOf): Tool =>
  defineTool({
    name: "files.readText",
    description: "Read a text file (UTF-8). With maxBytes a longer file is cut; without it, refused above the limit for results.",
    input: z.strictObject({ path: filePath, maxBytes }),
    output: z.strictObject({ text: z.string(), bytes: z.int(), truncated: z.boolean() }),
    effect: "read",
    short: true,
    run: (args, { tenant }) => readStart(files(tenant), args.path, args.maxBytes),
  });

const readJson = (files: FilesOf): Tool =>
  defineTool({
    name: "files.readJson",
    description: "Read a JSON file. Gives its value.",
    input: z.strictObject({ path: filePath }),
    effect: "read",
    short: true,
    async run(args, { tenant }) {
      const { text } = await readStart(files(tenant), args.path);
      try {
        return JSON.parse(text.replace(/^\uFEFF/, "")) as unknown;
      } catch (error) {
        throw new Fault("tool_input", `"${args.path}" is not JSON: ${messageOf(error)}`, {
          cause: error,
        });
      }
    },
  });

const listFiles = (files: FilesOf): Tool =>
  defineTool({
    name: "files.list",
    description:
      "List the files of a directory in alphabetical order. pattern: * and ? within a name, ** across directories. Links, and names that begin with a dot, are left out.",
    input: z.strictObject({
      path: z.string().max(1_024).default("."),
      pattern: z.string().max(256).optional(),
      recursive: z.boolean().default(false),
      max: z.int().min(1).max(LIST_MAX).default(1_000),
    }),
    output: z.strictObject({ files: z.array(z.strictObject({ path: z.string(), bytes: z.int() })), truncated: z.boolean() }),
    effect: "read",
    async run(args, { tenant, signal }) {
      const root = files(tenant);
      const start = await root.find(args.path);
      const matches = args.pattern === undefined ? () => true : globMatcher(args.pattern);
      const found: string[] = [];
      for await (const file of walk(start, args.recursive, signal)) {
        if (matches(path.relative(start, file).split(path.sep).join("/"))) found.push(file);
        if (found.length > args.max) break;
      }
      const listed = await Promise.all(
        found.slice(0, args.max).map(async (file) => ({ path: await root.nameOf(file), bytes: (await stat(file)).size })),
      );
      return { files: listed, truncated: found.length > args.max };
    },
  });

const writeText = (files: FilesOf): Tool =>
  defineTool({
    name: "files.writeText",
    description: "Write a text file (UTF-8), replacing it as a whole. Missing directories are made.",
    input: z.strictObject({ path: filePath, text: z.string() }),
    output: z.strictObject({ path: z.string(), bytes: z.int() }),
    effect: "write",
    idempotent: true,
    async run(args, { tenant }) {
      await files(tenant).write(args.path, args.text);
      return { path: args.path, bytes: Buffer.byteLength(args.text) };
    },
  });

const exists = (files: FilesOf): Tool =>
  defineTool({
    name: "files.exists",
    description: "Whether a file or directory is there.",
    input: z.strictObject({ path: filePath }),
    output: z.strictObject({ exists: z.boolean(), kind: z.enum(["file", "directory", "other"]).nullable() }),
    effect: "read",
    short: true,
    async run(args, { tenant }) {
      try {
        const found = await stat(await files(tenant).find(args.path));
        return { exists: true, kind: found.isFile() ? "file" : found.isDirectory() ? "directory" : "other" };
      } catch (error) {
        if (error instanceof Fault && error.problem["missing"] === true) return { exists: false, kind: null };
        throw error;
      }
    },
  });

const timeNow = defineTool({
  name: "time.now",
  description: "The time of the worker's clock, in UTC.",
  input: z.strictObject({}),
  output: z.strictObject({ iso: z.string(), ms: z.int() }),
  effect: "read",
  short: true,
  run() {
    const now = new Date();
    return { iso: now.toISOString(), ms: now.getTime() };
  },
});

const LIST_MAX = 10_000;
const WALK_DEPTH_MAX = 32;
const ENTRIES_MAX = 200_000;

async function readStart(files: FilesRoot, name: string, bytesMax?: number): Promise<{ text: string; bytes: number; truncated: boolean }> {
  const file = await files.open(name);
  try {
    const { size } = await file.stat();
    if (bytesMax === undefined && size > limits.toolAnswerBytesMax)
      throw new Fault(
        "limit",
        `"${name}" has ${size} bytes; at most ${limits.toolAnswerBytesMax} are read. Give maxBytes to read its start.`,
      );
    const buffer = Buffer.alloc(Math.min(size, bytesMax ?? limits.toolAnswerBytesMax));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    const truncated = bytesRead < size;
    // While streaming, the decoder keeps back a character that was cut in the middle.
    return { text: new TextDecoder().decode(buffer.subarray(0, bytesRead), { stream: truncated }), bytes: bytesRead, truncated };
  } finally {
    await file.close();
  }
}

/** Plain files in alphabetical order. Links are not followed: they could leave the root or run in circles. */
async function* walk(directory: string, recursive: boolean, signal: AbortSignal, depth = 0): AsyncGenerator<string> {
  signal.throwIfAborted();
  const entries = await readdir(directory, { withFileTypes: true });
  if (entries.length > ENTRIES_MAX) throw new Fault("limit", `A directory holds more than ${ENTRIES_MAX} entries.`);
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".")) continue;
    const full = path.join(directory, entry.name);
    if (entry.isFile()) yield full;
    else if (entry.isDirectory() && recursive && depth < WALK_DEPTH_MAX) yield* walk(full, recursive, signal, depth + 1);
  }
}

/** Two-pointer matching per segment: no regular expression, so no pattern can take exponential time. */
function globMatcher(pattern: string): (name: string) => boolean {
  const parts = pattern.split("/");
  return (name) =>
    matchList(parts, name.split("/"), "**", (part, segment) => matchList([...part], [...segment], "*", (a, b) => a === "?" || a === b));
}

function matchList(pattern: string[], items: string[], star: string, fits: (part: string, item: string) => boolean): boolean {
  let [p, i, lastStar, resumeAt] = [0, 0, -1, 0];
  while (i < items.length) {
    if (pattern[p] === star) [lastStar, resumeAt] = [p++, i];
    else if (p < pattern.length && fits(pattern[p]!, items[i]!)) [p, i] = [p + 1, i + 1];
    else if (lastStar !== -1) [p, i] = [lastStar + 1, ++resumeAt];
    else return false;
  }
  return pattern.slice(p).every((part) => part === star);
}
