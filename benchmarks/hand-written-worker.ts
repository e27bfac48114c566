import { fileURLToPath } from "node:url";
import { DefaultLogger, Runtime, Worker } from "@temporalio/worker";
import { readSettings } from "../settings.ts";
import { connectWorker } from "../temporal-config/worker-connection.ts";
import { bundleOthers } from "../workers/bundle.ts";
import { tuning } from "../workers/create-worker.ts";
import { agentActivities } from "./hand-written-agent.ts";
import { handWrittenQueue } from "./workloads.ts";

// The hand-written side's worker: a process like `workers/main.ts`, with its connection, its log level, its tuning and its
// short stacks, which an engineer may set as well as we.
const settings = readSettings();
Runtime.install({ logger: new DefaultLogger("WARN"), shutdownSignals: [] });
const connection = await connectWorker(settings);
const worker = await Worker.create({
  connection,
  namespace: settings.TEMPORAL_NAMESPACE,
  taskQueue: handWrittenQueue,
  activities: { noop: async () => null, ...agentActivities() },
  workflowBundle: { code: await bundleOthers(fileURLToPath(new URL("./hand-written.ts", import.meta.url))) },
  ...tuning,
});
for (const signal of ["SIGTERM", "SIGINT", "disconnect"] as const)
  process.once(signal as "disconnect", () => worker.getState() === "RUNNING" && worker.shutdown());
const running = worker.run();
process.send?.({ ready: true });
await running;
await connection.close();
process.disconnect?.();
