import os from "node:os";
import path from "node:path";
import { readLaptop } from "../cli/laptop.ts";
import { outputOf } from "../cli/programs.ts";
import { knownTemporal } from "../cli/temporal-binary.ts";

const root = path.dirname(import.meta.dirname);

/** What the figures were measured on, in one line. */
export function describeMachine(temporalVersion?: string): string {
  const cpus = os.cpus();
  const memoryGiB = Math.round(os.totalmem() / 2 ** 30);
  const parts = [
    `${cpus[0]?.model.trim() ?? os.arch()} × ${cpus.length}`,
    `${memoryGiB} GiB`,
    `${os.type()} ${os.release()}`,
    `Node ${process.versions.node}`,
    ...(temporalVersion === undefined ? [] : [`Temporal server ${temporalVersion}`]),
  ];
  return parts.join(", ");
}

/** Average number of tasks that wanted a CPU in the last minute: how busy the machine was, this benchmark included. */
export const loadOfMachine = (): number => os.loadavg()[0]!;

/** The commit's short name, with "+dirty" when the tree differs from it. */
export async function describeCommit(): Promise<string> {
  const commit = await outputOf("git", ["-C", root, "rev-parse", "--short", "HEAD"]);
  if (commit === undefined) return "unknown";
  const changes = await outputOf("git", ["-C", root, "status", "--porcelain"]);
  return changes === "" ? commit : `${commit}+dirty`;
}

/** Of the server that a laptop's stack starts. */
export async function laptopTemporalVersion(): Promise<string | undefined> {
  const cli = await knownTemporal(readLaptop());
  const said = cli && (await outputOf(cli.file, ["--version"]));
  return /Server ([\d.]+)/.exec(said ?? "")?.[1];
}
