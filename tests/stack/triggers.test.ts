import { createHmac, randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import { limits } from "../../contracts/limits.ts";
import { admin, facts, host, uniqueName, type Answer, type Client } from "./client.ts";
import { WEBHOOK_SECRET } from "./protocol.ts";

const onLinux = process.platform === "linux" ? describe : describe.skip;
const echo = { steps: [{ id: "a", type: "set", values: "${input}" }] };

interface Taken {
  id: string;
  runs: { workflow: string; runId: string; isNew: boolean }[];
  refused: { workflow: string; problem: JsonObject }[];
}

const publish = (triggers: object[], more: object = {}): Promise<string> => admin.publish({ triggers, ...echo, ...more });
const send = (body: JsonObject, key?: string, client: Client = admin): Promise<Answer<Taken>> =>
  client.post<Taken>("/api/v2/events", body, key);

afterEach(async () => host.heal());

describe("an event", () => {
  test("starts the workflows whose newest version has a trigger for it", async () => {
    const event = uniqueName("order");
    const [one, two] = [
      await publish([{ event: { event } }]),
      await publish([{ event: { event, input: { from: "${event.data.n}", id: "${event.id}" } } }]),
    ];
    await publish([{ event: { event: `${event}.other` } }]);
    const { status, body } = await send({ event, data: { n: 3 }, id: "e1" });
    expect([status, body.runs.map(({ workflow }) => workflow).toSorted()]).toEqual([202, [one, two].toSorted()]);
    const ends = await Promise.all(body.runs.map(({ runId }) => admin.run(runId).end()));
    const byName = Object.fromEntries(ends.map((end) => [end.workflow, end]));
    expect([byName[one], byName[two]]).toMatchObject([
      { output: { n: 3 }, startedBy: `event:${event}` },
      { output: { from: 3, id: "e1" } },
    ]);
  });

  test("whose triggers would take too long together starts those that take little", async () => {
    const event = uniqueName("order");
    const heavy = `range(${limits.expressionStepsMax - 10}).size() > 0`;
    for (let n = 0; n < 6; n++) await publish([{ event: { event, when: `\${${heavy}}` } }]);
    const easy = await publish([{ event: { event, when: "${event.data == 1}" } }]);
    const { body } = await send({ event, data: 1 });
    expect(body.runs.map(({ workflow }) => workflow)).toContain(easy);
    expect(body.refused).toHaveLength(6);
    expect(body.refused[0]!.problem).toMatchObject({ code: "limit" });
  });

  test("only when its `when` is true", async () => {
    const event = uniqueName("order");
    await publish([{ event: { event, when: "${event.data.total > 100.0}" } }]);
    const counts = [];
    for (const total of [99, 101]) counts.push((await send({ event, data: { total } })).body.runs.length);
    expect(counts).toEqual([0, 1]);
  });

  test("counts once, also for a version that is published in between", async () => {
    const event = uniqueName("order");
    const name = await publish([{ event: { event } }]);
    const first = await send({ event, data: 1, id: "e1" });
    await admin.post("/api/v2/workflows", { name, version: "1.1.0", triggers: [{ event: { event } }], ...echo });
    const again = await send({ event, data: 1, id: "e1" });
    expect([first.body.runs, again.body.runs]).toMatchObject([[{ isNew: true }], [{ isNew: false, runId: first.body.runs[0]!.runId }]]);
    // Temporal keeps runs for a while, and we for longer.
    const { runId } = first.body.runs[0]!;
    await admin.run(runId).end();
    await host.forget("default", runId);
    expect((await send({ event, data: 1, id: "e1" })).body.runs).toEqual([{ workflow: name, runId, isNew: false }]);
    expect((await send({ event, data: 1, id: "e2" })).body.runs[0]!.runId).not.toBe(first.body.runs[0]!.runId);
  });

  test("sent ten times at once starts one run", async () => {
    const event = uniqueName("order");
    const name = await publish([{ event: { event } }]);
    const answers = await Promise.all(Array.from({ length: 10 }, () => send({ event, id: "same" })));
    expect(new Set(answers.flatMap(({ body }) => body.runs.map(({ runId }) => runId))).size).toBe(1);
    expect((await admin.get<{ data: unknown[] }>(`/api/v2/runs?workflow=${name}`)).body.data.length).toBeLessThanOrEqual(1);
  });

  test("that one workflow cannot take starts the others, and says which refused", async () => {
    const event = uniqueName("order");
    const strict = await publish([{ event: { event, input: "${event.data}" } }], { input: { type: "object", required: ["n"] } });
    const easy = await publish([{ event: { event } }]);
    const { body } = await send({ event, data: {} });
    expect([body.runs, body.refused]).toMatchObject([[{ workflow: easy }], [{ workflow: strict, problem: { code: "input_invalid" } }]]);
  });

  test("no longer starts what a newer version does not ask for", async () => {
    const event = uniqueName("order");
    const name = await publish([{ event: { event } }]);
    await admin.post("/api/v2/workflows", { name, version: "2.0.0", ...echo });
    expect((await send({ event })).body.runs).toEqual([]);
  });

  test("stays within its tenant", async () => {
    const event = uniqueName("order");
    await publish([{ event: { event } }]);
    const other = await admin.withKey({ principal: "o", kind: "service", roles: ["operator"], tenant: "events-other" });
    expect((await send({ event }, undefined, other)).body.runs).toEqual([]);
  });
});

describe("a webhook", () => {
  const call = async (path: string, body: string, headers: Record<string, string> = {}, tenant = "default"): Promise<Answer<Taken>> => {
    const url = `${facts.apiUrl}/api/v2/hooks/${tenant}/${path}`;
    const response = await fetch(url, { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Taken };
  };
  const signed = (body: string, { id = randomUUID(), at = Date.now(), secret = WEBHOOK_SECRET } = {}): Record<string, string> => {
    const timestamp = String(Math.floor(at / 1_000));
    const key = Buffer.from(secret.slice("whsec_".length), "base64");
    const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
    return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
  };
  const withSecret = async (more: object = {}): Promise<string> => {
    const path = uniqueName("hook");
    await publish([{ webhook: { path, secret: "test", ...more } }]);
    return path;
  };

  test("signed with its secret starts a run with the body as input", async () => {
    const path = await withSecret();
    const body = JSON.stringify({ paid: true });
    const answer = await call(path, body, signed(body));
    expect(answer.status).toBe(202);
    const run = await admin.run(answer.body.runs[0]!.runId).end();
    expect(run).toMatchObject({ output: { paid: true }, startedBy: `webhook:${path}` });
  });

  test("shows the request to its `input`, without what proves who calls", async () => {
    const path = await withSecret({
      input: { kind: "${request.headers['x-kind']}", q: "${request.query.q}", body: "${request.body}", all: "${request.headers}" },
    });
    const answer = await call(`${path}?q=1`, "plain", {
      ...signed("plain"),
      "content-type": "text/plain",
      "x-kind": "k",
      cookie: "secret=1",
    });
    const { output } = await admin.run(answer.body.runs[0]!.runId).end();
    expect(output).toMatchObject({ kind: "k", q: "1", body: "plain" });
    expect(Object.keys((output as { all: JsonObject }).all)).not.toEqual(expect.arrayContaining(["cookie"]));
    expect(JSON.stringify(output)).not.toContain("v1,");
  });

  test("with the same webhook-id acts once", async () => {
    const path = await withSecret();
    const headers = signed("{}");
    const [first, again] = [await call(path, "{}", headers), await call(path, "{}", headers)];
    expect([first.body.runs[0], again.body.runs[0]]).toMatchObject([{ isNew: true }, { isNew: false, runId: first.body.runs[0]!.runId }]);
  });

  test.each([
    ["without a signature", () => ({})],
    ["signed with another secret", () => signed("{}", { secret: "whsec_b3RoZXJzZWNyZXQ=" })],
    ["signed for another body", () => signed("{ }")],
    ["signed six minutes ago", () => signed("{}", { at: Date.now() - 360_000 })],
    ["with a valid key instead", () => ({ authorization: `Bearer ${facts.apiKey}` })],
  ])("%s is refused", async (name, headers) => {
    const path = await withSecret();
    expect((await call(path, "{}", headers())).status).toBe(name.includes("key") ? 404 : 401);
  });

  test("that does not exist answers as one that is not signed", async () => {
    const path = await withSecret();
    const [unknown, unsigned] = [await call("nothing-there", "{}"), await call(path, "{}")];
    expect([unknown.status, (unknown.body as unknown as JsonObject)["detail"]]).toEqual([
      401,
      (unsigned.body as unknown as JsonObject)["detail"],
    ]);
  });

  test("without a secret wants a key that may start runs", async () => {
    const path = uniqueName("hook");
    await publish([{ webhook: { path } }]);
    const viewer = await admin.withKey({ principal: "v", kind: "service", roles: ["viewer"] });
    const foreign = await admin.withKey({ principal: "f", kind: "service", roles: ["admin"], tenant: "hooks-other" });
    const statuses = [];
    for (const headers of [{}, viewer.authorization, foreign.authorization, admin.authorization])
      statuses.push((await call(path, "{}", headers)).status);
    expect(statuses).toEqual([401, 404, 401, 202]);
  });

  test("is known by the workflow's name when it says no path", async () => {
    const name = await publish([{ webhook: { secret: "test" } }]);
    expect((await call(name, "{}", signed("{}"))).body.runs).toMatchObject([{ workflow: name }]);
  });
});

onLinux("the API killed by kill -9 while events come in", () => {
  test("each event sent until it is taken has started one run", async () => {
    const event = uniqueName("order");
    const name = await publish([{ event: { event } }]);
    const taken = async (id: string): Promise<string> => {
      for (;;) {
        const answer = await send({ event, data: id, id }).catch(() => undefined);
        if (answer?.status === 202) return answer.body.runs[0]!.runId;
        await new Promise((later) => setTimeout(later, 50));
      }
    };
    const sending = Array.from({ length: 30 }, (_, n) => taken(`e${n}`));
    await Promise.any(sending);
    await host.kill("api");
    await host.start("api");
    const runs = await Promise.all(sending);
    const outputs = await Promise.all(runs.map((run) => admin.run(run).end()));
    expect(new Set(outputs.map(({ output }) => output)).size).toBe(30);
    const list = await admin.get<{ data: unknown[] }>(`/api/v2/runs?workflow=${name}&limit=200`);
    expect(list.body.data.length).toBe(30);
  });
});
