import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Budgets } from "../../activities/budgets.ts";
import { Embeddings } from "../../activities/embeddings.ts";
import { ModelCalls } from "../../activities/model-calls.ts";
import { createModels } from "../../activities/models.ts";
import { Prices } from "../../activities/prices.ts";
import { QuotaLines } from "../../activities/quota-lines.ts";
import { Quotas } from "../../activities/quotas.ts";
import { noSecrets } from "../../activities/redact.ts";
import { NANO } from "../../contracts/budgets.ts";
import { limits } from "../../contracts/limits.ts";
import { findBudgets } from "../../prisma/budgets.ts";
import { openDatabase, type Database } from "../../prisma/client.ts";
import { forgetMemory, purgeMemories, remember, removeExpiredMemories, searchMemories, type Memory } from "../../prisma/memories.ts";
import { migrate } from "../../prisma/migrate.ts";
import { claimUnembedded, hasEmbedded, keepEmbedding, takeUpVectors, whyNoVectors } from "../../prisma/vectors.ts";
import { provideVectors, removeVectors } from "../servers/vector-stand-in.ts";
import { startModelServer, type ModelServer } from "../servers/model-server.ts";
import { testContext } from "../work-context.ts";
import { facts, uniqueName } from "./client.ts";

// A database of its own, which gains and loses what others need.
const name = uniqueName("vectors").replaceAll("-", "_");
const model = "openai/small";
let server: Database;
let database: Database;

beforeAll(async () => {
  server = openDatabase(facts.databaseUrl, 1);
  await server.$executeRawUnsafe(`CREATE DATABASE ${name}`);
  const url = facts.databaseUrl.replace(/\/[^/]*$/, `/${name}`);
  await migrate(url);
  database = openDatabase(url, 4);
});

afterAll(async () => {
  await database.$disconnect();
  await server.$executeRawUnsafe(`DROP DATABASE ${name} WITH (FORCE)`);
  await server.$disconnect();
});

interface Owner {
  tenant: string;
  agent: string;
}

let written = 0;
const owned = (): Owner => ({ tenant: "acme", agent: `agent${(written += 1)}` });

const write = (owner: Owner, text: string, more: { subject?: string; ttlMs?: number } = {}): Promise<Memory> =>
  remember(database, { ...owner, text, ttlMs: 60_000, key: `k${(written += 1)}`, writtenBy: "ada", ...more });

async function embed({ id }: Memory, vector: number[], by = model): Promise<void> {
  await database.$transaction((transaction) => keepEmbedding(transaction, id, { model: by, vector }));
}

const found = async (owner: Owner, text: string, vector?: number[], more: object = {}): Promise<string[]> => {
  const meaning = vector && { model, vector };
  return (await searchMemories(database, { ...owner, ...more }, { text, meaning, max: 10 })).map(({ text: of }) => of);
};

const vectorCount = async (): Promise<number> => {
  const [row] = await database.$queryRaw<{ count: number }[]>`SELECT count(*)::int FROM memory_vectors`;
  return row!.count;
};

test("a database that cannot compare vectors is searched by words, and says what it lacks", async () => {
  const owner = owned();
  await write(owner, "Invoices are due in May.");
  expect(await hasEmbedded(database, owner)).toBe(false);
  expect(await found(owner, "invoice")).toEqual(["Invoices are due in May."]);
  const lack = await whyNoVectors(database);
  // Where the server of the tests has the extension, nothing is in the way.
  if (lack) expect([lack.why, await takeUpVectors(database)]).toEqual(["the Postgres server has no pgvector", false]);
});

test("it is taken up when it can, by one of many at once; what a lost table held is to be made again", async () => {
  const memory = await write(owned(), "A fact.");
  const kind = await provideVectors(database);
  expect(await Promise.all(Array.from({ length: 4 }, () => takeUpVectors(database)))).toContain(true);
  expect(await takeUpVectors(database)).toBe(true);
  await embed(memory, [1, 0]);
  await removeVectors(database);
  await provideVectors(database);
  expect(await takeUpVectors(database)).toBe(true);
  expect(await database.memory.findUnique({ where: { id: memory.id } })).toMatchObject({ embeddedBy: null });
  process.stderr.write(`Searching by meaning is tested with ${kind}.\n`);
});

describe("a search by meaning", () => {
  test("finds what shares no word, nearest first, and nothing that is too far", async () => {
    const owner = owned();
    const texts: [string, number[]][] = [
      ["Volvo", [1, 0]],
      ["Bicycle", [1, 1]],
      ["Sonata", [0, 1]],
      ["Nothing at all", [0, 0]],
    ];
    for (const [text, vector] of texts) await embed(await write(owner, text), vector);
    expect(await found(owner, "car", [1, 0.1])).toEqual(["Volvo", "Bicycle"]);
    expect(await found(owner, "car")).toEqual([]);
  });

  test("ranks by the sum of both places, whatever their measures", async () => {
    const owner = owned();
    await embed(await write(owner, "paint paint paint"), [0, 1]);
    await embed(await write(owner, "paint for the car"), [1, 0.2]);
    await embed(await write(owner, "a Volvo"), [1, 0]);
    const meaning = { model, vector: [1, 0] };
    const ranked = await searchMemories(database, owner, { text: "paint", meaning, max: 10 });
    const at = (place: number) => 1 / (limits.memoryRankOffset + place);
    // The newest of two that are first in one list alone goes first.
    expect(ranked.map(({ text, rank }) => [text, rank])).toEqual([
      ["paint for the car", expect.closeTo(at(2) + at(2), 9)],
      ["a Volvo", expect.closeTo(at(1), 9)],
      ["paint paint paint", expect.closeTo(at(1), 9)],
    ]);
  });

  test("stays with the agent, the tenant and the subject, and knows nothing that has expired", async () => {
    const owner = owned();
    const others = [
      { ...owner, agent: "other" },
      { ...owner, tenant: "globex" },
    ];
    for (const other of others) await embed(await write(other, "theirs"), [1, 0]);
    await embed(await write(owner, "about Bob", { subject: "bob" }), [1, 0]);
    await embed(await write(owner, "general"), [1, 0]);
    const gone = await write(owner, "expired", { ttlMs: 0 });
    await database.memory.update({ where: { id: gone.id }, data: { embeddedBy: model } });
    expect((await found(owner, "x", [1, 0])).toSorted()).toEqual(["about Bob", "general"]);
    expect(await found(owner, "x", [1, 0], { subject: "ada", andGeneral: true })).toEqual(["general"]);
    expect(await found(owner, "x", [1, 0], { subject: "bob" })).toEqual(["about Bob"]);
    for (const other of others) expect(await found(other, "x", [1, 0])).toEqual(["theirs"]);
  });

  test("never compares vectors of two models, or of two lengths", async () => {
    const owner = owned();
    const memory = await write(owner, "Volvo");
    await embed(memory, [1, 0], "openai/large");
    expect(await found(owner, "car", [1, 0])).toEqual([]);
    expect([await hasEmbedded(database, owner, model), await hasEmbedded(database, owner)]).toEqual([false, true]);
    await embed(memory, [1, 0, 0]);
    expect(await found(owner, "car", [1, 0])).toEqual([]);
    expect(await found(owner, "car", [1, 0, 0])).toEqual(["Volvo"]);
  });
});

describe("a memory that has no embedding yet", () => {
  const dueNow = (owner: Owner) => database.memory.updateMany({ where: owner, data: { embedAt: new Date(Date.now() - 1_000) } });

  test("is given to one worker, and again later and later until it has one; another model's counts for none", async () => {
    await database.memory.updateMany({ data: { embedAt: new Date(Date.now() + 60_000) } });
    const owner = owned();
    const memories = await Promise.all(["a", "b", "c", "d"].map((text) => write(owner, text)));
    const claims = await Promise.all([1, 2, 3, 4].map(() => claimUnembedded(database, model, { max: 2 })));
    expect(
      claims
        .flat()
        .map(({ text }) => text)
        .toSorted(),
    ).toEqual(["a", "b", "c", "d"]);
    expect(await claimUnembedded(database, model, { max: 9 })).toEqual([]);
    const waits: number[] = [];
    for (let tries = 2; tries <= 9; tries++) {
      await dueNow(owner);
      const [claim] = await claimUnembedded(database, model, { max: 1, id: memories[0]!.id });
      expect(claim).toEqual({ id: memories[0]!.id, ...owner, text: "a", tries });
      const { embedAt } = await database.memory.findUniqueOrThrow({ where: { id: claim!.id } });
      waits.push(Math.round((embedAt.getTime() - Date.now()) / limits.embedAgainMs));
    }
    expect(waits).toEqual([2, 4, 8, 16, 32, 60, 60, 60]);
    await embed(memories[0]!, [1, 0]);
    await dueNow(owner);
    expect(await claimUnembedded(database, model, { max: 9, id: memories[0]!.id })).toEqual([]);
    expect(await claimUnembedded(database, "openai/large", { max: 9, id: memories[0]!.id })).toHaveLength(1);
  });

  test("is none to be embedded once it was forgotten", async () => {
    const owner = owned();
    const memory = await write(owner, "a");
    await forgetMemory(database, memory.id, { ...owner, by: "ada" });
    const before = await vectorCount();
    await embed(memory, [1, 0]);
    expect(await vectorCount()).toBe(before);
  });
});

describe("a step that remembers, and searches", () => {
  let models: ModelServer;
  const { embedQueryMs } = limits;
  beforeAll(async () => {
    models = await startModelServer();
    // Who asks is patient where no model is slow: a machine may stall for a second.
    Object.assign(limits, { embedQueryMs: 60_000 });
  });
  afterAll(() => models.close());

  const open = (quotas: string[] = []): Embeddings =>
    new Embeddings({
      database,
      models: createModels({ TENUTO_MODELS: ["embedding=openai/small"], OPENAI_BASE_URL: `${models.url}/v1` }),
      modelCalls: new ModelCalls(database, { prices: new Prices(database, ["openai/small=1000/0"]), budgets: new Budgets(database) }),
      quotas: new Quotas(database, new QuotaLines(), quotas),
      redact: noSecrets,
    });
  const step = (more: object = {}) => {
    const runId = uniqueName("r");
    return testContext({ tenant: "acme", runId, idempotencyKey: `${runId}:step`, ...more });
  };
  const callsOf = (runId: string) => database.modelCall.findMany({ where: { runId } });
  const remembered = async (owner: Owner, asker: ReturnType<typeof step>, embeddings = open()): Promise<string | null> => {
    const { id } = await write(owner, "Ada drives a Volvo.");
    await embeddings.ofWritten(id, asker, limits.embedMs);
    return (await database.memory.findUniqueOrThrow({ where: { id } })).embeddedBy;
  };

  test("pays for each once, under its budgets, and does not ask when there is nothing to compare with", async () => {
    const [owner, asker] = [owned(), step()];
    const scope = `run:${asker.runId}`;
    const budgets = [{ scope, caps: { nanoUsd: NANO }, onExceed: "fail" as const }];
    const embeddings = open();
    expect(await embeddings.ofQuery("Alan's daily vehicle", owner, asker)).toBeUndefined();
    expect(models.requests).toHaveLength(0);
    expect(await remembered(owner, { ...asker, budgets }, embeddings)).toBe("openai/small");
    for (const _ of ["first", "again, after its worker died"])
      expect(await embeddings.search(owner, { text: "Alan's daily vehicle", max: 3 }, { ...asker, budgets })).toMatchObject([
        { text: "Ada drives a Volvo." },
      ]);
    expect(models.requests).toHaveLength(2);
    // 10 tokens each, a dollar for a thousand.
    expect(await callsOf(asker.runId)).toMatchObject(
      [1, 2].map(() => ({ status: "answered", wanted: "embedding", agent: owner.agent, costUsd: 0.01 })),
    );
    const [budget] = await findBudgets(database, "acme", [scope]);
    expect(budget).toMatchObject({ spent: { nanoUsd: 0.02 * NANO, modelCalls: 2, tokens: 20 }, reserved: { nanoUsd: 0, tokens: 0 } });
  });

  test.each([
    ["fails", {}, { status: 500 }],
    ["gives no vector", {}, { body: JSON.stringify({ data: [{ index: 0, embedding: [] }] }) }],
    ["may not be paid", { budgets: [{ scope: "run:poor", caps: { tokens: 3 }, onExceed: "fail" as const }] }, undefined],
  ])("goes on by words when the model %s", async (_, more, reply) => {
    const [owner, asker] = [owned(), step(more)];
    if (reply) models.script(reply);
    expect(await remembered(owner, asker)).toBeNull();
    await embed(await write(owner, "Bob walks."), [1, 0]);
    if (reply) models.script(reply);
    const found = await open().search(owner, { text: "Volvo", max: 3 }, asker);
    expect(found.map(({ text }) => text)).toEqual(["Ada drives a Volvo."]);
    expect((await callsOf(asker.runId)).map(({ status }) => status)).toEqual(reply ? ["failed", "failed"] : []);
  });

  test("goes on by words when the model is slow, or has no turn in time", async () => {
    const owner = owned();
    await embed(await write(owner, "Bob walks."), [1, 0]);
    let tell = (): void => undefined;
    models.script({ until: new Promise((told) => (tell = told)) });
    Object.assign(limits, { embedQueryMs });
    expect(await open().ofQuery("x", owner, step())).toBeUndefined();
    tell();
    Object.assign(limits, { embedQueryMs: 60_000 });
    const busy = open(["openai/small=1/-@1h"]);
    expect(await busy.ofQuery("x", owner, step())).toBeDefined();
    expect(await busy.ofQuery("y", owner, step())).toBeUndefined();
  });

  test("pays for a vector and keeps it in one transaction", async () => {
    const [owner, asker] = [owned(), step()];
    await database.$executeRawUnsafe("ALTER TABLE memory_vectors ADD CONSTRAINT none CHECK (size = 0) NOT VALID");
    const kept = remembered(owner, asker);
    while ((await callsOf(asker.runId)).length === 0) await sleep(20);
    await sleep(200);
    expect(await callsOf(asker.runId)).toMatchObject([{ status: "open", costUsd: null }]);
    await database.$executeRawUnsafe("ALTER TABLE memory_vectors DROP CONSTRAINT none");
    expect(await kept).toBe("openai/small");
    expect(await callsOf(asker.runId)).toMatchObject([{ status: "answered", costUsd: 0.01 }]);
  });
});

test("what is forgotten, purged or expired leaves no vector", async () => {
  await purgeAll();
  const owner = owned();
  const [one, , , last] = await Promise.all(["a", "b", "c", "d"].map((text) => write(owner, text, text === "b" ? { subject: "bob" } : {})));
  for (const memory of await database.memory.findMany({ where: owner })) await embed(memory, [1, 0]);
  expect(await vectorCount()).toBe(4);
  await forgetMemory(database, one!.id, { ...owner, by: "ada" });
  await purgeMemories(database, { ...owner, subject: "bob", by: "ada" });
  expect(await vectorCount()).toBe(2);
  await database.memory.update({ where: { id: last!.id }, data: { expiresAt: new Date() } });
  await removeExpiredMemories(database);
  expect(await vectorCount()).toBe(1);
  await purgeMemories(database, { ...owner, by: "ada" });
  expect(await vectorCount()).toBe(0);
});

const purgeAll = () => database.memory.deleteMany({});
