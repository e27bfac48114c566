import { setMaxListeners } from "node:events";
import { createServer, STATUS_CODES, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Redis } from "ioredis";
import { pino, type Logger } from "pino";
import { makeProblem } from "../contracts/faults.ts";
import { limits } from "../contracts/limits.ts";
import { openDatabase, type Database } from "../prisma/client.ts";
import { readSettings, type Settings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { createApp } from "./app.ts";
import { close } from "./closing.ts";
import type { Deps } from "./deps.ts";
import { syncSchedules } from "./triggers.ts";
import { makeWakeups } from "./wakeups.ts";

const SWEEP_MS = 3_600_000;

const settings = readSettings();
const log = pino({ level: settings.TENUTO_LOG_LEVEL, base: { process: "api" } });

try {
  await serve(settings, log);
} catch (error) {
  log.fatal({ err: error }, "the API could not start");
  process.exitCode = 1;
  if (process.connected) process.disconnect?.();
}

async function serve(settings: Settings, log: Logger): Promise<void> {
  if (settings.TENUTO_API_KEY === undefined)
    throw new Error("TENUTO_API_KEY is not set: the API needs the first key, from which others are made.");
  if (settings.DATABASE_URL === undefined) throw new Error("DATABASE_URL is not set.");
  const closing = new AbortController();
  // Each request that is at work listens.
  setMaxListeners(0, closing.signal);
  const database = openDatabase(settings.DATABASE_URL);
  const subscriber = settings.REDIS_URL === undefined ? undefined : openRedis(settings.REDIS_URL, log);
  const temporal = await connectTemporal(settings);
  const deps: Deps = { settings, database, temporal, wakeups: makeWakeups(subscriber), log, closing: closing.signal };
  const server = await listen(deps);
  const sweep = setInterval(() => void forgetOldAnswers(database, log), SWEEP_MS);
  const schedules = setInterval(sweepSchedules(deps), limits.triggerSweepMs);
  onEnd(async () => {
    clearInterval(sweep);
    clearInterval(schedules);
    // Waits are cut and streams ended.
    closing.abort();
    await close(server);
    subscriber?.disconnect();
    await Promise.allSettled([temporal.connection.close(), database.$disconnect()]);
    log.info("ended");
  });
}

async function listen(deps: Deps): Promise<Server> {
  // Both limits end a request that trickles in: 30 s for a body of 2 MB.
  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 2_000, keepAliveTimeout: 65_000 },
    createApp(deps),
  );
  server.on("clientError", refuse);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(deps.settings.PORT, deps.settings.HOST, resolve);
  });
  const { port } = server.address() as AddressInfo;
  deps.log.info({ host: deps.settings.HOST, port }, "ready");
  process.send?.({ ready: true, port });
  return server;
}

/** Once, whichever comes first. A parent that died says so by `disconnect`. */
function onEnd(end: () => Promise<void>): void {
  let hasBegun = false;
  const begin = (): void => {
    if (hasBegun) return;
    hasBegun = true;
    void end().finally(() => process.exit(0));
  };
  process.once("SIGTERM", begin).once("SIGINT", begin).once("disconnect", begin);
}

function openRedis(url: string, log: Logger): Redis {
  const redis = new Redis(url, {
    connectionName: "tenuto-api",
    maxRetriesPerRequest: 1,
    retryStrategy: (times) => Math.min(100 * times, 2_000),
  });
  let isDown = false;
  redis.on("ready", () => (isDown = false));
  redis.on("error", (error) => {
    if (!isDown) log.warn({ err: error }, "Redis does not answer; readers poll until it does");
    isDown = true;
  });
  return redis;
}

/** One sweep at a time, however long Temporal takes for each schedule. */
function sweepSchedules(deps: Deps): () => void {
  let isAtWork = false;
  return () => {
    if (isAtWork) return;
    isAtWork = true;
    void syncSchedules(deps)
      .catch((error: unknown) => deps.log.warn({ err: error }, "schedules wait"))
      .finally(() => (isAtWork = false));
  };
}

async function forgetOldAnswers(database: Database, log: Logger): Promise<void> {
  const before = new Date(Date.now() - limits.idempotencyKeepMs);
  await database.idempotencyKey
    .deleteMany({ where: { createdAt: { lt: before } } })
    .catch((error: unknown) => log.warn({ err: error }, "old answers stay"));
}

const clientErrors: Record<string, number> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };

// What never became a request is answered here, in the same shape as everything else.
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const status = clientErrors[error.code ?? ""] ?? 400;
  const title = STATUS_CODES[status]!;
  const body = JSON.stringify({ ...makeProblem("bad_request", `${title}.`), status, title });
  const head = [
    `HTTP/1.1 ${status} ${title}`,
    "Content-Type: application/problem+json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${[...head, "Connection: close"].join("\r\n")}\r\n\r\n${body}`);
}
