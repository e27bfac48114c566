import { mkdir, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram, isProgram, nodeArguments, outputOf } from "./programs.ts";
import type { Laptop } from "./laptop.ts";

/** The CLI whose dev server we test with; later tags cannot be installed by `go install`. */
export const temporalVersion = "1.5.1";

export interface Found {
  file: string;
  /** For people: where it came from. */
  how: string;
}

/** The Temporal CLI: on PATH, from our cache, or fetched into it. Each slow way says one line. */
export async function findTemporal(laptop: Laptop, log: (line: string) => void): Promise<Found> {
  const known = await knownTemporal(laptop);
  if (known) return known;
  log("Fetching the Temporal CLI: 20 s at most …");
  const file = cachedFile(laptop);
  if (await fetchInto(file, (folder) => downloadBySdk(folder))) return { file, how: "downloaded" };
  const go = findProgram("go", laptop.searchPath);
  if (go) {
    log(`The download did not work. Building the Temporal CLI ${temporalVersion} with Go: about 3 minutes, once …`);
    if (await fetchInto(file, (folder) => buildByGo(go, folder))) return { file, how: "built with Go" };
  }
  throw new Error(
    `The Temporal CLI is not here and could not be fetched. Install it (https://docs.temporal.io/cli) so that "temporal" is on PATH, ` +
      `install Go so that it can be built, or set TEMPORAL_ADDRESS to a running server.`,
  );
}

/** Without fetching anything. */
export async function knownTemporal(laptop: Laptop): Promise<Found | undefined> {
  const onPath = findProgram("temporal", laptop.searchPath);
  if (onPath) return { file: onPath, how: "on PATH" };
  const file = cachedFile(laptop);
  return isProgram(file) ? { file, how: "from the cache" } : undefined;
}

const cachedFile = (laptop: Laptop): string => path.join(laptop.cacheDir, "bin", `temporal-${temporalVersion}`);

/** Fill a folder of our own, then move the program to its place: nobody ever sees half of it. */
async function fetchInto(file: string, fill: (folder: string) => Promise<unknown>): Promise<boolean> {
  const folder = `${file}.${process.pid}`;
  await mkdir(folder, { recursive: true });
  try {
    await fill(folder);
    const program = (await readdir(folder)).map((name) => path.join(folder, name)).find(isProgram);
    if (program === undefined || (await outputOf(program, ["--version"])) === undefined) return false;
    await rename(program, file);
    return true;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const downloadBySdk = (folder: string): Promise<string | undefined> => {
  const script = fileURLToPath(new URL("./temporal-download.ts", import.meta.url));
  return outputOf(process.execPath, nodeArguments(script, folder, `v${temporalVersion}`), 20_000);
};

const buildByGo = (go: string, folder: string): Promise<string | undefined> =>
  // CGO off: the same program on machines without a C compiler.
  outputOf(
    "env",
    [`GOBIN=${folder}`, "GOFLAGS=-mod=mod", go, "install", `github.com/temporalio/cli/cmd/temporal@v${temporalVersion}`],
    15 * 60_000,
  );
