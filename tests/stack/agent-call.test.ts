import { mkdtemp } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { z } from "zod";
import { createAgentCall, type AskedCall } from "../../activities/agent-call.ts";
import { createEgress } from "../../activities/egress.ts";
import { IsolatedSchemas } from "../../activities/isolated-schema.ts";
import { McpServers } from "../../activities/mcp-servers.ts";
import { EffectLedger } from "../../activities/effects.ts";
import { createTool } from "../../activities/tool.ts";
import { ToolCalls } from "../../activities/tool-calls.ts";
import { createFindTool } from "../../activities/tool-finder.ts";
import { createToolRegistry, defineTool } from "../../activities/tool-registry.ts";
import { freePorts, startStack, type Stack } from "../../cli/stack.ts";
import { Fault } from "../../contracts/faults.ts";
import { openDatabase, type Database } from "../../prisma/client.ts";
import { migrate } from "../../prisma/migrate.ts";
import { readSettings } from "../../settings.ts";
import { testContext } from "../work-context.ts";

// A Postgres of its own: the worker's functions are called here as the loop of an agent calls them.
let stack: Stack;
let database: Database;

beforeAll(async () => {
  const stateDir = await mkdtemp(path.join(os.tmpdir(), "tenuto-agent-call-"));
  const settings = readSettings({ TENUTO_STATE_DIR: stateDir, TENUTO_API_KEY: "a key that nobody uses here" });
  stack = await startStack({ settings, ports: await freePorts(), stateDir, only: ["postgres"], log: () => undefined });
  await migrate(stack.databaseUrl);
  database = openDatabase(stack.databaseUrl);
}, 60_000);

afterAll(async () => {
  await database.$disconnect();
  await stack.stop();
});

let sent: string[] = [];

const mails = defineTool({
  name: "mail.send",
  description: "Sends a mail.",
  input: z.strictObject({ to: z.string() }),
  effect: "dangerous",
  run({ to }) {
    if (to === "nobody") throw new Fault("tool", "No such address.", { extra: { retryable: false } });
    if (to === "away") throw new Error("connection refused");
    if (to === "limbo") throw new Fault("tool", "cut off", { extra: { mayHaveHappened: true } });
    sent.push(to);
    return { number: sent.length };
  },
});

/** One attempt of the step `run`; each begins with what the database knows. */
const attempt = (run: string, asked: Partial<AskedCall>, more: object = {}) => {
  const effects = new EffectLedger(database);
  const mcp = new McpServers({
    database,
    egress: createEgress({ allow: [] }),
    schemas: new IsolatedSchemas(),
    operator: {},
    secrets: {},
    env: {},
  });
  const tools = createToolRegistry([mails]);
  const tool = createTool({ find: createFindTool({ tools, database, mcp }), effects, calls: new ToolCalls(database) });
  const context = testContext({ runId: run, idempotencyKey: `${run}:step`, ...more });
  return createAgentCall({ database, tool, effects })({ tool: "mail.send", arguments: { to: "ada" }, call: 0, ...asked }, context);
};

test("a call of an agent is made once, whatever its attempts; another call of the same step is another effect", async () => {
  sent = [];
  const answers = [
    await attempt("r_1", {}),
    await attempt("r_1", {}),
    await attempt("r_1", { call: 1 }),
    await attempt("r_1", { call: 1 }),
  ];
  expect(answers).toEqual([1, 1, 2, 2].map((number) => ({ isError: false, output: { number } })));
  expect(sent).toEqual(["ada", "ada"]);
});

test("what the model can mend comes back as a value", async () => {
  const mended = await Promise.all([
    attempt("r_2", { arguments: { to: 1 } }),
    attempt("r_2", { tool: "mail.sent" }),
    attempt("r_2", { arguments: { to: "nobody" } }),
    attempt("r_2", { allowed: [] }),
    attempt("r_2", { allowed: ["files.*"] }),
  ]);
  expect(mended.map((answer) => answer.isError && answer.problem.code)).toEqual(["tool_input", "tool_input", "tool", "policy", "policy"]);
});

test("trouble outside is thrown, so that it is tried again", async () => {
  await expect(attempt("r_3", { arguments: { to: "away" } })).rejects.toMatchObject({ code: "tool" });
});

test("an effect that may have happened is thrown, and asked about by the next attempt", async () => {
  await expect(attempt("r_4", { arguments: { to: "limbo" } })).rejects.toMatchObject({ code: "tool" });
  await expect(attempt("r_4", { arguments: { to: "limbo" } })).rejects.toMatchObject({ code: "effect_unknown" });
});

test("the same key in another tenant is another effect", async () => {
  sent = [];
  await attempt("r_5", {});
  await attempt("r_5", {}, { tenant: "other" });
  expect(sent).toHaveLength(2);
});

test("of two attempts at once one does it and the other asks", async () => {
  sent = [];
  const both = await Promise.allSettled([attempt("r_6", {}), attempt("r_6", {})]);
  expect(sent).toHaveLength(1);
  expect(both.some(({ status }) => status === "fulfilled")).toBe(true);
});

test("what was done can be discarded also by who only finds it done", async () => {
  sent = [];
  await attempt("r_7", {});
  const effects = new EffectLedger(database);
  const context = testContext({ runId: "r_7", idempotencyKey: "r_7:step" });
  const known = await effects.known({ tool: "mail.send", arguments: { to: "ada" } }, 0, context);
  expect(known).toMatchObject({ output: { number: 1 }, effect: { key: "r_7:step" } });
  await effects.discard(known!.effect!);
  await attempt("r_7", {});
  expect(sent).toHaveLength(2);
});
