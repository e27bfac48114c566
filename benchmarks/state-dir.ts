import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

/** A fresh one; readable by all, since Postgres runs as a user of its own when we are root. */
export async function makeStateDir(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "tenuto-bench-"));
  await chmod(folder, 0o755);
  return folder;
}

/** `said`: what the stack told about where its data is. A clone that user postgres may not enter has it elsewhere (cli/postgres-home.ts). */
export async function removeStateDir(stateDir: string, said: string): Promise<void> {
  await rm(stateDir, { recursive: true, force: true });
  const outside = /data in (\/var\/tmp\/tenuto\/[0-9a-f]{12})\b/.exec(said)?.[1];
  if (outside !== undefined) await rm(outside, { recursive: true, force: true });
}
