import { constants } from "node:fs";
import { lstat, mkdir, open, realpath, rename, unlink, type FileHandle } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import path from "node:path";
import { Fault } from "../contracts/faults.ts";

/**
 * The one directory tools may touch. Every path is checked after its symbolic links are followed. What begins with a dot is not there
 * for them: settings, keys, and the files of other tenants.
 */
export interface FilesRoot {
  /** The real path of something that exists. */
  find(relative: string): Promise<string>;
  open(relative: string): Promise<FileHandle>;
  /** All or nothing: readers see the old text or the new one. Makes missing directories. */
  write(relative: string, text: string): Promise<void>;
  /** The path as tools name it, with slashes. */
  nameOf(realPath: string): Promise<string>;
}

export function createFilesRoot(directory: string): FilesRoot {
  return rootAt(() => rootOf(directory));
}

/** Each tenant has its own: one has the directory itself, the others have folders in it that no path leads to. */
export function createTenantFiles(directory: string, main: string): (tenant: string) => FilesRoot {
  return (tenant) =>
    rootAt(async () => {
      const root = await rootOf(directory);
      if (tenant === main) return root;
      const own = path.join(root, TENANTS, tenant);
      await mkdir(own, { recursive: true });
      return realpath(own);
    });
}

const TENANTS = ".tenants";

const rootOf = (directory: string): Promise<string> =>
  realpath(directory).catch(() => refuse(`TENUTO_FILES_ROOT ${directory} does not exist.`));

function rootAt(rootPath: () => Promise<string>): FilesRoot {
  const find = async (relative: string): Promise<string> => {
    const root = await rootPath();
    const real = await realpath(lexical(root, relative)).catch((error: unknown) => missing(relative, error));
    return inside(root, real, relative);
  };
  return {
    find,
    // The path is real already: a link put there in between is not followed.
    open: async (relative) => openFile(await find(relative), relative),
    write: async (relative, text) => writeAtomic(await placeFor(await rootPath(), relative), text),
    nameOf: async (real) =>
      path
        .relative(await rootPath(), real)
        .split(path.sep)
        .join("/") || ".",
  };
}

function lexical(root: string, relative: string): string {
  if (relative.includes("\0")) refuse("A path may hold no NUL character.");
  if (relative.split(/[/\\]/).includes("..")) refuse(`"${relative}" climbs with ".."; name files from the root.`);
  return inside(root, path.resolve(root, relative), relative);
}

function inside(root: string, target: string, relative: string): string {
  const way = path.relative(root, target);
  if (way === ".." || way.startsWith(`..${path.sep}`) || path.isAbsolute(way)) refuse(`"${relative}" lies outside TENUTO_FILES_ROOT.`);
  if (way.split(path.sep).some((name) => name.startsWith("."))) refuse(`"${relative}" leads to a name that begins with a dot.`);
  return target;
}

async function openFile(real: string, relative: string): Promise<FileHandle> {
  // Without O_NONBLOCK the opening of a pipe waits for its writer.
  const file = await open(real, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)).catch((error: unknown) =>
    missing(relative, error),
  );
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Fault("tool_input", `"${relative}" is not a file.`);
}

/** Where a file may be written: its nearest existing directory must really lie inside. */
async function placeFor(root: string, relative: string): Promise<string> {
  const target = lexical(root, relative);
  if (target === root) refuse("The root itself is not a file.");
  const parent = path.dirname(target);
  inside(root, await realOfNearest(parent), relative);
  await mkdir(parent, { recursive: true });
  const realParent = inside(root, await realpath(parent), relative);
  const place = path.join(realParent, path.basename(target));
  const existing = await lstat(place).catch(() => undefined);
  if (existing && !existing.isFile()) refuse(`"${relative}" is not a plain file.`);
  return place;
}

async function realOfNearest(directory: string): Promise<string> {
  try {
    return await realpath(directory);
  } catch (error) {
    // A dangling link would let mkdir create its target.
    const isLink = await lstat(directory).then(
      (found) => found.isSymbolicLink(),
      () => false,
    );
    if (isLink || codeOf(error) !== "ENOENT") throw new Fault("policy", `${path.basename(directory)} leads nowhere.`, { cause: error });
    return realOfNearest(path.dirname(directory));
  }
}

async function writeAtomic(place: string, text: string): Promise<void> {
  const temporary = `${place}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, place);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

function refuse(detail: string): never {
  throw new Fault("policy", detail);
}

function missing(relative: string, error: unknown): never {
  const code = codeOf(error);
  if (code === "ENOENT" || code === "ENOTDIR") throw new Fault("tool_input", `No file "${relative}".`, { extra: { missing: true } });
  if (code === "ELOOP") refuse(`"${relative}" is a link that cannot be followed.`);
  throw error;
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;
