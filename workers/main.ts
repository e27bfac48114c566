import { DefaultLogger, Runtime, type Logger, type LogLevel } from "@temporalio/worker";
import { Redis } from "ioredis";
import { createActivities } from "../activities/index.ts";
import { createBuiltinTools } from "../activities/builtin-tools.ts";
import { ModelHealth } from "../activities/model-health.ts";
import { createModels, describeModels } from "../activities/models.ts";
import { Prices } from "../activities/prices.ts";
import { createEgress } from "../activities/egress.ts";
import { IsolatedSchemas } from "../activities/isolated-schema.ts";
import { readOperatorServers } from "../activities/mcp-file.ts";
import { McpServers } from "../activities/mcp-servers.ts";
import { ToolCalls } from "../activities/tool-calls.ts";
import { createToolRegistry, loadTools, type Tool } from "../activities/tool-registry.ts";
import { Endings } from "../activities/endings.ts";
import { createRecord, type Announce } from "../activities/record.ts";
import { limits } from "../contracts/limits.ts";
import { openDatabase, type Database } from "../prisma/client.ts";
import { publishServers } from "../prisma/mcp.ts";
import { everyTenant, publishTools, touchTools } from "../prisma/tools.ts";
import { readSettings, type Settings } from "../settings.ts";
import { temporalLink } from "../temporal-config/ui.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { connectWorker } from "../temporal-config/worker-connection.ts";
import { createWorker } from "./create-worker.ts";
import { ensureReconcileSchedule } from "./reconcile-schedule.ts";

/** A worker process: settings → connections → Worker. Ends on SIGTERM, SIGINT or when its parent is gone. */
async function main(): Promise<void> {
  const settings = readSettings();
  const logger = new DefaultLogger(logLevel(settings));
  Runtime.install({ logger, shutdownSignals: [] });
  const database = openDatabase(settings.DATABASE_URL ?? missing("DATABASE_URL"), 20);
  const [client, connection] = await Promise.all([connectTemporal(settings), connectWorker(settings)]);
  const redis = openRedis(settings.REDIS_URL);
  const announce = announcing(redis);
  const record = createRecord(database, announce);
  const endings = new Endings({ client, record });
  const tools = createToolRegistry([
    ...createBuiltinTools({ filesRoot: settings.TENUTO_FILES_ROOT, httpAllow: settings.TENUTO_HTTP_ALLOW, sql: settings.sql }),
    ...(await loadTools(settings.TENUTO_TOOLS)),
  ]);
  const catalogue = await openCatalogue(database, logger, tools.list());
  const calls = new ToolCalls(database);
  const mcp = await openMcp(database, settings);
  const activities = createActivities({
    database,
    client,
    record,
    notices: {
      url: settings.TENUTO_NOTICE_URL,
      secret: settings.TENUTO_NOTICE_SECRET,
      pageOf: (workflowId) => temporalLink(settings, workflowId),
    },
    models: createModels(settings, new ModelHealth(redis)),
    announce,
    prices: new Prices(database, settings.TENUTO_MODEL_PRICES),
    tools,
    mcp,
    calls,
    env: settings.expressionEnv,
    httpAllow: settings.TENUTO_HTTP_ALLOW,
  });
  const worker = await createWorker({
    connection,
    namespace: settings.TEMPORAL_NAMESPACE,
    activities,
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
  clearInterval(catalogue);
  redis?.disconnect();
  await calls.flush().catch(() => undefined);
  await Promise.all([database.$disconnect(), client.connection.close(), connection.close()]);
  if (process.connected) process.disconnect?.();
}

/** The API knows tools from what workers tell it. */
async function openCatalogue(database: Database, logger: Logger, tools: Tool[]): Promise<NodeJS.Timeout> {
  const changed = await publishTools(database, everyTenant, tools);
  if (changed.length > 0)
    logger.warn(`Tools that are not what they were under the same version: ${changed.join(", ")}. Count their versions up.`);
  return setInterval(() => void touchTools(database, everyTenant, tools).catch(() => undefined), limits.toolSeenEveryMs);
}

async function openMcp(database: Database, settings: Settings): Promise<McpServers> {
  const { TENUTO_MCP_SERVERS: file, TENUTO_HTTP_ALLOW: allow, mcpSecrets: secrets, mcpEnv: env } = settings;
  const operator = file === undefined ? {} : await readOperatorServers(file);
  await publishServers(database, operator);
  return new McpServers({ database, egress: createEgress({ allow }), schemas: new IsolatedSchemas(), operator, secrets, env });
}

/** Nothing here waits for Redis: what it cannot take at once is lost, or kept by this process alone. */
function openRedis(url: string | undefined): Redis | undefined {
  if (url === undefined) return undefined;
  const redis = new Redis(url, {
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
