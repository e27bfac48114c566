// A program: a stack of its own with a worker without a build, then two builds, one after the other the current one, all side by
// side. Prints, as JSON, which builds did the tasks of a run that began under each, and of the lock that all needed. In the stack
// of the other tests a current build would take all runs from its worker.
import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { Client } from "@temporalio/client";
import { ask, Refused, type RunAnswer, type Server } from "../../cli/api-client.ts";
import { endChild, saysReady, startChild, untilReady, type Child } from "../../cli/child.ts";
import { inheritedEnv } from "../../cli/laptop.ts";
import { nodeArguments } from "../../cli/programs.ts";
import { freePorts, startStack, type Stack } from "../../cli/stack.ts";
import { workflowBundle } from "../../cli/workflow-bundle.ts";
import { lockWorkflowId, queues, workflowIdOf } from "../../contracts/ids.ts";
import { lockSignals } from "../../contracts/locks.ts";
import { readSettings } from "../../settings.ts";
import { connectTemporal } from "../../temporal-config/connection.ts";

/** Builds, each once, in the order in which they first did a task; "none" is the worker without one. */
export interface BuildsOf {
  before: string[];
  first: string[];
  second: string[];
  lock: string[];
}

const deploymentName = "tenuto-test";
/** TASK_QUEUE_TYPE_WORKFLOW */
const workflowQueue = 1;
const root = path.join(import.meta.dirname, "../..");
const stateDir = await mkdtemp(path.join(os.tmpdir(), "tenuto-builds-"));
// As root Postgres runs under another name, which must be able to enter.
await chmod(stateDir, 0o755);
const own = { TEMPORAL_ADDRESS: "", DATABASE_URL: "", REDIS_URL: "", TENUTO_API_KEY: "", TENUTO_STATE_DIR: stateDir };
const settings = readSettings({ ...process.env, ...own });
const log = (line: string): void => console.error(line);
const stack = await startStack({ settings, ports: await freePorts(), stateDir, only: ["temporal", "postgres", "api"], log });
const workers: Child[] = [];
try {
  const client = await connectTemporal(readSettings({ ...process.env, ...own, TEMPORAL_ADDRESS: stack.temporalAddress }));
  process.stdout.write(`\n${JSON.stringify(await watchBuilds(client, { url: stack.apiUrl, apiKey: stack.apiKey }))}`);
  await client.connection.close();
} finally {
  await Promise.all(workers.map((worker) => endChild(worker)));
  await stack.stop();
  await rm(stateDir, { recursive: true, force: true });
}

async function watchBuilds(client: Client, server: Server): Promise<BuildsOf> {
  const steps = [{ id: "told", type: "listen", one: { event: "go" }, lock: { key: "shared" } }];
  await patiently(server, "/api/v2/workflows", { name: "builds", version: "1.0.0", steps });
  const ofRun = (run: string): Promise<string[]> => buildsOf(client, workflowIdOf(settings.TENUTO_TENANT, run));
  workers.push(await startWorker(stack, {}));
  const before = await begin(server);
  await until(async () => (await statusOf(server, before)) === "waiting");
  await makeCurrent(client, "1");
  // The worker's own queue, in which a run that it holds in memory gets its tasks, may learn of the build a little later.
  await until(async () => {
    await tell(server, before, "not waited for");
    return (await ofRun(before)).includes("1");
  });
  await finish(server, before);
  const first = await begin(server);
  await until(async () => (await statusOf(server, first)) === "waiting");
  await makeCurrent(client, "2");
  const second = await begin(server);
  await finish(server, first);
  await finish(server, second);
  const lock = lockWorkflowId(settings.TENUTO_TENANT, "step", "shared")!;
  // The queue of the worker that holds it in memory may learn of the new build later: it gets tasks by signals that mean nothing.
  await until(async () => {
    await client.workflow.getHandle(lock).signal(lockSignals.release, { run: "r_nobody", ticket: "none" });
    return (await buildsOf(client, lock)).includes("2");
  });
  return { before: await ofRun(before), first: await ofRun(first), second: await ofRun(second), lock: await buildsOf(client, lock) };
}

async function tell(server: Server, run: string, event: string): Promise<void> {
  await patiently(server, `/api/v2/runs/${run}/signals`, { event });
}

async function finish(server: Server, run: string): Promise<void> {
  await tell(server, run, "go");
  await until(async () => (await statusOf(server, run)) === "completed");
}

async function makeCurrent(client: Client, buildId: string): Promise<void> {
  workers.push(await startWorker(stack, { TENUTO_WORKER_DEPLOYMENT: deploymentName, TENUTO_WORKER_BUILD: buildId }));
  const request = { namespace: settings.TEMPORAL_NAMESPACE, deploymentName, buildId };
  // Temporal learns of a build with its first poll.
  await until(() =>
    client.workflowService.setWorkerDeploymentCurrentVersion(request).then(
      () => true,
      () => false,
    ),
  );
  // And each queue learns of it by itself, the one of the runs maybe after others.
  const queue = { namespace: settings.TEMPORAL_NAMESPACE, taskQueue: { name: queues.runs }, taskQueueType: workflowQueue };
  await until(async () => {
    const { versioningInfo } = await client.workflowService.describeTaskQueue(queue);
    return versioningInfo?.currentDeploymentVersion?.buildId === buildId;
  });
}

async function startWorker({ temporalAddress, databaseUrl }: Stack, version: Record<string, string>): Promise<Child> {
  const where = { TEMPORAL_ADDRESS: temporalAddress, DATABASE_URL: databaseUrl, TENUTO_WORKFLOW_BUNDLE: await workflowBundle(stateDir) };
  const child = startChild({
    name: "worker",
    command: process.execPath,
    args: nodeArguments(path.join(root, "workers/main.ts")),
    env: { ...inheritedEnv(), ...own, ...where, ...version },
    logFile: path.join(stateDir, "logs", "workers.log"),
    endWith: "SIGTERM",
    ipc: true,
  });
  await untilReady(child, () => saysReady(child), 120_000);
  return child;
}

async function begin(server: Server): Promise<string> {
  return ((await patiently(server, "/api/v2/runs", { workflow: "builds" })) as RunAnswer).id;
}

async function statusOf(server: Server, run: string): Promise<string> {
  return ((await patiently(server, `/api/v2/runs/${run}`)) as RunAnswer).status;
}

/** Asked again, under the same key, when a busy machine has not answered in time. */
async function patiently(server: Server, where: string, body?: object): Promise<unknown> {
  const sent = body && { method: "POST" as const, body: JSON.stringify(body), idempotencyKey: randomUUID() };
  let answer: unknown;
  await until(async () => {
    answer = await ask(server, where, sent).catch((error: unknown) => {
      if (!(error instanceof Refused) || error.problem.code !== "unavailable") throw error;
    });
    return answer !== undefined;
  });
  return answer;
}

async function buildsOf(client: Client, workflowId: string): Promise<string[]> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const builds = (events ?? []).flatMap(({ workflowTaskCompletedEventAttributes: task }) =>
    task ? [task.deploymentVersion?.buildId ?? "none"] : [],
  );
  return [...new Set(builds)];
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const patience = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > patience) throw new Error("This never came.");
    await new Promise((later) => setTimeout(later, 100));
  }
}
