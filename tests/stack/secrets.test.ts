import { createHmac, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { openDatabase } from "../../prisma/client.ts";
import { say } from "./asking.ts";
import { admin, facts, host, Model, Place, uniqueName, type Client, type Run } from "./client.ts";
import { canaries, WEBHOOK_SECRET } from "./protocol.ts";
import { readStream } from "./sse.ts";

/** What was published to Redis meanwhile. */
const published: string[] = [];
const redis = new Redis(facts.redisUrl);
const listening = new Redis(facts.redisUrl);
const runs: Run[] = [];
const told: string[] = [];
let created: Client;

const step = (id: string, fields: object) => ({ id, onError: "continue", retry: { maxAttempts: 1 }, ...fields });
const uses = (model: Model, echo: Model, server: string) => [
  step("error", { type: "tool", tool: "test.leaks", arguments: { how: "error" } }),
  step("result", { type: "tool", tool: "test.leaks", arguments: { how: "result" } }),
  step("sql", { type: "tool", tool: "sql.query", arguments: { connection: "vault", query: "SELECT 1" } }),
  step("process", { type: "tool", server: "env", tool: "leaks" }),
  step("header", { type: "tool", server, tool: "add", arguments: { a: 1, b: 2 } }),
  step("address", { type: "tool", server: "vault", tool: "add", arguments: { a: 1, b: 2 } }),
  { ...say(model), ...step("refused", {}) },
  { ...say(echo), ...step("said", {}) },
  step("agent", { type: "agent", model: echo.wanted, prompt: "${steps.result.output}", tools: ["test.leaks"] }),
  step("http", { type: "http", url: "${input.url}", method: "POST", body: "${steps.result.output}" }),
  { id: "fails", type: "tool", tool: "test.leaks", arguments: { how: "error" }, retry: { maxAttempts: 1 } },
];

beforeAll(async () => {
  listening.on("pmessage", (_pattern, channel, message) => published.push(`${channel} ${message}`));
  await listening.psubscribe("*");
  created = await admin.withKey({ principal: "ada", kind: "person", roles: ["admin"] });
  const server = uniqueName("vault");
  const body = { url: `${facts.mcpUrl}/${server}`, headers: { authorization: { secret: "vault", prefix: "Bearer " } } };
  told.push(JSON.stringify(await created.request("PUT", `/api/v2/mcp-servers/${server}`, { body })));
  const [model, echo] = [new Model(), new Model()];
  await model.script({ status: 401, body: JSON.stringify({ error: { message: `Incorrect API key provided: ${canaries.model}.` } }) });
  const call = { id: "c", name: "test_leaks", arguments: { how: "error" } };
  await echo.script({ text: `I was sent ${canaries.model}.` }, { toolCalls: [call] }, { text: `It is ${canaries.model}.` });
  const run = await created.begin({ steps: uses(model, echo, server) }, { url: new Place().url });
  runs.push(run);
  expect((await run.end()).status).toBe("failed");
  await hook(canaries.webhook);
  await hook(`${canaries.webhook} no more`);
  // What is written in batches.
  await new Promise((later) => setTimeout(later, 1_500));
});

afterAll(async () => {
  redis.disconnect();
  listening.disconnect();
});

async function hook(secret: string): Promise<void> {
  const name = uniqueName();
  const definition = { name, version: "1.0.0", triggers: [{ webhook: { path: name, secret: "vault" } }] };
  const steps = [{ id: "a", type: "set", values: 1 }];
  told.push(JSON.stringify(await admin.post("/api/v2/workflows", { ...definition, steps })));
  const [id, at, body] = [randomUUID(), String(Math.floor(Date.now() / 1_000)), "{}"];
  const signature = createHmac("sha256", secret).update(`${id}.${at}.${body}`).digest("base64");
  const headers = { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": `v1,${signature}`, "content-type": "application/json" };
  const answer = await fetch(`${facts.apiUrl}/api/v2/hooks/default/${name}`, { method: "POST", headers, body });
  const text = await answer.text();
  told.push(text);
  if (answer.ok) runs.push(admin.run((JSON.parse(text) as { runs: { runId: string }[] }).runs[0]!.runId));
}

const secrets = (): [string, string][] => [
  ...Object.entries(canaries),
  ["notices", WEBHOOK_SECRET],
  ["operator's key", facts.apiKey],
  ["created key", created.apiKey],
];

/** As it is, and as URLs, JSON and base64 write it. */
function formsOf(secret: string): string[] {
  const base64 = Buffer.from(secret).toString("base64").replace(/=+$/, "");
  return [...new Set([secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), base64])];
}

const foundIn = (text: string): string[] =>
  secrets().flatMap(([name, secret]) => (formsOf(secret).some((form) => text.includes(form)) ? [name] : []));

test("twelve secrets are planted, and were used", async () => {
  expect(secrets()).toHaveLength(12);
  const steps = Object.fromEntries((await runs[0]!.steps()).map(({ path: at, status, output }) => [at, { status, output }]));
  const failed = ["error", "sql", "refused"].map((id) => steps[id]?.status);
  expect(failed).toEqual(["failed", "failed", "failed"]);
  expect(steps["result"]?.output).toMatchObject({ password: "[secret]", url: "https://crm.example.com/?p=[secret]" });
  expect(steps["said"]?.output).toBe("I was sent [secret].");
  expect(JSON.stringify(steps["process"]?.output)).toContain("refused: [secret]");
  expect(steps["header"]?.status).toBe("completed");
  expect(runs).toHaveLength(2);
});

test("no history holds one, also decoded", async () => {
  for (const run of runs) {
    const history = JSON.stringify(await host.history("default", run.id));
    const payloads = [...history.matchAll(/"data":"([A-Za-z0-9+/=]+)"/g)].map(([, data]) => Buffer.from(data!, "base64").toString());
    expect(payloads.length).toBeGreaterThan(0);
    expect(foundIn(`${history}\n${payloads.join("\n")}`)).toEqual([]);
  }
});

test("no table holds one", async () => {
  const database = openDatabase(facts.databaseUrl);
  const tables = await database.$queryRaw<{ name: string }[]>`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`;
  expect(tables.length).toBeGreaterThan(10);
  const found: string[] = [];
  for (const { name } of tables)
    for (const [secret, value] of secrets()) {
      const patterns = formsOf(value).map((form) => `%${form.replaceAll(/[\\%_]/g, "\\$&")}%`);
      const query = `SELECT count(*)::int AS n FROM "${name}" t WHERE t::text LIKE ANY ($1::text[])`;
      const [row] = await database.$queryRawUnsafe<{ n: number }[]>(query, patterns);
      if (row!.n > 0) found.push(`${secret} in ${name}`);
    }
  await database.$disconnect();
  expect(found).toEqual([]);
});

test("Redis holds none, nor was one published", async () => {
  const keys = await redis.keys("*");
  const values = await Promise.all(keys.map(valueOf));
  expect(published.length).toBeGreaterThan(0);
  expect(foundIn([...keys, ...values, ...published].join("\n"))).toEqual([]);
});

async function valueOf(key: string): Promise<string> {
  const type = await redis.type(key);
  if (type === "string") return (await redis.get(key)) ?? "";
  if (type === "hash") return JSON.stringify(await redis.hgetall(key));
  if (type === "list") return JSON.stringify(await redis.lrange(key, 0, -1));
  if (type === "set") return JSON.stringify(await redis.smembers(key));
  return type === "zset" ? JSON.stringify(await redis.zrange(key, 0, "-1")) : "";
}

test("neither logs, event streams nor answers of the API hold one", async () => {
  const files = await readdir(facts.logs);
  const logs = await Promise.all(files.map((file) => readFile(path.join(facts.logs, file), "utf8")));
  expect(logs.join("\n")).toContain("connecting with [secret] and [secret]");
  const addresses = [
    ...runs.flatMap((run) => ["", "/steps", "/events", "/model-calls"].map((of) => `${run.path}${of}`)),
    "/api/v2/mcp-servers",
    "/api/v2/keys",
    "/api/v2/tools",
  ];
  const answers = await Promise.all(addresses.map(async (address) => (await admin.fetch("GET", address)).text()));
  expect(foundIn([...logs, ...answers, ...told, await streamed(runs[0]!)].join("\n"))).toEqual([]);
});

async function streamed(run: Run): Promise<string> {
  const response = await admin.fetch("GET", `${run.path}/events`, { headers: { accept: "text/event-stream" } });
  const sent: string[] = [];
  for await (const event of readStream(response)) {
    sent.push(event.data);
    if (event.event === "run.failed") break;
  }
  expect(sent.length).toBeGreaterThan(10);
  return sent.join("\n");
}
