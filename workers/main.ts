import { DefaultLogger, Runtime, type LogLevel } from "@temporalio/worker";
import { Redis } from "ioredis";
import { Budgets } from "../activities/budgets.ts";
import { Embeddings } from "../activities/embeddings.ts";
import { createActivities } from "../activities/index.ts";
import { readOperatorServers } from "../activities/mcp-file.ts";
import { ModelCalls } from "../activities/model-calls.ts";
import { ModelHealth } from "../activities/model-health.ts";
import { createModels, describeModels } from "../activities/models.ts";
import { Prices } from "../activities/prices.ts";
import { QuotaLines } from "../activities/quota-lines.ts";
import { Quotas } from "../activities/quotas.ts";
import { Endings } from "../activities/endings.ts";
import { createRecord, type Announce } from "../activities/record.ts";
import { createRedact, type Redact } from "../activities/redact.ts";
import { UnderWay } from "../activities/under-way.ts";
import { openDatabase, type Database } from "../prisma/client.ts";
import { readSettings, type Settings } from "../settings.ts";
import { temporalLink } from "../temporal-config/ui.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { connectWorker } from "../temporal-config/worker-connection.ts";
import { createWorker } from "./create-worker.ts";
import { ensureReconcileSchedule } from "./reconcile-schedule.ts";
import { openToolbox, secretsOfServers } from "./toolbox.ts";

/** A worker process: settings → connections → Worker. Ends on SIGTERM, SIGINT or when its parent is gone. */
async function main(): Promise<void> {
  const settings = readSettings();
  const { TENUTO_MCP_SERVERS: file } = settings;
  const operator = file === undefined ? {} : await readOperatorServers(file);
  const redact = createRedact([...settings.secrets, ...secretsOfServers(operator)]);
  redactOutput(redact);
  const logger = new DefaultLogger(logLevel(settings));
  Runtime.install({ logger, shutdownSignals: [] });
  const database = openDatabase(settings.DATABASE_URL ?? missing("DATABASE_URL"), 20);
  const [client, connection] = await Promise.all([connectTemporal(settings), connectWorker(settings)]);
  const redis = openRedis(settings.REDIS_URL);
  const announce = announcing(redis);
  const record = createRecord(database, announce);
  const endings = new Endings({ client, record });
  const asking = openModels(settings, { database, redis, redact });
  const toolbox = await openToolbox(database, settings, { logger, operator, embeddings: asking.embeddings });
  const activities = createActivities({
    database,
    client,
    record,
    notices: {
      url: settings.TENUTO_NOTICE_URL,
      secret: settings.TENUTO_NOTICE_SECRET,
      pageOf: (workflowId) => temporalLink(settings, workflowId),
    },
    announce,
    ...asking,
    ...toolbox,
    redact,
    underWay: new UnderWay(redis),
    env: settings.expressionEnv,
    httpAllow: settings.TENUTO_HTTP_ALLOW,
    webhookSecrets: settings.webhookSecrets,
  });
  const worker = await createWorker({
    connection,
    namespace: settings.TEMPORAL_NAMESPACE,
    activities,
    redact,
    sinks: { runs: { ending: { fn: (_, run) => endings.follow(run) } } },
    bundleFile: settings.TENUTO_WORKFLOW_BUNDLE,
    version: settings.workerVersion,
  });
  await ensureReconcileSchedule(client);
  for (const signal of ["SIGTERM", "SIGINT", "disconnect"] as const)
    process.once(signal, () => worker.getState() === "RUNNING" && worker.shutdown());
  const running = worker.run();
  process.send?.({ ready: true, models: describeModels(settings) });
  await running;
  await endings.settled();
  redis?.disconnect();
  await toolbox.close();
  await Promise.all([database.$disconnect(), client.connection.close(), connection.close()]);
  if (process.connected) process.disconnect?.();
}

/** What it takes to call models, and to pay for it. */
function openModels(settings: Settings, { database, redis, redact }: { database: Database; redis: Redis | undefined; redact: Redact }) {
  const prices = new Prices(database, settings.TENUTO_MODEL_PRICES);
  const models = createModels(settings, { health: new ModelHealth(redis), prices });
  const quotas = new Quotas(database, new QuotaLines(redis), settings.TENUTO_MODEL_QUOTAS);
  const budgets = new Budgets(database);
  const modelCalls = new ModelCalls(database, { prices, budgets });
  return { models, quotas, budgets, modelCalls, embeddings: new Embeddings({ database, models, quotas, modelCalls, redact }) };
}

/** The log, and whatever tools print. */
function redactOutput(redact: Redact): void {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (chunk: string | Uint8Array, ...more: unknown[]) => boolean;
    const redacted: typeof write = (chunk, ...more) => write(typeof chunk === "string" ? redact.text(chunk) : chunk, ...more);
    stream.write = redacted as typeof stream.write;
  }
}

/** Nothing here waits for Redis: what it cannot take at once is lost, or kept by this process alone. */
function openRedis(url: string | undefined): Redis | undefined {
  if (url === undefined) return undefined;
  const redis = new Redis(url, {
    connectionName: "tenuto-worker",
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    // A Redis that is there and does not answer must not hold up a call.
    commandTimeout: 1_000,
    retryStrategy: (times) => Math.min(times * 100, 2_000),
  });
  redis.on("error", () => undefined);
  return redis;
}

/** Redis only carries "the log has grown"; without it readers look every half second. */
const announcing =
  (redis: Redis | undefined): Announce =>
  (channel, message) =>
    void redis?.publish(channel, message).catch(() => undefined);

const logLevel = ({ TENUTO_LOG_LEVEL: level }: Settings): LogLevel => (level === "silent" ? "ERROR" : (level.toUpperCase() as LogLevel));

function missing(name: string): never {
  throw new Error(`${name} is not set. \`npm start\` starts everything; a worker by itself needs DATABASE_URL and TEMPORAL_ADDRESS.`);
}

await main();
