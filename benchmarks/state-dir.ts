import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { Stack } from "../cli/stack.ts";

/** A fresh one; readable by all, since Postgres runs as a user of its own when we are root. */
export async function makeStateDir(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "tenuto-bench-"));
  await chmod(folder, 0o755);
  return folder;
}

export async function removeStateDir(stateDir: string, stack?: Pick<Stack, "parts">): Promise<void> {
  await rm(stateDir, { recursive: true, force: true });
  // A clone that user postgres may not enter has its data there (cli/postgres-home.ts).
  const data = /^embedded, data in (\/var\/tmp\/tenuto\/[0-9a-f]{12})\/data$/.exec(
    stack?.parts.find(({ name }) => name === "postgres")?.how ?? "",
  );
  if (data) await rm(data[1]!, { recursive: true, force: true });
}
