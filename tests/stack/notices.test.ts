import { createHmac } from "node:crypto";
import { expect, test } from "@jest/globals";
import type { JsonObject } from "../../contracts/json.ts";
import type { Notice } from "../../contracts/messages.ts";
import { admin, host, Place } from "./client.ts";
import { NOTICES, WEBHOOK_SECRET } from "./protocol.ts";

/** What was sent out about a run, as often as it was sent. */
async function noticesOf(run: string, atLeast: number, countOf = (sent: { headers: Record<string, unknown> }[]) => sent.length) {
  for (const patience = Date.now() + 100_000; Date.now() < patience; await new Promise((later) => setTimeout(later, 100))) {
    const sent = (await host.ledgerCalls(NOTICES, 0)).filter(({ body }) => (JSON.parse(body) as Notice).data["run"] === run);
    if (countOf(sent) >= atLeast) return sent;
  }
  throw new Error(`No ${atLeast} notices of ${run}.`);
}

test("a run that needs a person is told outside, signed, again until it is taken, and once", async () => {
  const place = new Place();
  await place.script({ status: 400 });
  // Notices of other runs go to the same place: those that are still under way must not take the answers that are meant for this one.
  while ((await host.listed('WorkflowType = "notice" AND ExecutionStatus = "Running"')).length > 0)
    await new Promise((later) => setTimeout(later, 100));
  await host.scriptLedger(NOTICES, [{ status: 500 }, { status: 302, headers: { location: place.url } }]);
  const run = await admin.begin({ steps: [{ id: "pay", type: "http", url: place.url, onError: "park" }] });
  await run.until("run.needs_attention");
  await host.kill("worker");
  await host.start("worker");
  const sent = await noticesOf(run.id, 3);
  expect(JSON.parse(sent[2]!.body)).toEqual({
    type: "run.needs_attention",
    tenant: "default",
    at: expect.any(String),
    links: { self: `/api/v2/runs/${run.id}`, temporal: expect.stringContaining(run.id) },
    data: { run: run.id, needs: [{ path: "pay", for: "a person: retry, skip or fail" }] },
  });
  const [first, ...others] = sent.map(({ headers }) => headers["webhook-id"]);
  expect(others).toEqual([first, first]);
  for (const { headers, body } of sent) {
    const key = Buffer.from(WEBHOOK_SECRET.slice("whsec_".length), "base64");
    const signature = createHmac("sha256", key).update(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`).digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${signature}`);
  }
  while ((await run.attend("pay", "skip")).status === 503);
  expect((await run.end()).status).toBe("completed");
  expect(await noticesOf(run.id, 3)).toHaveLength(3);
});

test("each step that is parked while others wait is told, and who is asked hears of it, of the reminder and of the escalation", async () => {
  const [first, second] = [new Place(), new Place()];
  for (const place of [first, second]) await place.script({ status: 400 });
  await second.hold();
  const pay = (id: string, { url }: Place): JsonObject => ({ id, type: "http", url, onError: "park" });
  const ask = { id: "ask", type: "approval", title: "Go?", assignees: ["ada"], remindAfter: "1s", escalate: { after: "1s", to: ["bob"] } };
  const run = await admin.begin({
    steps: [{ id: "p", type: "parallel", branches: { a: [pay("one", first)], b: [pay("two", second)], c: [ask] } }],
  });
  await run.until("run.needs_attention");
  await second.release();
  // One that was answered late comes again.
  const sent = await noticesOf(run.id, 5, (all) => new Set(all.map(({ headers }) => headers["webhook-id"])).size);
  const told = sent.map(({ body }) => JSON.parse(body) as Notice).map(({ type, data }) => [type, needed(data)]);
  const approval = `${run.id}~p.c.ask`;
  expect(told).toEqual(
    expect.arrayContaining([
      ["approval.requested", { approval, title: "Go?", assignees: ["ada"] }],
      ["approval.reminded", { approval, assignees: ["ada"] }],
      ["approval.escalated", { approval, assignees: ["ada", "bob"] }],
      ["run.needs_attention", ["p.a.one"]],
      ["run.needs_attention", ["p.a.one", "p.b.two"]],
    ]),
  );
  await run.cancel();
  await run.end();
});

/** Of the steps those that are parked; of a question what it asks. */
function needed({ needs, approval, title, assignees }: JsonObject): unknown {
  const parked = ({ for: what }: { for: string }): boolean => what.startsWith("a person");
  if (needs === undefined) return { approval, assignees, ...(title === undefined ? {} : { title }) };
  const paths = (needs as { path: string; for: string }[]).filter(parked).map(({ path }) => path);
  return paths.toSorted((a, b) => a.localeCompare(b));
}

test("a step that an item of a run waits with in a run of its own is told once, as the run's", async () => {
  const place = new Place();
  await place.script({ status: 400 });
  const pay = { id: "pay", type: "http", url: place.url, if: "${item == 1}", onError: "park" };
  const run = await admin.begin({ steps: [{ id: "each", type: "foreach", items: [0, 1], isolate: true, steps: [pay] }] });
  expect((await run.until("run.needs_attention")).data).toMatchObject({ steps: ["each[1].pay"] });
  expect((await noticesOf(run.id, 1)).map(({ body }) => (JSON.parse(body) as Notice).data)).toEqual([
    { run: run.id, needs: [{ path: "each[1].pay", for: "a person: retry, skip or fail" }] },
  ]);
  while ((await run.attend("each[1].pay", "skip")).status === 503);
  expect((await run.end()).status).toBe("completed");
  const all = (await host.ledgerCalls(NOTICES, 0)).map(({ body }) => (JSON.parse(body) as Notice).data["run"] as string | undefined);
  expect(all.filter((id) => id?.includes(run.id))).toEqual([run.id]);
});
