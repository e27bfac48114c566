import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { Budgets } from "../../activities/budgets.ts";
import { EffectLedger } from "../../activities/effects.ts";
import { createHttp } from "../../activities/http.ts";
import { createHttpStep } from "../../activities/http-step.ts";
import { createRedact } from "../../activities/redact.ts";
import type { Worked } from "../../activities/step.ts";
import type { HttpFields } from "../../contracts/activities.ts";
import type { Problem } from "../../contracts/faults.ts";
import type { Json } from "../../contracts/json.ts";
import type { Database } from "../../prisma/client.ts";
import { startLedgerServer, type LedgerServer } from "../servers/ledger-server.ts";
import type { Reply } from "../servers/scripted-server.ts";
import { testContext } from "../work-context.ts";
import { ownPostgres } from "./own-postgres.ts";

let database: Database;
ownPostgres((opened) => (database = opened));

let server: LedgerServer;
let run: string;
beforeEach(async () => {
  server = await startLedgerServer();
  run = `r_${randomUUID().slice(0, 8)}`;
});
afterEach(() => server.close());

const SECRET = "canary-0123456789";

/** One attempt of the step, which keeps its result; each knows only what the ledger does. */
async function attempt(more: Partial<HttpFields> = {}, timeoutMs = 5_000): Promise<Worked> {
  const effects = new EffectLedger(database);
  const http = createHttp({ allow: ["127.0.0.1"] });
  const step = createHttpStep({ database, http, effects, redact: createRedact([SECRET]), budgets: new Budgets(database) });
  const fields = { method: "POST", url: [`${server.url}/x`], headers: {}, query: {}, idempotent: false, ...more };
  const context = testContext({ timeoutMs, runId: run, idempotencyKey: `${run}:step` });
  // It needs nothing that only an activity knows.
  const worked = await step(fields, {}, context as Parameters<typeof step>[2]);
  if (worked.effect) await effects.done(worked.effect, worked.output);
  return worked;
}

const problemOf = async (attempted: Promise<unknown>): Promise<Problem> =>
  (
    (await attempted.then(
      () => undefined,
      (error: unknown) => error,
    )) as { problem: Problem }
  ).problem;

/** The problem of the last of some attempts. */
async function lastOf(replies: Reply[], more: Partial<HttpFields> = {}, timeoutMs?: number): Promise<Problem> {
  server.script("/x", ...replies);
  let last: Problem | undefined;
  for (const _ of replies) last = await problemOf(attempt(more, timeoutMs));
  return last!;
}

const sent = (): number => server.calls("/x").length;
const rows = () => database.effect.findMany({ where: { runId: run } });

describe("after", () => {
  test.each<[string, Reply]>([
    ["502", { status: 502 }],
    ["a gateway's 408", { status: 408 }],
    ["a connection that is cut", { cut: "before" }],
    ["a body that is cut", { cut: "middle", body: "x".repeat(1_000) }],
    ["JSON that is none", { headers: { "content-type": "application/json" }, body: "{" }],
    ["a reserved key", { body: '{"a":{"$tenutoRef":"00"}}' }],
    ["a result to be read elsewhere that is not there", { status: 303, headers: { location: "/y" } }],
  ])("%s it may have happened, and one that is not idempotent is not sent again but asked about", async (_, reply) => {
    server.script("/y", { status: 404 });
    expect(await lastOf([reply])).toMatchObject({ mayHaveHappened: true });
    expect(await problemOf(attempt())).toMatchObject({ code: "effect_unknown", effectKey: `${run}:step` });
    expect(sent()).toBe(1);
  });

  test("a timeout, too", async () => {
    expect(await lastOf([{ delayMs: 5_000 }], {}, 1_000)).toMatchObject({ code: "timeout" });
    expect(await problemOf(attempt())).toMatchObject({ code: "effect_unknown" });
    expect(sent()).toBe(1);
  });

  test.each<[string, Reply[]]>([
    ["a refusal after a 502", [{ status: 502 }, { status: 409 }]],
    ["refusals after a cut", [{ cut: "before" }, { status: 429 }, { status: 429 }]],
    ["400 after a timeout", [{ delayMs: 5_000 }, { status: 400 }]],
  ])("%s one that is idempotent is sent again, and may have happened", async (_, replies) => {
    expect(await lastOf(replies, { idempotent: true }, 1_000)).toMatchObject({ mayHaveHappened: true });
    expect(sent()).toBe(replies.length);
    expect(new Set(server.calls("/x").map(({ headers }) => headers["idempotency-key"]))).toEqual(new Set([`${run}:step`]));
  });

  test.each<[string, Reply[]]>([
    ["400", [{ status: 400 }]],
    ["429 time and again", [{ status: 429 }, { status: 429 }, { status: 429 }]],
    ["409 after 425", [{ status: 425 }, { status: 409 }]],
  ])("%s it has not happened, and is sent again", async (_, replies) => {
    expect(await lastOf(replies)).not.toHaveProperty("mayHaveHappened");
    expect(sent()).toBe(replies.length);
  });
});

test("where nobody listens it has not happened", async () => {
  const gone = await startLedgerServer();
  await gone.close();
  const url = [gone.url];
  for (const _ of [1, 2]) expect(await problemOf(attempt({ url }))).not.toHaveProperty("mayHaveHappened");
  expect(await rows()).toMatchObject([{ state: "failed" }]);
});

test("one that is idempotent is sent again, a PUT that is called otherwise is asked about", async () => {
  server.script("/x", { status: 502 }, { status: 201, body: '"made"' });
  await attempt({ idempotent: true }).catch(() => undefined);
  expect(await attempt({ idempotent: true })).toMatchObject({ output: { status: 201, body: "made" }, checked: "made" });
  run = `${run}b`;
  server.script("/x", { status: 502 });
  await attempt({ method: "PUT", idempotent: false }).catch(() => undefined);
  expect(await problemOf(attempt({ method: "PUT", idempotent: false }))).toMatchObject({ code: "effect_unknown" });
});

test("what was done is told again, not done again; another token makes no other call of it, another body does", async () => {
  const pay = (token: string, body: Json): Promise<Worked> => attempt({ headers: { authorization: token }, body });
  const first = await pay("Bearer a", { amount: 5 });
  expect(await pay("Bearer b", { amount: 5 })).toMatchObject({ output: first.output, checked: first.checked });
  expect(sent()).toBe(1);
  await pay("Bearer b", { amount: 6 });
  expect(sent()).toBe(2);
  // A field that is called like a secret may be what the call is about.
  const put = (key: string): Promise<Worked> => attempt({ method: "PUT", query: { key } });
  run = `${run}c`;
  await put("a");
  await put("b");
  expect(sent()).toBe(4);
});

test("what only reads is not in the ledger, whatever its method", async () => {
  await attempt({ method: "GET" });
  await attempt({ effect: "read" });
  expect(sent()).toBe(2);
  expect(await rows()).toEqual([]);
  await attempt({ method: "GET", effect: "write" });
  expect(await rows()).toMatchObject([{ tool: `GET ${server.url}/x`, effect: "write", state: "done" }]);
});

test("who is asked sees what was sent, and no secret of it", async () => {
  const asked = { headers: { "x-api-key": "given", "x-team": "a" }, query: { token: "given", page: 1 }, body: { note: `of ${SECRET}` } };
  server.script("/x", { status: 502 });
  await attempt(asked).catch(() => undefined);
  const problem = await problemOf(attempt(asked));
  expect(problem).toMatchObject({ arguments: { headers: { "x-team": "a" }, query: { page: 1 }, body: { note: "of [secret]" } } });
  expect(JSON.stringify(problem)).not.toMatch(/given|canary/);
});

test("a person's word is its result, or lets it be sent again", async () => {
  server.script("/x", { status: 502 });
  await attempt().catch(() => undefined);
  const { effect } = await problemOf(attempt());
  const told = { by: "ada", effect: effect as string };
  const result = { status: 201, headers: {}, body: "made" };
  expect(await attempt({ told: { ...told, happened: true, result } })).toMatchObject({ output: result, checked: "made" });
  expect(sent()).toBe(1);

  run = `${run}b`;
  server.script("/x", { status: 502 });
  await attempt().catch(() => undefined);
  const second = await problemOf(attempt());
  await attempt({ told: { by: "ada", effect: second["effect"] as string, happened: false } });
  expect(sent()).toBe(3);
});
