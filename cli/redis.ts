import { mkdir } from "node:fs/promises";
import path from "node:path";
import { startChild, untilReady } from "./child.ts";
import { requireFree, untilOpen } from "./ports.ts";
import { findProgram, isProgram, outputOf } from "./programs.ts";
import type { Place, Server } from "./place.ts";

/** The server that REDIS_URL names, or one of ours; undefined when there is none to be had. */
export async function startRedis(place: Place): Promise<Server | undefined> {
  const { settings, ports } = place;
  if (settings.REDIS_URL !== undefined) return { url: settings.REDIS_URL, how: "REDIS_URL" };
  const program = await findRedis(place);
  if (program === undefined) {
    place.log("No Redis 7 here: streams follow Postgres by polling. Install redis-server or set REDIS_URL.");
    return undefined;
  }
  await requireFree("redis", ports);
  const folder = path.join(place.stateDir, "redis");
  await mkdir(folder, { recursive: true });
  const child = startChild({
    name: "Redis",
    command: program,
    // Nothing in Redis need survive: no snapshots.
    args: ["--bind", "127.0.0.1", "--port", String(ports.redis), "--dir", folder, "--save", "", "--appendonly", "no"],
    env: place.env,
    logFile: path.join(place.stateDir, "logs", "redis.log"),
    endWith: "SIGTERM",
  });
  await place.keep(child);
  await untilReady(child, (signal) => untilOpen(ports.redis, signal));
  return { url: `redis://127.0.0.1:${ports.redis}`, how: program, child };
}

async function findRedis(place: Place): Promise<string | undefined> {
  const onPath = findProgram("redis-server", place.laptop.searchPath);
  if (onPath) return (await redisMajor(onPath)) >= 7 ? onPath : undefined;
  if (process.getuid?.() !== 0 || !isProgram("/usr/bin/apt-get")) return undefined;
  place.log("Installing redis-server by apt-get: 60 s at most …");
  const install = "apt-get install -y --no-install-recommends redis-server";
  await outputOf("sh", ["-c", `export DEBIAN_FRONTEND=noninteractive; ${install} || (apt-get update && ${install})`], 60_000);
  const installed = "/usr/bin/redis-server";
  return isProgram(installed) && (await redisMajor(installed)) >= 7 ? installed : undefined;
}

export async function redisMajor(program: string): Promise<number> {
  const version = await outputOf(program, ["--version"]);
  return Number(/v=(\d+)\./.exec(version ?? "")?.[1] ?? 0);
}
