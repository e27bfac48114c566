import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { Budgets } from "../../activities/budgets.ts";
import { createEgress } from "../../activities/egress.ts";
import { IsolatedSchemas } from "../../activities/isolated-schema.ts";
import { McpServers } from "../../activities/mcp-servers.ts";
import { EffectLedger } from "../../activities/effects.ts";
import { createTool } from "../../activities/tool.ts";
import { ToolCalls } from "../../activities/tool-calls.ts";
import { createFindTool } from "../../activities/tool-finder.ts";
import { createToolRegistry, defineTool } from "../../activities/tool-registry.ts";
import { Fault } from "../../contracts/faults.ts";
import type { Told } from "../../contracts/activities.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import type { Database } from "../../prisma/client.ts";
import { testContext } from "../work-context.ts";
import { ownPostgres } from "./own-postgres.ts";

let database: Database;
ownPostgres((opened) => (database = opened));

let sent: string[] = [];

const mails = defineTool({
  name: "mail.send",
  description: "Sends a mail.",
  input: z.strictObject({ to: z.string() }),
  effect: "dangerous",
  run({ to }) {
    if (to === "nobody") throw new Fault("tool", "No such address.", { extra: { retryable: false } });
    if (to === "away") throw new TypeError("fetch failed", { cause: Object.assign(new Error("refused"), { code: "ECONNREFUSED" }) });
    if (to === "reset") throw new TypeError("fetch failed", { cause: Object.assign(new Error("reset"), { code: "ECONNRESET" }) });
    if (to === "odd") throw new SyntaxError("Unexpected end of JSON input");
    if (to === "limbo") throw new Fault("tool", "cut off", { extra: { mayHaveHappened: true } });
    if (to === "nowhere") return new Promise<never>(() => undefined);
    sent.push(to);
    return { number: sent.length };
  },
});

/** Done again as often as it is asked; notes the keys it is asked under. */
const notes = defineTool({
  name: "mail.note",
  description: "Notes a mail.",
  input: z.strictObject({ to: z.string() }),
  effect: "write",
  idempotent: true,
  run({ to }, { idempotencyKey }) {
    sent.push(idempotencyKey);
    if (to === "limbo") throw new Fault("tool", "cut off", { extra: { mayHaveHappened: true } });
    return { to };
  },
});

let paid: JsonObject[] = [];
let breaks = false;

const transfer = z.strictObject({ ref: z.string(), note: z.string() });

/** `verify` knows payments by what they were given. */
const pay = (name: string, more: { idempotent?: boolean }) =>
  defineTool({
    name,
    description: "Pays.",
    input: transfer,
    effect: "dangerous",
    run(order) {
      paid.push(order);
      if (breaks) throw new Fault("tool", "cut off", { extra: { mayHaveHappened: true } });
      return { number: paid.length };
    },
    verify({ ref }) {
      const index = paid.findIndex((order) => order["ref"] === ref);
      return index < 0 ? { outcome: "not_done" } : { outcome: "done", result: { number: index + 1 } };
    },
    ...more,
  });

type Said = { happened: true; result: Json } | { happened: false };

interface Asked {
  to?: Json;
  arguments?: Json;
  call?: number;
  tool?: string;
  agent?: string;
  told?: Told;
}

/** One attempt of the step `run`, which keeps its result; each begins with what the database knows. */
async function attempt(
  run: string,
  { to = "ada", call = 0, tool: name = "mail.send", ...fields }: Asked,
  more: object = {},
): Promise<Json> {
  const effects = new EffectLedger(database);
  const schemas = new IsolatedSchemas();
  const mcp = new McpServers({ database, egress: createEgress({ allow: [] }), schemas, operator: {}, secrets: {}, env: {} });
  const calls = new ToolCalls(database);
  const known = createToolRegistry([mails, notes, pay("pay.transfer", {}), pay("pay.again", { idempotent: true })]);
  const find = createFindTool({ tools: known, database, mcp, calls });
  const tool = createTool({ database, find, effects, calls, budgets: new Budgets(database) });
  const context = testContext({ runId: run, idempotencyKey: `${run}:step`, ...more });
  const { output, effect } = await tool({ tool: name, arguments: { to }, ...fields }, context, call);
  if (effect) await effects.done(effect, output);
  return output;
}

test("a call is made once, whatever its attempts; another call of the same step is another effect", async () => {
  sent = [];
  const answers = [
    await attempt("r_1", {}),
    await attempt("r_1", {}),
    await attempt("r_1", { call: 1 }),
    await attempt("r_1", { call: 1 }),
  ];
  expect(answers).toEqual([1, 1, 2, 2].map((number) => ({ number })));
  expect(sent).toEqual(["ada", "ada"]);
});

test.each(["nobody", "away"])("a tool that says that it failed, or that nothing was sent, is called again (%s)", async (to) => {
  const isOpen = { problem: expect.objectContaining({ mayHaveHappened: true }) };
  for (const _ of [1, 2]) {
    await expect(attempt(`r_3_${to}`, { to })).rejects.toMatchObject({ code: "tool" });
    expect(await database.effect.findFirst({ where: { runId: `r_3_${to}` } })).toMatchObject({ state: "failed" });
  }
  await expect(attempt(`r_3_${to}`, { to })).rejects.not.toMatchObject(isOpen);
});

test.each(["reset", "odd"])("a tool that throws anything else may have done it (%s)", async (to) => {
  await expect(attempt(`r_14_${to}`, { to })).rejects.toMatchObject({ code: "tool", problem: { mayHaveHappened: true } });
  await expect(attempt(`r_14_${to}`, { to })).rejects.toMatchObject({ code: "effect_unknown" });
});

test("an effect that may have happened is thrown, and asked about by the next attempt", async () => {
  await expect(attempt("r_4", { to: "limbo" })).rejects.toMatchObject({ code: "tool" });
  await expect(attempt("r_4", { to: "limbo" })).rejects.toMatchObject({ code: "effect_unknown" });
});

test("an agent that is stopped begins nothing, and what it has begun is brought to its end", async () => {
  await database.agentState.create({ data: { tenant: "default", name: "clerk", revision: 1, state: "stopped", changedBy: "ada" } });
  const agent = "clerk";
  sent = [];
  for (const asked of [{ to: "limbo" }, { to: "limbo", tool: "mail.note", call: 1 }])
    await expect(attempt("r_8", asked)).rejects.toMatchObject({ code: "tool" });
  await expect(attempt("r_8", { to: "limbo", agent })).rejects.toMatchObject({ code: "effect_unknown" });
  await expect(attempt("r_8", { to: "limbo", tool: "mail.note", call: 1, agent })).rejects.toMatchObject({ code: "tool" });
  expect(sent).toHaveLength(2);
  await attempt("r_9", {});
  expect(await attempt("r_9", { agent })).toEqual({ number: 3 });
  for (const tool of ["mail.send", "mail.note"])
    await expect(attempt("r_9", { tool, call: 2, agent })).rejects.toMatchObject({ code: "agent_state" });
  expect(sent).toHaveLength(3);
});

test("a call with other arguments than before has a key of its own, each time the same", async () => {
  sent = [];
  const tool = "mail.note";
  for (const to of ["ada", "bob", "limbo", "ada", "bob"]) await attempt("r_10", { tool, to }).catch(() => undefined);
  await expect(attempt("r_10", { tool, to: "limbo" })).rejects.toMatchObject({ code: "tool" });
  expect(sent[0]).toBe("r_10:step");
  expect(new Set(sent).size).toBe(3);
  expect([sent.length, sent[2]]).toEqual([4, sent[3]]);
});

test("of attempts at once with different arguments one is made, and the others ask what became of it or come after it", async () => {
  sent = [];
  const runs = Array.from({ length: 10 }, (_, n) => `r_13_${n}`);
  const attempts = runs.flatMap((run) => ["ada", "bob", "cid"].map((to) => attempt(run, { tool: "mail.note", to })));
  for (const end of await Promise.allSettled(attempts))
    if (end.status === "rejected") expect(end.reason).toMatchObject({ code: "effect_unknown" });
  expect(new Set(sent).size).toBe(sent.length);
  expect(sent.filter((key) => !key.includes("~"))).toHaveLength(10);
});

describe("a call with other arguments than one of which nobody knows whether it has happened", () => {
  const begun = async (run: string, tool = "mail.send"): Promise<{ told: (more: Said) => Promise<Json> }> => {
    sent = [];
    await expect(attempt(run, { to: "limbo", tool })).rejects.toMatchObject({ code: "tool" });
    const row = await database.effect.findFirstOrThrow({ where: { key: `${run}:step` } });
    const asks = { code: "effect_unknown", problem: { effect: row.token, effectKey: row.key } };
    await expect(attempt(run, { tool })).rejects.toMatchObject(asks);
    return { told: (more) => attempt(run, { tool, told: { by: "ada", effect: row.token, ...more } }) };
  };

  test.each(["mail.send", "mail.note"])("asks first, also when the tool honours keys (%s)", async (tool) => {
    await begun(`r_20_${tool.slice(5)}`, tool);
    expect(sent).toEqual(tool === "mail.send" ? [] : ["r_20_note:step"]);
  });

  test("is made once somebody has said that the other has not happened", async () => {
    const { told } = await begun("r_21");
    expect(await told({ happened: false })).toEqual({ number: 1 });
    expect(await attempt("r_21", {})).toEqual({ number: 1 });
    expect(sent).toEqual(["ada"]);
  });

  test("is not made when they say that it has: it has the same result, in each attempt after that", async () => {
    const { told } = await begun("r_22");
    expect(await told({ happened: true, result: { number: 7 } })).toEqual({ number: 7 });
    expect(await attempt("r_22", {})).toEqual({ number: 7 });
    expect(sent).toEqual([]);
  });

  test("asks also about one that was itself not the first", async () => {
    await attempt("r_23", { to: "bob" });
    await attempt("r_23", { to: "limbo" }).catch(() => undefined);
    await expect(attempt("r_23", {})).rejects.toMatchObject({ code: "effect_unknown" });
  });
});

describe("a run that goes on from another, with its own names among the arguments", () => {
  const startedAt = (run: string): Date => new Date(Date.UTC(2026, 0, 1, 0, 0, Number(/\d/.exec(run))));
  const runs = ["r_1a", "r_2a", "r_3a", "r_1b", "r_2b", "r_1b.pay-attempt2", "r_2b.pay", "r_1c", "r_2c"];
  const wordsOf = (run: string): JsonObject => ({
    ref: `${run}-1`,
    note: `for ${run.split(".")[0]!}, since ${startedAt(run).toISOString()}`,
  });
  const pays = (run: string, key: string, more: Partial<Asked> = {}): Promise<Json> =>
    attempt(run, { arguments: wordsOf(run), tool: "pay.transfer", ...more }, { idempotencyKey: `${key}:pay` });

  beforeAll(async () => {
    const common = {
      tenant: "default",
      workflow: "w",
      version: "1.0.0",
      planHash: "",
      status: "running",
      temporalRunId: "",
      startedBy: "ada",
    };
    const data = runs.map((id) => ({ ...common, id, startedAt: startedAt(id), parentId: id.includes(".") ? id.split(".")[0]! : null }));
    await database.run.createMany({ data });
  });

  beforeEach(() => {
    paid = [];
  });

  test.each([
    ["itself", "r_1a", "r_2a"],
    ["as a child", "r_1b.pay-attempt2", "r_2b.pay"],
  ])("does not repeat what that one did: %s", async (_, first, retry) => {
    expect(await pays(first, first)).toEqual({ number: 1 });
    expect(await pays(retry, first)).toEqual({ number: 1 });
    expect(paid).toEqual([wordsOf(first)]);
  });

  test("asks for what that one has begun in the words of then, in each attempt", async () => {
    breaks = true;
    await expect(pays("r_1c", "r_1c")).rejects.toMatchObject({ code: "tool" });
    breaks = false;
    expect(await pays("r_2c", "r_1c")).toEqual({ number: 1 });
    expect(await pays("r_2c", "r_1c")).toEqual({ number: 1 });
    expect(paid).toEqual([wordsOf("r_1c")]);
  });

  test("does in the words of then what may be done again under its key, in each attempt", async () => {
    breaks = true;
    for (const run of ["r_1a", "r_2a", "r_2a", "r_3a"])
      await expect(pays(run, "r_1a", { call: 1, tool: "pay.again" })).rejects.toMatchObject({ code: "tool" });
    breaks = false;
    await pays("r_3a", "r_1a", { call: 1, tool: "pay.again" });
    expect(paid).toEqual(Array.from({ length: 5 }, () => wordsOf("r_1a")));
  });

  test("pays what is another call all the same", async () => {
    await pays("r_1a", "r_1a", { call: 2 });
    await pays("r_2a", "r_1a", { call: 2, arguments: { ...wordsOf("r_2a"), ref: "another" } });
    expect(paid).toHaveLength(2);
  });
});

test("a call that a budget does not let be repeated may still have happened, and is repeated under its key once there is more", async () => {
  sent = [];
  const tool = "mail.note";
  const capped = (toolCalls: number) => ({ budgets: [{ scope: "run:r_12", caps: { toolCalls }, onExceed: "fail" as const }] });
  const stateOf = async (call: number): Promise<string | undefined> =>
    (await database.effect.findFirst({ where: { key: "r_12:step", call } }))?.state;
  await expect(attempt("r_12", { tool, to: "limbo" }, capped(1))).rejects.toMatchObject({ code: "tool" });
  const refused = { code: "budget_exceeded", problem: { mayHaveHappened: true } };
  await expect(attempt("r_12", { tool, to: "limbo" }, capped(1))).rejects.toMatchObject(refused);
  expect(await stateOf(0)).toBe("open");
  await database.budget.updateMany({ where: { scope: "run:r_12" }, data: { caps: { toolCalls: 2 } } });
  await expect(attempt("r_12", { tool, to: "limbo" }, capped(1))).rejects.toMatchObject({ code: "tool" });
  expect(sent).toEqual(["r_12:step", "r_12:step"]);
  // One that was never begun has not happened.
  await expect(attempt("r_12", { tool, call: 1 }, capped(1))).rejects.not.toMatchObject(refused);
  expect(await stateOf(1)).toBe("failed");
});

test("a call that its budget's wall time cuts may have happened", async () => {
  const budgets = [{ scope: "run:r_7", caps: { wallTimeMs: 1_100 }, onExceed: "pause" as const }];
  const cut = { code: "budget_exceeded", problem: { onExceed: "pause", budgets: [{ scope: "run:r_7", unit: "wallTime", max: 1_100 }] } };
  await expect(attempt("r_7", { to: "nowhere" }, { budgets })).rejects.toMatchObject(cut);
  await expect(attempt("r_7", { to: "nowhere" }, { budgets })).rejects.toMatchObject({ code: "effect_unknown" });
  await expect(attempt("r_7", { call: 1 }, { budgets })).rejects.toMatchObject({ code: "budget_exceeded" });
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
  await attempt("r_11", {});
  const effects = new EffectLedger(database);
  const context = testContext({ runId: "r_11", idempotencyKey: "r_11:step" });
  const known = await effects.known({ tool: "mail.send", arguments: { to: "ada" } }, 0, context);
  expect(known).toMatchObject({ output: { number: 1 }, effect: { key: "r_11:step" } });
  await effects.discard(known!.effect!);
  await attempt("r_11", {});
  expect(sent).toHaveLength(2);
});
