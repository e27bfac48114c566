// A program: the whole stack and the servers around it, for tests that talk to it over HTTP. Jest's sandbox holds none of it.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Redis } from "ioredis";
import { untilTold } from "../../cli/stack.ts";
import { liveChannel } from "../../contracts/messages.ts";
import { openDatabase } from "../../prisma/client.ts";
import type { Hold } from "../servers/ledger-server.ts";
import { startMcpServer } from "../servers/mcp-server.ts";
import { startModelServer } from "../servers/model-server.ts";
import type { Recorded } from "../servers/scripted-server.ts";
import { openStage, type Stage } from "../chaos/stage.ts";
import { runTrial } from "../chaos/trial.ts";
import { startForeignWorker } from "./foreign-worker.ts";
import { HeldRows } from "./held-rows.ts";
import { openHistories } from "./histories.ts";
import { ModelScripts } from "./model-scripts.ts";
import { canaries, WEBHOOK_SECRET, type Facts, type HostAnswer, type HostCommands } from "./protocol.ts";
import { startTestStack } from "./test-stack.ts";

const model = await startModelServer();
const scripts = new ModelScripts(model);
const mcp = await startMcpServer();
const mcpFile = await writeMcpFile();
const env = {
  OPENAI_BASE_URL: `${model.url}/v1`,
  OPENAI_API_KEY: canaries.model,
  ANTHROPIC_API_KEY: "",
  TENUTO_MODELS: "pair=openai/pair-a|openai/pair-b,sick=openai/sick-a|openai/sick-b,embedding=openai/embedder",
  TENUTO_MODEL_PRICES: "openai/priced=1/2/0.5/1,openai/embedder=1/0",
  TENUTO_TOOLS: ["tools.ts", "../walk/tools.ts", "../chaos/tools.ts"].map((file) => path.join(import.meta.dirname, file)).join(","),
  TENUTO_EXPRESSION_ENV: "TENUTO_TEST_PLACE",
  TENUTO_TEST_PLACE: "here",
  TENUTO_FILES_ROOT: import.meta.dirname,
  TENUTO_WEBHOOK_SECRETS: `default/test=${WEBHOOK_SECRET},default/vault=${canaries.webhook}`,
  TENUTO_NOTICE_SECRET: WEBHOOK_SECRET,
  TENUTO_MCP_SERVERS: mcpFile,
  TENUTO_MCP_ENV: "TENUTO_TEST_PLACE,VAULT_TOKEN",
  TENUTO_MCP_SECRETS: `default/docs=s3cret,default/vault=${canaries.mcpHeader}`,
  TENUTO_SQL: `default/vault=postgres://reader:${canaries.sql}@127.0.0.1:1/vault`,
  VAULT_TOKEN: canaries.mcpProcess,
  CRM_TOKEN: canaries.toolError,
  CRM_PASSWORD: canaries.toolResult,
};
const started = await startTestStack(env, [new URL(mcp.url).host]);
const { stack, parts, ledger } = started;
const [histories, foreign] = await Promise.all([
  openHistories(stack.temporalAddress, path.dirname(started.logs)),
  startForeignWorker(stack.temporalAddress),
]);

let stage: Promise<Stage> | undefined;
const holds = new Map<string, Hold>();
const heldRows = new HeldRows(stack.databaseUrl);

const commands: HostCommands = {
  chaos: async (name, options) => runTrial(await (stage ??= openStage(started)), name, options),
  scriptLedger: (where, replies) => ledger.script(where, ...replies),
  holdLedger: (where) =>
    void holds.set(
      where,
      ledger.hold((path) => path === where),
    ),
  releaseLedger: (where) => holds.get(where)!.release(),
  ledgerCalls: (where, atLeast) => untilCalled(() => ledger.calls(where), atLeast),
  scriptModel: (name, replies) => scripts.add(name, replies),
  modelCalls: (name, atLeast) => untilCalled(() => scripts.calls(name), atLeast),
  holdModel: (name, reply) => scripts.hold(name, reply),
  releaseModel: (name) => scripts.release(name),
  untilWatched: (run) => untilWatched(run),
  modelAnswered: (name, times) => scripts.answered(name, times),
  mcpCalls: (path) => mcp.calls(path),
  mcpLists: (path) => mcp.lists(path),
  mcpOffer: (path, tools) => mcp.offer(path, tools),
  mcpWrite: (path, page) => mcp.write(path, page),
  kill: (part) => parts.kill(part),
  end: (part) => parts.kill(part, "SIGTERM"),
  start: (part) => parts.start(part),
  heal: () => parts.heal(),
  historySize: (tenant, run) => histories.sizeOf(tenant, run),
  decide: (tenant, run, decision) => histories.decide(tenant, run, decision),
  holdRow: (run) => heldRows.hold(run),
  untilRowWanted: (run) => heldRows.untilWanted(run),
  releaseRow: (run) => heldRows.release(run),
  reconcile: () => histories.reconcile(),
  loseEnd: (run) => loseEnd(run),
  settle: (tenant, run) => histories.settle(tenant, run),
  fillMailbox: (tenant, run, count) => histories.fillMailbox(tenant, run, count),
  startContinuing: (workflow, input, events, origin) => histories.startContinuing(workflow, input, events, origin),
  startPlan: (plan, taskTimeout) => histories.startPlan(plan, taskTimeout),
  listed: (query) => histories.listed(query),
  details: (tenant, run) => histories.details(tenant, run),
  forget: (tenant, run) => histories.forget(tenant, run),
  forgetAnswers: (key) => forgetAnswers(key),
  executions: (tenant, run) => histories.executions(tenant, run),
  wearLock: (tenant, key) => histories.wearLock(tenant, key),
  wearMailbox: (tenant, agent) => histories.wearMailbox(tenant, agent),
  loseMailbox: (tenant, agent) => histories.loseMailbox(tenant, agent),
  historyOfType: (type) => histories.ofType(type),
  reset: (tenant, run) => histories.reset(tenant, run),
  history: (tenant, run, isOfFirst) => histories.jsonOf(tenant, run, isOfFirst),
  replays: (tenant, runs) => histories.replays(tenant, runs),
};

const control = createServer((request, response) => {
  void answer(request).then((result) => response.setHeader("content-type", "application/json").end(JSON.stringify(result)));
});
// A test that comes back late would meet it in the moment in which it hangs up.
control.keepAliveTimeout = 0;
await new Promise<void>((listening) => control.listen(0, "127.0.0.1", listening));

const facts: Facts = {
  hostUrl: `http://127.0.0.1:${(control.address() as AddressInfo).port}`,
  apiUrl: stack.apiUrl,
  apiKey: stack.apiKey,
  temporalAddress: stack.temporalAddress,
  databaseUrl: stack.databaseUrl,
  redisUrl: stack.redisUrl!,
  logs: started.logs,
  ledgerUrl: ledger.url,
  mcpUrl: mcp.url,
};
process.send?.({ facts });

await untilTold();
control.close();
control.closeAllConnections();
await foreign.stop();
await histories.close();
await stage?.then((open) => open.close());
await started.stop();
await model.close();
await mcp.close();
await rm(path.dirname(mcpFile), { recursive: true, force: true });
process.exit(0);

/** The operator's MCP servers: those of the examples, with files of their own to write. */
async function writeMcpFile(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "tenuto-mcp-"));
  const program = (file: string, ...args: string[]) => ({
    command: process.execPath,
    args: ["--import", "tsx", path.join(import.meta.dirname, file), ...args],
    cwd: path.join(import.meta.dirname, "../.."),
    env: ["TENUTO_TEST_PLACE"],
  });
  const notes = { ...program("../../examples/mcp/server.ts", path.join(folder, "notes.jsonl")), tools: { list: { effect: "read" } } };
  const team = program(
    "../../examples/dependency-team/server.ts",
    path.join(import.meta.dirname, "../.."),
    path.join(folder, "verdicts.jsonl"),
  );
  const read = { effect: "read" };
  const packages = { ...team, tools: { facts: read, changelog: read, licence: read } };
  const file = path.join(folder, "servers.json");
  const vault = new URL(`${mcp.url}/vault?sig=${canaries.mcpQuery}`);
  Object.assign(vault, { username: "ada", password: canaries.mcpPassword });
  const env = { ...program("../servers/mcp-env.ts"), env: ["TENUTO_TEST_PLACE", "VAULT_TOKEN"] };
  const dying = 'console.error("starting up"); console.error("Error: no licence for " + process.env.VAULT_TOKEN); process.exit(1)';
  const dead = { command: process.execPath, args: ["-e", dying], env: ["VAULT_TOKEN"] };
  await writeFile(
    file,
    JSON.stringify({ notes, packages, env, dead, vault: { url: vault.href }, others: { url: `${mcp.url}/others`, tenants: ["nobody"] } }),
  );
  return file;
}

async function answer(request: IncomingMessage): Promise<HostAnswer> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { name, args } = JSON.parse(Buffer.concat(chunks).toString()) as { name: keyof HostCommands; args: unknown[] };
    const command = commands[name] as (...given: unknown[]) => unknown;
    return { value: (await command(...args)) ?? null };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

async function untilWatched(run: string): Promise<void> {
  const redis = new Redis(stack.redisUrl!);
  while (Number((await redis.pubsub("NUMSUB", liveChannel(run)))[1]) === 0) await new Promise((later) => setTimeout(later, 5));
  redis.disconnect();
}

async function forgetAnswers(key: string): Promise<void> {
  const database = openDatabase(stack.databaseUrl, 1);
  await database.idempotencyKey.deleteMany({ where: { key } });
  await database.$disconnect();
}

async function loseEnd(run: string): Promise<void> {
  const database = openDatabase(stack.databaseUrl);
  await database.$transaction([
    database.$executeRaw`DELETE FROM events WHERE run_id = ${run} AND seq = (SELECT last_seq FROM runs WHERE id = ${run})`,
    database.$executeRaw`UPDATE runs SET status = 'running', ended_at = NULL, output = NULL, error = NULL, last_seq = last_seq - 1
      WHERE id = ${run}`,
  ]);
  await database.$disconnect();
  await histories.reconcile();
}

async function untilCalled(calls: () => Recorded[], atLeast: number): Promise<Recorded[]> {
  const patience = Date.now() + 60_000;
  while (calls().length < atLeast) {
    if (Date.now() > patience) throw new Error(`Called ${calls().length} times, not ${atLeast}.`);
    await new Promise((later) => setTimeout(later, 5));
  }
  return calls();
}
