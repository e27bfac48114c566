import { expect, test } from "@jest/globals";
import type { Database } from "../../prisma/client.ts";
import { removeOld } from "../../prisma/retention.ts";
import { ownPostgres } from "./own-postgres.ts";

let database: Database;
ownPostgres((opened) => (database = opened));

const daysAgo = (days: number): Date => new Date(Date.now() - days * 24 * 3_600_000);
const common = { tenant: "default", workflow: "w", version: "1.0.0" };

/** `ended`: days ago; without it the run is at work. */
const run = (id: string, ended?: number, more: { parentId?: string; retryOf?: string; forkOf?: string } = {}) =>
  database.run.create({
    data: {
      ...common,
      ...more,
      id,
      planHash: "",
      status: ended === undefined ? "running" : "failed",
      temporalRunId: "x",
      startedBy: "ada",
      startedAt: daysAgo(500),
      endedAt: ended === undefined ? null : daysAgo(ended),
    },
  });

/** An effect, a call of a model and a settled version under a root, all of so many days ago. */
async function trace(root: string, days: number): Promise<void> {
  const [at, tenant, version] = [daysAgo(days), "default", "1.0.0"];
  const effect = { tool: "mail.send", version, effect: "write", state: "done", token: "t", attempt: 1 };
  await database.effect.create({
    data: { tenant, key: `${root}:a`, call: 0, argsHash: "", runId: root, path: "a", ...effect, openedAt: at },
  });
  await database.toolPin.create({ data: { tenant, root, tool: "mail.send", range: "^1", version, settledAt: at } });
  const call = { attempt: 1, callIndex: 0, execution: "x", stepPath: "a", provider: "p", model: "m", wanted: "m", position: 0 };
  await database.modelCall.create({
    data: { tenant, runId: root, effectKey: `${root}:a`, effectRoot: root, ...call, status: "answered", startedAt: at },
  });
}

test("what a run has done is kept as long as anything could repeat it", async () => {
  // Over with all that came of it.
  await run("over", 450);
  await run("over.call", 440, { parentId: "over" });
  await run("again", 420, { retryOf: "over" });
  // Something goes on from it, or could.
  await run("forked", 450);
  await run("forked.call", 450, { parentId: "forked" });
  await run("fork", 450, { forkOf: "forked.call" });
  await run("retried", 390, { retryOf: "fork" });
  await run("alive");
  await run("alive.call", 450, { parentId: "alive" });
  await run("young", 10);
  for (const root of ["over", "over.call", "forked", "fork", "alive.call", "unknown"]) await trace(root, 450);
  await trace("young", 20);
  await removeOld(database);
  const kept = ["alive.call", "fork", "forked", "young"];
  expect((await database.effect.findMany()).map(({ runId }) => runId).toSorted()).toEqual(kept);
  expect((await database.toolPin.findMany()).map(({ root }) => root).toSorted()).toEqual(kept);
  expect((await database.modelCall.findMany()).map(({ effectRoot }) => effectRoot).toSorted()).toEqual(kept);
});

test("messages are kept until they are over for long", async () => {
  const kinds: [name: string, status: string, endedAgo: number | null, more?: { recipientKind?: string; isReply?: true }][] = [
    ["answered", "answered", 95],
    ["taken", "delivered", null, { recipientKind: "webhook" }],
    ["reply", "delivered", null, { isReply: true }],
    ["waits", "delivered", null],
    ["works", "working", null],
    ["goes", "accepted", null],
    ["died lately", "dead", 5],
  ];
  for (const [index, [type, status, endedAgo, { recipientKind = "agent", isReply } = {}]] of kinds.entries()) {
    const id = (number: number): string => `00000000-0000-8000-8000-${String(number).padStart(12, "0")}`;
    const sender = { tenant: "default", senderKind: "person", sender: "ada" };
    const delivery = { ...sender, recipientKind, recipient: "bob", status, endedAt: endedAgo === null ? null : daysAgo(endedAgo) };
    const times = { createdAt: daysAgo(100) };
    await database.agentMessage.create({
      data: {
        ...sender,
        ...times,
        id: id(index),
        type,
        payload: {},
        correlationId: "c",
        requestHash: "",
        ...(isReply ? { replyTo: id(0) } : {}),
        deliveries: { create: [{ ...delivery, ...times }] },
      },
    });
  }
  await removeOld(database);
  const left = await database.agentMessage.findMany({ include: { deliveries: true } });
  expect(left.map(({ type }) => type).toSorted()).toEqual(["died lately", "goes", "waits", "works"]);
  expect(await database.messageDelivery.count()).toBe(4);
});
