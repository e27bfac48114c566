import { describe, expect, test } from "@jest/globals";
import { admin, host, uniqueName } from "./client.ts";

const one = { steps: [{ id: "a", type: "set", values: 1 }] };

interface Priority {
  priorityKey?: number;
  fairnessKey?: string;
}

/** What Temporal was told about a run and its first activity. */
async function prioritiesOf(run: string): Promise<Priority[]> {
  const { events } = (await host.history("default", run)) as { events: Record<string, { priority?: Priority }>[] };
  const started = events.flatMap((event) => Object.entries(event)).filter(([name]) => name.endsWith("EventAttributes"));
  return started.flatMap(([name, { priority }]) => (/^workflowExecutionStarted|^activityTaskScheduled/.test(name) ? [priority ?? {}] : []));
}

describe("a start", () => {
  test("carries priority and fairness key to the workflow; its activities inherit them", async () => {
    const workflow = await admin.publish({ steps: [{ id: "list", type: "tool", tool: "test.list", arguments: { count: 1, bytes: 1 } }] });
    const { status, body } = await admin.post("/api/v2/runs", { workflow, priority: 1, fairnessKey: "customer-7" });
    expect(status).toBe(202);
    await admin.run(body["id"] as string).end();
    const [ofRun, ...ofActivities] = await prioritiesOf(body["id"] as string);
    expect(ofRun).toEqual({ priorityKey: 1, fairnessKey: "customer-7" });
    expect(ofActivities.every(({ priorityKey = 1 }) => priorityKey === 1)).toBe(true);
  });

  test.each(["retry", "fork"])("of a %s has them from its origin", async (kind) => {
    const steps = [{ id: "bad", type: "raise", error: { type: "odd" } }];
    const { body } = await admin.post("/api/v2/runs", { workflow: await admin.publish({ steps }), priority: 1, fairnessKey: "customer-7" });
    const run = admin.run(body["id"] as string);
    await run.end();
    const next = await admin.post(`${run.path}/${kind}`);
    expect(next.status).toBe(202);
    expect((await prioritiesOf(next.body["id"] as string))[0]).toEqual({ priorityKey: 1, fairnessKey: "customer-7" });
  });

  test("leaves the last word to a step's own `priority` and `fairnessKey`", async () => {
    const step = {
      id: "list",
      type: "tool",
      tool: "test.list",
      arguments: { count: 1, bytes: 1 },
      priority: 5,
      fairnessKey: "${input.of}",
    };
    const { body } = await admin.post("/api/v2/runs", {
      workflow: await admin.publish({ steps: [step] }),
      input: { of: "b" },
      priority: 1,
    });
    await admin.run(body["id"] as string).end();
    expect((await prioritiesOf(body["id"] as string))[1]).toEqual({ priorityKey: 5, fairnessKey: "b" });
  });

  test.each([
    ["priority", 0],
    ["priority", 6],
    ["fairnessKey", "x".repeat(65)],
    ["fairnessKey", "ü"],
  ])("with %s %j is refused", async (field, value) => {
    const workflow = await admin.publish(one);
    expect(await admin.post("/api/v2/runs", { workflow, [field]: value })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: `/${field}` }] },
    });
  });

  test("asked for again with another priority under the same key is another request", async () => {
    const [workflow, key] = [await admin.publish(one), uniqueName("key")];
    await admin.post("/api/v2/runs", { workflow }, key);
    expect(await admin.post("/api/v2/runs", { workflow, priority: 2 }, key)).toMatchObject({
      status: 409,
      body: { code: "idempotency_mismatch" },
    });
  });

  test("that is repeated while it holds the only place answers as before", async () => {
    const steps = [{ id: "l", type: "listen", one: { event: "go" } }];
    const workflow = await admin.publish({ concurrency: { onLimit: "reject" }, steps });
    const key = uniqueName("key");
    const first = await admin.post("/api/v2/runs", { workflow }, key);
    const run = admin.run(first.body["id"] as string);
    await run.until("listen.started");
    expect(await admin.post("/api/v2/runs", { workflow }, key)).toMatchObject({ status: 202, body: first.body });
    await run.terminate();
  });
});
