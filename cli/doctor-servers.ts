import { PrismaPg } from "@prisma/adapter-pg";
import { Redis } from "ioredis";
import type { Settings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import type { Finding } from "./doctor.ts";
import type { Laptop } from "./laptop.ts";
import { nativeFolder } from "./postgres-home.ts";
import { findProgram, isProgram, outputOf } from "./programs.ts";
import { redisMajor } from "./redis.ts";
import { knownTemporal, temporalVersion } from "./temporal-binary.ts";

export async function lookAtTemporal(settings: Settings, laptop: Laptop): Promise<Finding> {
  const part = "Temporal";
  if (settings.TEMPORAL_ADDRESS !== undefined) {
    return answering(part, `TEMPORAL_ADDRESS ${settings.TEMPORAL_ADDRESS}`, () => temporalServerVersion(settings));
  }
  const known = await knownTemporal(laptop);
  if (known)
    return { part, state: "good", found: `${known.file} (${known.how}), ${(await outputOf(known.file, ["--version"])) ?? "no version"}` };
  const go = findProgram("go", laptop.searchPath);
  const mend = `Install it (https://docs.temporal.io/cli), or set TEMPORAL_ADDRESS. "npm start" tries a download first${go ? `, then builds ${temporalVersion} by Go (3 minutes)` : ""}.`;
  return { part, state: go ? "note" : "missing", found: "no Temporal CLI on PATH or in the cache", mend };
}

export async function lookAtPostgres(settings: Settings): Promise<Finding> {
  const part = "Postgres";
  const url = settings.DATABASE_URL;
  if (url !== undefined) return answering(part, `DATABASE_URL ${new URL(url).host}`, () => postgresVersion(url));
  try {
    const program = `${nativeFolder()}/bin/postgres`;
    const version = await outputOf(program, ["--version"]);
    if (version) return { part, state: "good", found: `embedded, ${version}` };
    return {
      part,
      state: "missing",
      found: `${program} does not run`,
      mend: "Remove node_modules and run npm run doctor again, or set DATABASE_URL.",
    };
  } catch (error) {
    return { part, state: "missing", found: String(error), mend: "Set DATABASE_URL." };
  }
}

/** By meaning it takes a model that embeds, and pgvector. */
export async function lookAtMemorySearch({ TENUTO_MODELS: aliases, DATABASE_URL: url }: Settings): Promise<Finding> {
  const part = "Memory search";
  const alias = aliases.find((entry) => entry.startsWith("embedding="));
  if (alias === undefined) return { part, state: "good", found: "by words; docs/memory.md says how to search by meaning, too" };
  const lacking = (why: string, mend: string): Finding => ({ part, state: "note", found: `by words alone: ${why}`, mend });
  if (url === undefined) return lacking("the embedded Postgres has no pgvector", "Set DATABASE_URL to a server that has it.");
  try {
    const [{ openDatabase }, { whyNoVectors }] = await Promise.all([import("../prisma/client.ts"), import("../prisma/vectors.ts")]);
    const database = openDatabase(url, 1);
    const lack = await whyNoVectors(database);
    await database.$disconnect();
    return lack ? lacking(lack.why, lack.mend) : { part, state: "good", found: `by words and by meaning (${alias})` };
  } catch {
    return lacking("Postgres does not answer", "Mend that first.");
  }
}

export async function lookAtRedis(settings: Settings, laptop: Laptop): Promise<Finding> {
  const part = "Redis";
  const url = settings.REDIS_URL;
  if (url !== undefined) return answering(part, `REDIS_URL ${new URL(url).host}`, () => redisVersion(url));
  const program = findProgram("redis-server", laptop.searchPath);
  if (program && (await redisMajor(program)) >= 7)
    return { part, state: "good", found: `${program}, ${(await outputOf(program, ["--version"])) ?? ""}` };
  const canInstall = process.getuid?.() === 0 && isProgram("/usr/bin/apt-get");
  const mend = canInstall
    ? '"npm start" installs it by apt-get; npm test needs it.'
    : "Install Redis 7 or newer, or set REDIS_URL; npm test needs it.";
  return { part, state: "note", found: program ? `${program} is older than 7` : "no redis-server on PATH: streams poll Postgres", mend };
}

async function answering(part: string, where: string, version: () => Promise<string>): Promise<Finding> {
  try {
    return { part, state: "good", found: `${where}, ${await version()}` };
  } catch (error) {
    return {
      part,
      state: "missing",
      found: `${where} does not answer`,
      mend: error instanceof Error ? error.message.split("\n")[0]! : String(error),
    };
  }
}

async function temporalServerVersion(settings: Settings): Promise<string> {
  const client = await connectTemporal(settings);
  const { serverVersion } = await client.workflowService.getSystemInfo({});
  await client.connection.close();
  return `server ${serverVersion}, namespace ${settings.TEMPORAL_NAMESPACE}`;
}

async function postgresVersion(connectionString: string): Promise<string> {
  const adapter = await new PrismaPg({ connectionString, max: 1, connectionTimeoutMillis: 5_000 }).connect();
  try {
    const { rows } = await adapter.underlyingDriver().query<{ server_version: string }>("SHOW server_version");
    const version = rows[0]!.server_version;
    if (Number.parseInt(version, 10) < 15) throw new Error(`It is version ${version}; Tenuto needs 15 or newer.`);
    return `version ${version}`;
  } finally {
    await adapter.dispose();
  }
}

async function redisVersion(url: string): Promise<string> {
  const redis = new Redis(url, { lazyConnect: true, connectTimeout: 5_000, maxRetriesPerRequest: 0, retryStrategy: () => null });
  redis.on("error", () => undefined);
  try {
    await redis.connect();
    return `version ${/redis_version:(\S+)/.exec(await redis.info("server"))?.[1] ?? "unknown"}`;
  } finally {
    redis.disconnect();
  }
}
