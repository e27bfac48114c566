import { fileURLToPath } from "node:url";
import { DefaultLogger, Runtime, Worker } from "@temporalio/worker";
import { createRecord } from "../activities/record.ts";
import { IsolatedSchemas } from "../activities/isolated-schema.ts";
import { createActivities } from "../activities/index.ts";
import { noSecrets } from "../activities/redact.ts";
import { ToolCalls } from "../activities/tool-calls.ts";
import { UnderWay } from "../activities/under-way.ts";
import { createToolRegistry } from "../activities/tool-registry.ts";
import { queues } from "../contracts/ids.ts";
import { openDatabase } from "../prisma/client.ts";
import { readSettings } from "../settings.ts";
import { connectTemporal } from "../temporal-config/connection.ts";
import { connectWorker } from "../temporal-config/worker-connection.ts";
import { bundleOthers, bundleWorkflows } from "../workers/bundle.ts";
import { tuning } from "../workers/create-worker.ts";
import { tools } from "./noop-tool.ts";
import { handWrittenQueue } from "./workloads.ts";

// A worker that runs workflows in its main thread, whose heap can be read; in production they have a thread of their own.
const settings = readSettings();
Runtime.install({ logger: new DefaultLogger("WARN"), shutdownSignals: [] });
const [client, connection] = await Promise.all([connectTemporal(settings), connectWorker(settings)]);
const database = openDatabase(settings.DATABASE_URL!, 5);
const record = createRecord(database, () => undefined);
// Nothing here calls a model.
const models = undefined as never;
const ours = async () => ({
  taskQueue: queues.runs,
  activities: createActivities({
    database,
    client,
    record,
    notices: { url: undefined, secret: undefined, pageOf: () => "" },
    models,
    announce: () => undefined,
    budgets: undefined as never,
    modelCalls: undefined as never,
    embeddings: undefined as never,
    quotas: undefined as never,
    redact: noSecrets,
    mcp: undefined as never,
    schemas: new IsolatedSchemas(),
    calls: new ToolCalls(database),
    underWay: new UnderWay(),
    tools: createToolRegistry(tools),
    httpAllow: [],
    webhookSecrets: {},
    env: {},
  }),
  sinks: { runs: { ending: { fn: () => undefined } } },
  workflowBundle: { code: await bundleWorkflows() },
});
const handWritten = async () => ({
  taskQueue: handWrittenQueue,
  activities: { noop: async () => null },
  workflowBundle: { code: await bundleOthers(fileURLToPath(new URL("./hand-written.ts", import.meta.url))) },
});
const side = await (process.argv[2] === "ours" ? ours() : handWritten());
const worker = await Worker.create({ connection, namespace: settings.TEMPORAL_NAMESPACE, ...side, ...tuning, debugMode: true });
process.once("SIGTERM", () => worker.getState() === "RUNNING" && worker.shutdown());
process.once("disconnect", () => worker.getState() === "RUNNING" && worker.shutdown());
process.on("message", () => process.send?.({ heap: heapUsed() }));
const running = worker.run();
process.send?.({ ready: true });
await running;
await Promise.all([database.$disconnect(), client.connection.close(), connection.close()]);
if (process.connected) process.disconnect?.();

function heapUsed(): number {
  for (let time = 0; time < 3; time++) globalThis.gc!();
  return process.memoryUsage().heapUsed;
}
