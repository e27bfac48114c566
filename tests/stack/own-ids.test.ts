import { afterEach, describe, expect, test } from "@jest/globals";
import { admin, Client, host, uniqueName, type Answer } from "./client.ts";

const one = { steps: [{ id: "a", type: "set", values: 1 }] };
const waiting = { steps: [{ id: "l", type: "listen", one: { event: "go" } }] };
const runs = "/api/v2/runs";

interface Summary {
  id: string;
  status: string;
  links: { self: string; temporal: string };
}

const start = (body: object, key?: string): Promise<Answer<Summary>> => admin.post<Summary>(runs, body, key);
const whole = (id: string): string => `r_default_${id}`;

afterEach(() => host.heal());

describe("a run with an id of the caller's", () => {
  test("is found under it, and under the whole id it was answered with", async () => {
    const id = uniqueName("Order_1");
    const { status, body } = await start({ id, workflow: await admin.publish(waiting) });
    expect([status, body.id]).toEqual([202, whole(id)]);
    await admin.run(id).signal("go");
    expect(await admin.run(id).end()).toEqual(await admin.run(body.id).end());
  });

  test("is reached by `emit` under it", async () => {
    const id = uniqueName("order");
    await start({ id, workflow: await admin.publish(waiting) });
    await admin.finish({ steps: [{ id: "e", type: "emit", event: "go", to: id }] });
    expect(await admin.run(id).end()).toMatchObject({ status: "completed" });
  });

  test("has children that belong to it, however deep", async () => {
    const id = "x".repeat(100 - 9) + uniqueName("").slice(1, 10);
    const child = await admin.publish(one);
    const call = { id: "y".repeat(64), type: "workflow", workflow: child };
    const run = await start({ id, workflow: await admin.publish({ steps: [call] }) });
    expect(await admin.run(id).end()).toMatchObject({ status: "completed" });
    const { body } = await admin.get<{ data: { id: string }[] }>(`${runs}?parentId=${run.body.id}`);
    expect(body.data).toEqual([expect.objectContaining({ id: expect.stringMatching(`^${whole(id)}\\.`) })]);
  });

  test("is another tenant's to use as well; neither sees the other's", async () => {
    const id = uniqueName("order");
    const other = await admin.withKey({ principal: "o", kind: "person", roles: ["admin"], tenant: uniqueName("t") });
    const answers = [
      await start({ id, workflow: await admin.publish(one) }),
      await other.post<Summary>(runs, { id, workflow: await other.publish(one) }),
    ];
    const [ours, theirs] = answers.map(({ body }) => body.id);
    expect([answers.map(({ status }) => status), ours === theirs]).toEqual([[202, 202], false]);
    expect(await other.get(`${runs}/${ours}`)).toMatchObject({ status: 404 });
    expect(await other.run(id).end()).toMatchObject({ id: theirs, status: "completed" });
  });

  test.each(["", "a.b", "r_x", "-a", "a b", "ü", "x".repeat(101)])("is refused as %j", async (id) => {
    const workflow = await admin.publish(one);
    const errors = [expect.objectContaining({ pointer: "/id", message: expect.stringContaining("1 to 100 letters, digits") })];
    expect(await admin.post(runs, { id, workflow })).toMatchObject({ status: 422, body: { code: "schema", errors } });
  });

  test("is what `onConflict` is about: alone it is refused", async () => {
    const body = { workflow: await admin.publish(one), onConflict: "fail" };
    expect(await start(body)).toMatchObject({ status: 422, body: { errors: [{ pointer: "/onConflict" }] } });
  });
});

/** How the first run of the id can be when the second start comes. */
const states: [state: string, bring: (workflow: string, id: string) => Promise<void>][] = [
  [
    "under way",
    async (_, id) => {
      await admin.run(id).until("listen.started");
    },
  ],
  [
    "over",
    async (_, id) => {
      await admin.run(id).signal("go");
      await admin.run(id).end();
    },
  ],
  [
    "over and forgotten by Temporal",
    async (_, id) => {
      await admin.run(id).signal("go");
      await admin.run(id).end();
      await host.forget("default", whole(id));
    },
  ],
];

describe.each(states)("a second start under the id of a run that is %s", (_, bring) => {
  const begun = async () => {
    const [id, workflow] = [uniqueName("order"), await admin.publish(waiting)];
    const first = await start({ id, workflow });
    await bring(workflow, id);
    const { status } = await admin.run(id).read();
    return { id, workflow, first: { ...first.body, status } };
  };

  test("fails, and names that run with its status and where it is", async () => {
    const { id, workflow, first } = await begun();
    const { status, body } = await admin.post(runs, { id, workflow });
    expect({ status, body }).toMatchObject({ status: 409, body: { code: "run_exists", run: first } });
    expect(body["detail"]).toContain(`${first.links.self} (${first.status})`);
  });

  test("with `useExisting` is answered with that run, whatever its input", async () => {
    const { id, workflow, first } = await begun();
    expect(await start({ id, workflow, input: { other: true }, onConflict: "useExisting" })).toMatchObject({ status: 200, body: first });
    // Also where nothing could be started any more.
    expect(await start({ id, workflow: uniqueName("gone"), onConflict: "useExisting" })).toMatchObject({ status: 200, body: first });
  });
});

describe("starts under one id", () => {
  test("at the same moment make exactly one run", async () => {
    const [id, workflow] = [uniqueName("order"), await admin.publish(waiting)];
    const failing = Array.from({ length: 10 }, (_, n) => start({ id, workflow, input: { n } }));
    const using = Array.from({ length: 10 }, (_, n) => start({ id, workflow, input: { n }, onConflict: "useExisting" }));
    const answers = [await Promise.all(failing), await Promise.all(using)];
    const statuses = answers.flat().map(({ status }) => status);
    expect(statuses.filter((status) => status === 202)).toHaveLength(1);
    for (const { status } of answers[0]!) expect([202, 409]).toContain(status);
    for (const { status } of answers[1]!) expect([200, 202]).toContain(status);
    const links = answers.flat().flatMap(({ status, body }) => (status < 300 ? [body.links.temporal] : []));
    expect(new Set(links).size).toBe(1);
  });

  test("meet the run that has no row yet", async () => {
    const [id, workflow] = [uniqueName("order"), await admin.publish(one)];
    await host.kill("worker");
    const first = await start({ id, workflow });
    expect(await start({ id, workflow })).toMatchObject({ status: 409, body: { code: "run_exists", run: first.body } });
    expect(await start({ id, workflow, onConflict: "useExisting" })).toMatchObject({ status: 200, body: first.body });
  });

  test("sent again after the API was killed in between find what was started", async () => {
    const workflow = await admin.publish(one);
    for (let found = false; !found;) {
      const orders = Array.from({ length: 20 }, () => ({ id: uniqueName("order"), workflow }));
      const answers = orders.map((order) => start(order, order.id).catch(() => undefined));
      // When the first is answered the others are under way.
      await Promise.race(answers);
      await host.kill("api");
      const heard = await Promise.all(answers);
      await host.start("api");
      for (const order of orders.filter((_, n) => !heard[n])) {
        const wasStarted = (await admin.get(`${runs}/${order.id}`)).status === 200;
        const again = await start(order, order.id);
        expect([again.status, again.body.id]).toEqual([202, whole(order.id)]);
        expect(await start(order)).toMatchObject({ status: 409, body: { code: "run_exists" } });
        found ||= wasStarted;
      }
    }
  });
});

describe("an id with an Idempotency-Key", () => {
  test("is started once, and a repetition is answered with the same bytes", async () => {
    const [order, key] = [{ id: uniqueName("order"), workflow: await admin.publish(one) }, uniqueName("key")];
    const first = await start(order, key);
    await admin.run(order.id).end();
    expect(await start(order, key)).toMatchObject({ status: 202, body: first.body });
  });

  test("and another body is another request under the same key", async () => {
    const [order, key] = [{ id: uniqueName("order"), workflow: await admin.publish(one) }, uniqueName("key")];
    await start(order, key);
    expect(await start({ ...order, input: { n: 1 } }, key)).toMatchObject({ status: 409, body: { code: "idempotency_mismatch" } });
  });

  test("is taken for another key: the id counts", async () => {
    const order = { id: uniqueName("order"), workflow: await admin.publish(one) };
    const first = await start(order, uniqueName("key"));
    const again = { ...order, onConflict: "useExisting" };
    expect(await start(order, uniqueName("key"))).toMatchObject({ status: 409, body: { code: "run_exists" } });
    expect(await start(again, uniqueName("key"))).toMatchObject({ status: 200, body: { id: first.body.id } });
  });

  test("names the run: one key may start several ids", async () => {
    const [workflow, key] = [await admin.publish(one), uniqueName("key")];
    const answers = [await start({ id: uniqueName("order"), workflow }, key), await start({ id: uniqueName("order"), workflow }, key)];
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
  });
});

test("who may not start runs is told nothing of an id", async () => {
  const viewer: Client = await admin.withKey({ principal: "eve", kind: "person", roles: ["viewer"] });
  const body = { id: uniqueName("order"), workflow: "x", onConflict: "useExisting" };
  expect(await viewer.post(runs, body)).toMatchObject({ status: 403 });
});
