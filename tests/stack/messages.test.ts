import { randomUUID } from "node:crypto";
import { afterAll, describe, expect, test } from "@jest/globals";
import type { Json } from "../../contracts/json.ts";
import { limits } from "../../contracts/limits.ts";
import { openDatabase, type Database } from "../../prisma/client.ts";
import { busyMailboxes, forgottenLanes } from "../../prisma/deliveries.ts";
import { acceptOfRun } from "../../prisma/run-messages.ts";
import { admin, facts, host, Model, Place, uniqueName, type Client, type Page, type Run } from "./client.ts";
import { begun, broken, call, failed } from "./going-on.ts";

interface DeliveryBody {
  to: { kind: string; name: string };
  status: string;
  round: number;
  attempts: number;
  problem: { code: string; detail: string } | null;
  runId: string | null;
  replyId: string | null;
}

interface MessageBody {
  id: string;
  from: { kind: string; name: string };
  correlationId: string;
  replyTo: string | null;
  payload: Json;
  deliveries: DeliveryBody[];
}

const publish = async (model: Model, more: object = {}): Promise<string> => {
  const name = uniqueName("agent");
  const body = { name, version: "1.0.0", instructions: "You answer.", model: model.wanted, ...more };
  expect(await admin.post("/api/v2/agents", body)).toMatchObject({ status: 201 });
  return name;
};

const change = async (name: string, state: string, more: object = {}): Promise<void> => {
  expect(await admin.post(`/api/v2/agents/${name}/state`, { state, why: "test", ...more })).toMatchObject({ status: 200 });
};

const post = (body: object, key?: string, by: Client = admin) =>
  by.post<{ id: string }>("/api/v2/messages", { messageType: "question", ...body }, key);

const send = async (body: object, by: Client = admin): Promise<string> => {
  const answer = await post(body, undefined, by);
  expect(answer).toMatchObject({ status: 202 });
  return answer.body.id;
};

const read = async (id: string): Promise<MessageBody> => (await admin.get<MessageBody>(`/api/v2/messages/${id}`)).body;

const list = async (query: string, by: Client = admin): Promise<MessageBody[]> =>
  (await by.get<Page<MessageBody>>(`/api/v2/messages?limit=200&${query}`)).body.data;

/** The message's first delivery, once it has come so far: a server that has just come back may take no word yet, and what is forgotten is looked for twice a minute. */
async function delivered(id: string, ...statuses: string[]): Promise<DeliveryBody> {
  for (const patience = Date.now() + 75_000; ; await new Promise((later) => setTimeout(later, 20))) {
    const answer = await admin.get<MessageBody>(`/api/v2/messages/${id}`);
    const [delivery] = answer.status === 200 ? answer.body.deliveries : [];
    if (delivery && statuses.includes(delivery.status)) return delivery;
    if (Date.now() > patience) throw new Error(`Message ${id}: ${JSON.stringify(delivery)}`);
  }
}

const ended = (id: string): Promise<DeliveryBody> => delivered(id, "answered", "failed", "dead");
const redrive = (id: string) => admin.post(`/api/v2/messages/${id}/redrive`);
const startsOf = (agent: string) =>
  admin.get<Page<{ id: string; startedAt: string }>>(`/api/v2/runs?workflow=agent.${agent}&limit=200`).then(({ body }) => body.data);

const ask = (to: string, more: object = {}) => ({ id: "ask", type: "message", to, messageType: "question", replyTimeout: "60s", ...more });

async function withDatabase<T>(work: (database: Database) => Promise<T>): Promise<T> {
  const database = openDatabase(facts.databaseUrl);
  try {
    return await work(database);
  } finally {
    await database.$disconnect();
  }
}

const deliveryRow = (messageId: string) =>
  withDatabase((database) => database.messageDelivery.findFirst({ where: { messageId }, include: { message: true } }));

/** Messages like one that is there, with deliveries like its first. */
async function fillWith(database: Database, like: string, count: number, changed: object): Promise<void> {
  const { deliveries, payload, ...message } = await database.agentMessage.findUniqueOrThrow({
    where: { id: like },
    include: { deliveries: true },
  });
  const { seq: _seq, problem: _problem, ...delivery } = deliveries[0]!;
  const ids = Array.from({ length: count }, () => randomUUID());
  await database.agentMessage.createMany({ data: ids.map((id) => ({ ...message, id, payload: payload!, budgets: [] })) });
  await database.messageDelivery.createMany({ data: ids.map((messageId) => ({ ...delivery, messageId, ...changed })) });
}

afterAll(() => host.heal());

describe("a message to an agent", () => {
  test("is answered by a run of the agent, with a message of the same correlation id", async () => {
    const model = new Model();
    await model.script({ text: "It is 8." });
    const name = await publish(model);
    const robot = await admin.withKey({ principal: "shop", kind: "service", roles: ["developer"] });
    const id = await send({ to: name, payload: { double: 4 }, correlationId: name }, robot);
    const delivery = await ended(id);
    expect(delivery).toMatchObject({ status: "answered", problem: null, attempts: 0 });
    expect(await read(id)).toMatchObject({ from: { kind: "service", name: "shop" }, payload: { double: 4 } });
    expect(await read(delivery.replyId!)).toMatchObject({ from: { kind: "agent", name }, payload: "It is 8.", replyTo: id });
    expect(await admin.run(delivery.runId!).read()).toMatchObject({
      status: "completed",
      workflow: `agent.${name}`,
      startedBy: `message ${id}`,
    });
    expect((await list(`correlationId=${name}`)).map((each) => each.id)).toEqual([delivery.replyId, id]);
    expect(await list(`agent=${name}&status=answered`)).toMatchObject([{ id }]);
  });

  test("counts once under its key, and says who is unknown", async () => {
    const [name, key] = [await publish(new Model()), uniqueName()];
    const [first, second] = [await post({ to: name, payload: 1 }, key), await post({ to: name, payload: 1 }, key)];
    expect(second.body).toEqual(first.body);
    expect(await post({ to: name, payload: 2 }, key)).toMatchObject({ status: 409, body: { code: "idempotency_mismatch" } });
    expect(await post({ to: [name, "nobody-there"] })).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining("nobody-there") as unknown },
    });
    expect(await post({ to: { topic: "news" } })).toMatchObject({
      status: 422,
      body: { errors: [{ message: expect.stringContaining("topics are not yet available") as unknown }] },
    });
    expect(await post({ to: name, from: "somebody else" })).toMatchObject({ status: 422 });
    expect(await post({ to: name, payload: "x".repeat(300_000) })).toMatchObject({ status: 413 });
    await ended(first.body.id);
    expect(await list(`agent=${name}`)).toHaveLength(2);
  });

  test("that is paused waits; one that is stopped is dead, and goes on when it is sent again", async () => {
    const [pausedModel, stoppedModel] = [new Model(), new Model()];
    const [paused, stopped] = [await publish(pausedModel), await publish(stoppedModel)];
    await change(paused, "paused");
    await change(stopped, "stopped");
    const [waiting, dead] = [await send({ to: paused }), await send({ to: stopped })];
    expect(await ended(dead)).toMatchObject({ status: "dead", problem: { code: "agent_state" }, runId: null });
    expect(await stoppedModel.calls()).toEqual([]);
    expect(await delivered(waiting, "delivered")).toMatchObject({ runId: null });
    await change(paused, "active");
    await change(stopped, "active", { restart: true });
    expect((await redrive(dead)).status).toBe(202);
    expect(await Promise.all([ended(waiting), ended(dead)])).toMatchObject([
      { status: "answered", round: 1 },
      { status: "answered", round: 2 },
    ]);
    expect([(await pausedModel.calls()).length, (await stoppedModel.calls()).length]).toEqual([1, 1]);
  });

  test("from a step gives the step its answer, or an error of its own", async () => {
    const [model, silent] = [new Model(), new Model()];
    // Too long for the history: it travels by reference.
    const text = "It is 8. ".repeat(3_000);
    await model.script({ text }, { status: 401 });
    const [name, nobody] = [await publish(model), await publish(silent)];
    await change(nobody, "paused");
    const run = await admin.begin({ steps: [ask(name)] });
    expect(await run.end()).toMatchObject({ error: null, output: { from: name, type: "reply", payload: text } });
    expect((await list(`run=${run.id}`)).map(({ from }) => from.kind)).toEqual(["agent", "run"]);
    expect((await admin.finish({ steps: [ask(name)] })).error).toMatchObject({ type: "no_reply", reason: { type: "model" } });
    expect((await admin.finish({ steps: [ask(nobody, { replyTimeout: "300ms" })] })).error).toMatchObject({
      type: "no_reply",
      // Who is first to see that the time is over, the step or the mailbox, is a matter of load.
      detail: expect.stringMatching(/^Nobody answered in time|came to it when its sender waited no more/),
    });
    expect((await admin.finish({ steps: [ask("nobody-there")] })).error).toMatchObject({ type: "not_found", instance: "ask" });
  });
});

describe("a `message` step sends once", () => {
  const hook = async (): Promise<{ place: Place; to: { webhook: string } }> => {
    const [place, name] = [new Place(), uniqueName("hook")];
    await admin.request("PUT", `/api/v2/message-webhooks/${name}`, { body: { url: place.url } });
    return { place, to: { webhook: name } };
  };
  const notify = (to: object, more: object = {}) => ({
    id: "notify",
    type: "message",
    to,
    messageType: "news",
    payload: "${input}",
    ...more,
  });
  const idOf = async (run: Run) => ((await run.end()).output as { id: string }).id;

  test("in all retries of a run, of which one cannot know what the run before it came to", async () => {
    const { to } = await hook();
    const run = uniqueName("r");
    const said = { tenant: "default", to: [{ kind: "webhook" as const, name: to.webhook }], type: "news", depth: 0 };
    const send = (by: string, payload: Json, key = `${run}:notify`) =>
      withDatabase((database) => acceptOfRun(database, { ...said, run: by, key, payload }));
    const first = await send(run, 1);
    expect(await send(`${run}-retry`, 1)).toEqual({ ...first, sender: { kind: "run", name: run } });
    expect((await send(`${run}-retry`, 2)).id).not.toBe(first.id);
    expect((await send(`${run}-retry`, 1, `${run}:notify#2`)).id).not.toBe(first.id);
    expect(await list(`run=${run}`)).toHaveLength(1);
  });

  test("in a fork, unless it says something else, or is to do again what was done", async () => {
    const { place, to } = await hook();
    const run = await admin.begin({ steps: [notify(to)] }, { n: 1 });
    const id = await idOf(run);
    await delivered(id, "delivered");
    const fork = await begun(run, "fork", { from: "notify" });
    expect(await idOf(fork)).toBe(id);
    expect(await idOf(await begun(fork, "fork", { from: "notify" }))).toBe(id);
    const others = [await begun(run, "fork", { input: { n: 2 } }), await begun(run, "fork", { from: "notify", reexecuteEffects: true })];
    for (const other of others) await delivered(await idOf(other), "delivered");
    expect((await place.calls()).map(({ body }) => (JSON.parse(body) as { payload: Json }).payload)).toEqual([
      { n: 1 },
      { n: 2 },
      { n: 1 },
    ]);
  });

  test("but again in a fork when it was undone, and what undoes it in each", async () => {
    const { place, to } = await hook();
    const undo = { id: "withdraw", type: "message", to, messageType: "withdrawn", payload: "${input}" };
    const bad = new Place();
    await bad.script(broken, broken);
    const run = await failed({ steps: [notify(to, { compensate: [undo] }), call("bad", bad)] }, { n: 1 });
    const fork = await begun(run, "fork", { from: "notify" });
    expect(await fork.end()).toMatchObject({ status: "failed" });
    const types = (await place.calls(4)).map(({ body }) => (JSON.parse(body) as { messageType: Json }).messageType);
    expect(types).toEqual(["news", "withdrawn", "news", "withdrawn"]);
  });
});

test("an agent that comes to a request when nobody waits any more leaves it, unless somebody sends it again by hand", async () => {
  const model = new Model();
  const name = await publish(model);
  await change(name, "paused");
  const run = await admin.begin({ steps: [ask(name, { replyTimeout: "100ms" })] });
  expect((await run.end()).error).toMatchObject({ type: "no_reply" });
  const { id } = (await list(`run=${run.id}`)).find(({ from }) => from.kind === "run")!;
  await change(name, "active");
  expect(await delivered(id, "dead")).toMatchObject({ problem: { code: "no_reply" }, runId: null });
  expect(await model.calls()).toEqual([]);
  await redrive(id);
  expect(await delivered(id, "answered")).toMatchObject({ round: 2 });
});

test("an agent that is asked spends the budgets of the step that waits, and of no other", async () => {
  const model = new Model();
  const name = await publish(model);
  const tell = { id: "tell", type: "message", to: name, messageType: "news" };
  const budget = { modelCalls: 1, onExceed: "fail" };
  const run = await admin.begin({ budget, steps: [tell, ask(name), { ...ask(name), id: "again" }] });
  const { error } = await run.end();
  expect(error).toMatchObject({ type: "no_reply", instance: "again" });
  expect(JSON.stringify(error)).toContain("budget_exceeded");
  await model.calls(2);
  const { body } = await admin.get<{ budgets: object[] }>(`/api/v2/runs/${run.id}/budget`);
  expect(body.budgets).toMatchObject([{ scope: `run:${run.id}`, modelCalls: { max: 1, spent: 1, reserved: 0 } }]);
});

test("a webhook gets signed messages in their order, and each is tried again or dead", async () => {
  const [place, name] = [new Place(), uniqueName("hook")];
  await place.script({ status: 500 }, { status: 200 }, { status: 400 }, { status: 200 });
  const put = (url: string) => admin.request("PUT", `/api/v2/message-webhooks/${name}`, { body: { url, secret: "test" } });
  expect(await put(place.url)).toMatchObject({ status: 200 });
  const first = await send({ to: { webhook: name }, payload: 1 });
  const second = await send({ to: { webhook: name }, payload: 2 });
  expect(await delivered(first, "delivered")).toMatchObject({ attempts: 1, problem: null });
  expect(await delivered(second, "dead")).toMatchObject({ problem: { code: "http", answered: 400 } });
  expect((await list("status=dead")).map(({ id }) => id)).toContain(second);
  const { seq } = (await deliveryRow(second))!;
  await redrive(second);
  await delivered(second, "delivered");
  // After whatever was accepted meanwhile, and as old as if it were new.
  const again = (await deliveryRow(second))!;
  expect(again.seq).toBeGreaterThan(seq);
  expect(again.createdAt.getTime()).toBeGreaterThan(again.message.createdAt.getTime());
  const calls = await place.calls(4);
  expect(calls.map(({ body }) => (JSON.parse(body) as { payload: Json }).payload)).toEqual([1, 1, 2, 2]);
  expect(calls.map(({ headers }) => headers["webhook-id"])).toEqual([`${first}.1`, `${first}.1`, `${second}.1`, `${second}.2`]);
  expect(calls[0]!.headers["webhook-signature"]).toMatch(/^v1,/);
  await withDatabase((database) => fillWith(database, second, 1_000, { status: "delivered" }));
  await put("http://10.0.0.1/inside");
  const inside = await send({ to: { webhook: name } });
  expect(await delivered(inside, "dead")).toMatchObject({ problem: { code: "policy" } });
});

test("reconcile looks through all that was forgotten, however much that is", async () => {
  const id = await send({ to: await publish(new Model()) });
  await ended(id);
  const names = Array.from({ length: limits.deliveriesSweptMax + 1 }, (_, n) => `forgotten-${n}`);
  const tenant = uniqueName("tenant");
  const parties = { senderKind: "person", sender: "ada", recipientKind: "agent", createdAt: new Date(0), deliveredAt: new Date(0) };
  const agent = { tenant, version: "1.0.0", hash: "", definition: {}, latest: true, publishedBy: "ada" };
  const found: string[][] = [[], []];
  const patient = { maxWait: 60_000, timeout: 60_000 };
  const looking = withDatabase((database) =>
    database.$transaction(async (transaction) => {
      await transaction.agent.createMany({ data: names.map((name) => ({ ...agent, name })) });
      await transaction.messageDelivery.createMany({
        data: names.map((recipient) => ({ ...parties, messageId: id, tenant, recipient, status: "accepted" })),
      });
      for await (const lane of forgottenLanes(transaction)) if (lane.tenant === tenant) found[0]!.push(lane.to.name);
      await transaction.messageDelivery.updateMany({ where: { tenant }, data: { status: "working" } });
      for await (const mailbox of busyMailboxes(transaction)) if (mailbox.tenant === tenant) found[1]!.push(mailbox.agent);
      throw new Error("rolled back, so that nobody else sees it");
    }, patient),
  );
  await expect(looking).rejects.toThrow("rolled back");
  expect(found.map((each) => each.toSorted())).toEqual([names.toSorted(), names.toSorted()]);
});

describe("faults", () => {
  const numbers = Array.from({ length: 5 }, (_, n) => n);

  test("a worker that dies in the midst: each message is answered once, those of a sender in their order", async () => {
    const name = await publish(new Model());
    // So that nothing but the delivery is under way.
    await change(name, "paused");
    const senders = await Promise.all(
      ["x", "y"].map((sender) => admin.withKey({ principal: uniqueName(sender), kind: "service", roles: ["developer"] })),
    );
    const sendAll = (by: Client) =>
      numbers.reduce<Promise<string[]>>(
        async (sent, n) => [...(await sent), await send({ to: name, payload: n }, by)],
        Promise.resolve([]),
      );
    const sending = Promise.all(senders.map(sendAll));
    while ((await list(`agent=${name}&status=delivered`)).length < 3);
    await host.kill("worker");
    const ids = await sending;
    await host.start("worker");
    await change(name, "active");
    for (const of of ids) {
      const deliveries = await Promise.all(of.map(ended));
      expect(deliveries.map(({ status }) => status)).toEqual(numbers.map(() => "answered"));
      const starts = new Map((await startsOf(name)).map(({ id, startedAt }) => [id, startedAt]));
      const times = deliveries.map(({ runId }) => starts.get(runId!)!);
      expect(times).toEqual(times.toSorted());
    }
    expect(await startsOf(name)).toHaveLength(2 * numbers.length);
    expect(await list(`agent=${name}`)).toHaveLength(4 * numbers.length);
  });

  test("Postgres away: nothing is taken, and the same key sends it once when it is back", async () => {
    const [name, key] = [await publish(new Model()), uniqueName()];
    await host.kill("postgres");
    expect(await post({ to: name }, key)).toMatchObject({ status: 503 });
    await host.start("postgres");
    while ((await admin.get("/api/v2/messages")).status === 503);
    expect(await list(`agent=${name}`)).toEqual([]);
    const { body } = await post({ to: name }, key);
    expect(await ended(body.id)).toMatchObject({ status: "answered" });
    expect(await post({ to: name }, key)).toMatchObject({ body });
  });

  test("Temporal away: a message is taken, and delivered before the next one", async () => {
    const [place, name] = [new Place(), uniqueName("hook")];
    await admin.request("PUT", `/api/v2/message-webhooks/${name}`, { body: { url: place.url } });
    await host.kill("temporal");
    const first = await send({ to: { webhook: name }, payload: 1 });
    await host.start("temporal");
    const second = await send({ to: { webhook: name }, payload: 2 });
    for (const id of [first, second]) await delivered(id, "delivered");
    expect((await place.calls(2)).map(({ body }) => (JSON.parse(body) as { payload: Json }).payload)).toEqual([1, 2]);
  });

  test("a mailbox that continues as new, and one that somebody has terminated, lose neither what waits nor what is at work", async () => {
    const model = new Model();
    await model.script({ toolCalls: [{ id: "c", name: "test_double", arguments: { n: 4 } }] });
    const name = await publish(model, { tools: ["test.double"], approval: { tools: ["test.*"] } });
    const ids = [await send({ to: name, payload: 1 }), await send({ to: name, payload: 2 })];
    const { runId } = await delivered(ids[0]!, "working");
    const approval = await admin.run(runId!).approval("answer[0].act[0].approve");
    await delivered(ids[1]!, "delivered");
    expect(await host.wearMailbox("default", name)).toBeGreaterThan(1);
    // As if it had been so for a while: what was delivered just now is not missed.
    const longAgo = { deliveredAt: new Date(0), createdAt: new Date(0) };
    await withDatabase((database) => database.messageDelivery.updateMany({ where: { recipient: name }, data: longAgo }));
    await host.loseMailbox("default", name);
    ids.push(await send({ to: name, payload: 3 }));
    expect(await admin.decide(approval, { decision: "approve" })).toMatchObject({ status: 200 });
    expect(await Promise.all(ids.map(ended))).toMatchObject(ids.map(() => ({ status: "answered" })));
    expect(await startsOf(name)).toHaveLength(ids.length);
  });
});
