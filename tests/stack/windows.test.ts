import { expect, test } from "@jest/globals";
import type { Page } from "./client.ts";
import { admin, eventually, host, Place, type RunBody } from "./client.ts";

const number = (id: string, n: unknown) => ({ id, type: "tool", tool: "test.number", arguments: { n } });

test("a foreach over 620 items is done in child runs, survives a killed worker, and gives its results in order", async () => {
  const items = Array.from({ length: 620 }, (_, index) => index);
  const steps = [
    {
      id: "each",
      type: "foreach",
      items: "${input.items}",
      concurrency: 40,
      steps: [number("n", "${item}"), { id: "i", type: "set", values: "${item}" }],
    },
    { id: "sum", type: "set", values: "${steps.each.output.size()}" },
  ];
  const run = await admin.begin({ steps, output: "${steps.each.output}" }, { items });
  await run.until("child.started");
  await host.kill("worker");
  await host.start("worker");
  const ended = await run.end();
  expect(ended).toMatchObject({ status: "completed", output: items });
  const { body: children } = await admin.get<Page<RunBody>>(`/api/v2/runs?parentId=${run.id}`);
  expect(children.data).toHaveLength(4);
  expect((await host.historySize("default", run.id)).events).toBeLessThan(200);
});

test("a run that failed after many items is retried without doing a finished item or window again", async () => {
  const place = new Place();
  const items = Array.from({ length: 610 }, (_, index) => index);
  await place.script(...Array.from({ length: 700 }, (_, n) => ({ status: n === 605 ? 400 : 200, body: "{}" })));
  const call = { id: "c", type: "http", method: "POST", url: "${input.url}", body: "${item}", retry: { maxAttempts: 1 } };
  const steps = [{ id: "each", type: "foreach", items: "${input.items}", concurrency: 40, steps: [call] }];
  const run = await admin.begin({ steps, output: "${steps.each.output.size()}" }, { items, url: place.url });
  expect((await run.end()).status).toBe("failed");
  const before = (await place.calls(1)).length;
  const again = await admin.post<RunBody>(`${run.path}/retry`);
  expect(again.status).toBe(202);
  expect(await admin.run(again.body.id).end()).toMatchObject({ status: "completed", output: 610 });
  // What failed, and what was under way or had not begun then; not the 550 and more that were finished.
  const repeated = (await place.calls(1)).length - before;
  expect(repeated).toBeGreaterThan(0);
  expect(repeated).toBeLessThanOrEqual(60);
});

test("what is said to a run reaches the items that its windows do: events, answers of people and words about parked steps", async () => {
  const place = new Place();
  await place.script({ status: 400, body: "{}" }, { status: 200, body: "{}" });
  const items = Array.from({ length: 501 }, (_, index) => index);
  const isLast = "${item == 500}";
  const pay = { id: "pay", type: "http", method: "POST", url: "${input.url}", body: "${item}", retry: { maxAttempts: 1 }, onError: "park" };
  const steps = [
    {
      id: "each",
      type: "foreach",
      items: "${input.items}",
      concurrency: 40,
      steps: [
        { id: "hear", type: "listen", if: "${item >= 498}", one: { event: "paid", when: "${event.data == item}" } },
        { id: "ask", type: "approval", if: isLast, title: "Pay?" },
        { ...pay, if: isLast },
        { id: "end", type: "set", values: "${item}" },
      ],
    },
  ];
  const run = await admin.begin({ steps, output: "${steps.each.output.size()}" }, { items, url: place.url });
  // Before a window listens, as far as may be; after a worker has died; and what is not for the first that looks at it.
  await run.signal("paid", 500);
  await run.signal("paid", 7);
  await run.until("child.started");
  await host.kill("worker");
  await host.start("worker");
  await run.signal("paid", 499);
  await run.signal("paid", 498);
  const asked = async (): Promise<string | undefined> =>
    (await admin.get<Page<{ id: string }>>(`/api/v2/approvals?runId=${run.id}&status=pending`)).body.data[0]?.id;
  const approval = (await eventually(asked, (id) => id !== undefined))!;
  expect((await admin.decide(approval, { decision: "approve" })).status).toBe(200);
  await run.until("run.needs_attention");
  expect(await run.read()).toMatchObject({ status: "needs_attention", waitingFor: [{ path: "each[500].pay" }] });
  expect((await run.attend("each[499].end", "retry")).body).toMatchObject({ code: "step_not_parked" });
  expect((await run.attend("each[500].pay", "retry")).status).toBe(202);
  expect(await run.end()).toMatchObject({ status: "completed", output: 501 });
  expect((await place.calls(2)).length).toBe(2);
});
