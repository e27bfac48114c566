import { describe, expect, test } from "@jest/globals";
import type { Json } from "../../contracts/json.ts";
import { admin, host, type Page, type StepBody } from "./client.ts";

const set = (id: string, values: unknown = 1) => ({ id, type: "set", values });
const tool = (id: string, more: object = {}) => ({ id, type: "tool", tool: "test.double", arguments: { n: 1 }, ...more });
const listen = (id: string) => ({ id, type: "listen", one: { event: "go" } });

type Linked = StepBody & { links?: { self: string; run: string; temporal: string } };
interface HistoryEvent {
  eventId: string;
  eventType: string;
}

/** The list of the Temporal Web UI is up to date a moment later. */
async function untilListed(query: string, id: string): Promise<string[]> {
  for (const patience = Date.now() + 60_000; Date.now() < patience;) {
    const found = await host.listed(query);
    if (found.includes(id)) return found;
    await new Promise((later) => setTimeout(later, 100));
  }
  throw new Error(`No list by ${query} finds ${id}.`);
}

describe("a step's link into the Temporal Web UI", () => {
  test("leads to the event that began it", async () => {
    const workflow = await admin.publish({ steps: [set("child")] });
    const steps = [
      tool("call"),
      { id: "time", type: "wait", duration: "10ms" },
      { id: "sub", type: "workflow", workflow, input: {} },
      tool("near", { tool: "time.now", arguments: {} }),
      set("none"),
    ];
    const run = await admin.begin({ steps });
    await run.end();
    const { events } = (await host.history("default", run.id)) as { events: HistoryEvent[] };
    const typeAt = async (path: string): Promise<string | undefined> => {
      const { body } = await admin.get<Linked>(`/api/v2/runs/${run.id}/steps/${path}`);
      const event = /\/history\/events\/(\d+)$/.exec(body.links!.temporal)?.[1];
      return events.find(({ eventId }) => eventId === event)?.eventType.replace("EVENT_TYPE_", "");
    };
    expect(await Promise.all(["call", "time", "sub", "near", "none"].map(typeAt))).toEqual([
      "ACTIVITY_TASK_SCHEDULED",
      "TIMER_STARTED",
      "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
      "MARKER_RECORDED",
      undefined,
    ]);
  });

  test("leads to the marker of those that were made as one", async () => {
    const near = (id: string) => tool(id, { tool: "time.now", arguments: {} });
    const items = { id: "each", type: "foreach", items: [1, 2, 3], concurrency: 3, steps: [near("x")] };
    const run = await admin.begin({ steps: [near("a"), near("b"), near("c"), items] });
    await run.end();
    const { body } = await admin.get<Page<Linked>>(`/api/v2/runs/${run.id}/steps?links=true`);
    const { events } = (await host.history("default", run.id)) as { events: HistoryEvent[] };
    const calls = body.data.filter(({ path }) => path !== "each");
    expect(calls).toHaveLength(6);
    for (const { links } of calls) {
      const event = /\/history\/events\/(\d+)$/.exec(links!.temporal)?.[1];
      expect(events.find(({ eventId }) => eventId === event)?.eventType).toMatch(/MARKER_RECORDED|ACTIVITY_TASK_SCHEDULED/);
    }
  });

  test("finds its execution when the run went on in several, also in lists when asked for", async () => {
    const workflow = await admin.publish({ steps: [tool("a"), tool("b"), tool("c")] });
    const run = admin.run(await host.startContinuing(workflow, {}, 1));
    await run.end();
    const { body } = await admin.get<Page<Linked>>(`/api/v2/runs/${run.id}/steps?links=true`);
    const links = body.data.map(({ links: each }) => each!.temporal);
    expect(links.every((link) => /\/history\/events\/\d+$/.test(link))).toBe(true);
    expect(new Set(links.map((link) => /\/([^/]+)\/history/.exec(link)![1])).size).toBe(3);
    const plain = await admin.get<Page<Linked>>(`/api/v2/runs/${run.id}/steps`);
    expect(plain.body.data.map(({ links: each }) => each)).toEqual([undefined, undefined, undefined]);
  });

  test("is the run's when Temporal has forgotten its history", async () => {
    const run = await admin.begin({ steps: [tool("call")] });
    const { links } = await run.end();
    await host.forget("default", run.id);
    const { status, body } = await admin.get<Linked>(`/api/v2/runs/${run.id}/steps/call`);
    expect({ status, link: body.links!.temporal }).toEqual({ status: 200, link: links.temporal });
  });
});

describe("the list of the Temporal Web UI", () => {
  const filters = (workflow: string, more: string): string => `TenutoTenant = "default" AND TenutoWorkflow = "${workflow}" AND ${more}`;

  test("finds a run by definition, version, tenant, status and open approvals", async () => {
    const workflow = await admin.publish({ steps: [{ id: "ask", type: "approval", title: "?", payload: null }] });
    const run = await admin.start(workflow);
    const found = await untilListed(
      filters(workflow, 'TenutoVersion = "1.0.0" AND TenutoStatus = "waiting" AND TenutoApprovals > 0'),
      run.id,
    );
    expect(found).toEqual([run.id]);
    await run.cancel();
    await untilListed(filters(workflow, 'ExecutionStatus = "Canceled" AND TenutoApprovals = 0'), run.id);
    expect(await host.listed(filters(workflow, 'TenutoStatus = "waiting"'))).toEqual([]);
  });

  test("finds the children of a run, with the version that they took", async () => {
    const child = await admin.publish({ steps: [set("a")] });
    const run = await admin.begin({ steps: [{ id: "sub", type: "workflow", workflow: child, input: {} }] });
    await run.end();
    const found = await untilListed(`TenutoParent = "${run.id}" AND TenutoVersion = "1.0.0"`, `${run.id}.sub`);
    expect(found).toEqual([`${run.id}.sub`]);
  });

  test("finds a run by the version it was migrated to", async () => {
    const workflow = await admin.publish({ steps: [listen("l")] });
    const run = await admin.start(workflow);
    await run.until("run.waiting");
    await admin.publishVersion(workflow, "2.0.0", [listen("l"), set("more")]);
    await admin.post(`/api/v2/workflows/${workflow}/migrate`, { to: "2.0.0" });
    await untilListed(filters(workflow, 'TenutoVersion = "2.0.0"'), run.id);
    await run.signal("go");
    expect((await run.end()).version).toBe("2.0.0");
  });
});

test("what a run waits for is among its current details when the API says that it waits, its links lead to what is there", async () => {
  const run = await admin.begin({ steps: [tool("call"), listen("l")] });
  await host.settle("default", run.id);
  const details = await host.details("default", run.id);
  expect(details).toContain("- `l` waits for event go");
  const [, event] = /\[`call`\]\(namespaces\/default\/workflows\/[^)]+\/history\/events\/(\d+)\)/.exec(details)!;
  const { body } = await admin.get<Linked>(`/api/v2/runs/${run.id}/steps/call`);
  expect(body.links!.temporal).toMatch(new RegExp(`/history/events/${event}$`));
  await run.signal("go");
  const { output } = (await run.end()) as { output: Json };
  expect(output).toMatchObject({ event: "go" });
});
