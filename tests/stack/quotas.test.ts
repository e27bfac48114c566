import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { ask, newLine, type Caller, type Line } from "../../activities/quota-line.ts";
import { QuotaLines } from "../../activities/quota-lines.ts";
import type { JsonObject } from "../../contracts/json.ts";
import { say } from "./asking.ts";
import { admin, facts, host, Model, uniqueName, type Answer, type Client, type EventBody, type Page, type Run } from "./client.ts";

const tenant = uniqueName("asker");
let asker: Client;

const put = (body: JsonObject): Promise<Answer> => asker.request("PUT", "/api/v2/model-quotas", { body });

/** Models that the tenant may ask once within so many seconds. Longer times are for machines that are too slow for the short ones. */
const once = { first: 2, patient: 20, single: 1, double: 1, doubleLonger: 6, doubleLongest: 30, agents: 1, canceled: 3_600, orphaned: 12 };
const models = Object.fromEntries(Object.keys(once).map((name) => [name, new Model()])) as Record<keyof typeof once, Model>;

const twice = (model: Model) => [say(model), { ...say(model), id: "again" }];

/** The first may take longer than the second from its turn to the model. */
const onItsWayMs = 500;

const apart = async (model: Model): Promise<number> => {
  const [first, second] = await model.calls(2);
  return second!.time - first!.time;
};

const eventsOfWait = [
  "ACTIVITY_TASK_COMPLETED",
  "ACTIVITY_TASK_SCHEDULED",
  "ACTIVITY_TASK_STARTED",
  // That the run waits, and that it goes on.
  "MARKER_RECORDED",
  "MARKER_RECORDED",
  "TIMER_FIRED",
  "TIMER_STARTED",
  "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
  "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
];

/** What the history of one run has beside that of another, workflow tasks apart. */
async function moreEvents(run: Run, other: Run): Promise<string[]> {
  const [types, others] = await Promise.all(
    [run, other].map(async ({ id }) => {
      const { events } = (await host.history(tenant, id)) as { events: { eventType: string }[] };
      return events.map(({ eventType }) => eventType.replace("EVENT_TYPE_", "")).filter((type) => !type.startsWith("WORKFLOW_TASK"));
    }),
  );
  for (const type of others!) types!.splice(types!.indexOf(type), 1);
  return types!.toSorted();
}

/**
 * A run that asks twice and had to wait. Where a step takes longer than the quota keeps the next one waiting, no wait is right, and a
 * model with more time is asked.
 */
async function waited(...names: (keyof typeof once)[]): Promise<{ run: Run; model: Model; events: EventBody[] }> {
  for (const name of names) {
    const model = models[name];
    const run = await asker.begin({ steps: twice(model) });
    expect(await run.end()).toMatchObject({ status: "completed" });
    const events = await run.events();
    const at = (type: string, of: string): number => Date.parse(events.find((event) => event.type === type && event.step === of)!.time);
    expect(at("step.completed", "again") - at("step.started", "say")).toBeGreaterThanOrEqual(once[name] * 1_000);
    if (events.some(({ type }) => type === "wait.started")) return { run, model, events };
  }
  throw new Error(`A step takes longer than ${once[names.at(-1)!]} s here.`);
}

/** Until all workers can know that its provider has refused a call. */
async function untilRefused(model: Model): Promise<void> {
  const redis = new Redis(facts.redisUrl);
  const isKnown = async (): Promise<boolean> => {
    const line = JSON.parse((await redis.hget("tenuto:quota:openai", "line")) ?? "{}") as Partial<Line>;
    return line.told?.[model.wanted] !== undefined;
  };
  while (!(await isKnown())) await sleep(20);
  redis.disconnect();
}

beforeAll(async () => {
  asker = await admin.withKey({ principal: "ada", kind: "person", roles: ["admin"], tenant });
  for (const [name, windowSeconds] of Object.entries(once)) {
    const { status } = await put({ model: models[name as keyof typeof once].wanted, requests: 1, windowSeconds });
    expect(status).toBe(200);
  }
});
afterAll(() => host.heal());

describe("a model that a tenant may ask once within a time", () => {
  test("is asked at once when it may be, and the next call waits for its turn", async () => {
    const { model, events } = await waited("first", "patient");
    expect(await model.calls()).toHaveLength(2);
    const what = `the quota of ${model.wanted}`;
    expect(events.find(({ type }) => type === "run.waiting")?.data["for"]).toEqual([{ path: "again", for: what }]);
    const again = events.filter(({ step }) => step === "again");
    // A start is told before when it takes long to find out that it is to wait.
    expect(again.map(({ type }) => type).toSorted()).toEqual(["step.completed", "step.started", "wait.started"]);
    expect(again.at(-1)!.type).toBe("step.completed");
    const wait = again.find(({ type }) => type === "wait.started");
    expect(wait?.data).toMatchObject({ type: "llm", for: what, until: expect.any(String) });
  });

  test("costs the history nothing while there is room, and a call and a timer for a wait", async () => {
    const ended = async (steps: JsonObject[]): Promise<Run> => {
      const run = await asker.begin({ steps });
      await run.end();
      return run;
    };
    const [held, free] = await Promise.all([models.single, new Model()].map((model) => ended([say(model)])));
    expect(await moreEvents(held!, free!)).toEqual([]);
    const { run } = await waited("double", "doubleLonger", "doubleLongest");
    expect(await moreEvents(run, await ended(twice(new Model())))).toEqual(eventsOfWait);
  });

  test("makes an agent's turns wait, too", async () => {
    const model = models.agents;
    await model.script({ toolCalls: [{ id: "c", name: "text_lines", arguments: { text: "a" } }] }, { text: "done" });
    const agent = { id: "work", type: "agent", model: model.wanted, prompt: "Work.", tools: ["text.lines"] };
    expect(await asker.finish({ steps: [agent] })).toMatchObject({ status: "completed", output: "done" });
    expect(await apart(model)).toBeGreaterThanOrEqual(1_000 - onItsWayMs);
  });

  test("shows that a run waits for it, and does not keep it from being cancelled", async () => {
    const run = await asker.begin({ steps: twice(models.canceled) });
    await run.until("wait.started");
    await run.until("run.waiting");
    expect(await run.step("again")).toMatchObject({ status: "waiting" });
    expect(await host.details(tenant, run.id)).toContain("waits for the quota of");
    await run.cancel();
    expect(await run.end()).toMatchObject({ status: "canceled" });
  });

  test("is not asked more often when Redis is away and the worker is killed meanwhile", async () => {
    const model = models.orphaned;
    await host.kill("redis");
    const run = await asker.begin({ steps: twice(model) });
    await run.until("wait.started");
    await host.kill("worker");
    await host.start("redis");
    await host.start("worker");
    expect(await run.end()).toMatchObject({ status: "completed" });
    expect(await model.calls()).toHaveLength(2);
    expect(await apart(model)).toBeGreaterThanOrEqual(once.orphaned * 1_000 - onItsWayMs);
  });
});

test("workers that ask at the same time let no more through together than one would", async () => {
  const provider = uniqueName("provider");
  const redis = [1, 2].map(() => new Redis(facts.redisUrl));
  const workers = redis.map((each) => new QuotaLines(each));
  const quota = { requests: 100, windowMs: 60_000 };
  const caller = (id: string): Caller => ({
    id,
    tenant: "a",
    model: `${provider}/m`,
    tokens: 1,
    under: [{ name: `${provider}/m`, quota, isShared: true }],
  });
  const ids = Array.from({ length: 60 }, (_, index) => `c${index}`);
  // All at one moment, however long the machine takes.
  const moment = { now: Date.now(), share: 1 };
  const inOrder = (waits: number[]): number[] => waits.toSorted((a, b) => a - b);
  const waits = inOrder(
    await Promise.all(ids.map((id, index) => workers[index % 2]!.update(provider, (line) => ask(line, caller(id), moment)))),
  );
  for (const each of redis) each.disconnect();
  const one = newLine();
  expect(waits).toEqual(inOrder(ids.map((id) => ask(one, caller(id), moment))));
  const atOnce = waits.filter((ms) => ms === 0).length;
  // What is made up for after a while without calls; the others stand one behind the other.
  expect(atOnce).toBeGreaterThan(0);
  expect(atOnce).toBeLessThanOrEqual(8);
  const turns = waits.filter((ms) => ms > 0);
  expect(turns.at(-1)! - turns[0]!).toBeGreaterThan((turns.length - 2) * 600);
});

test("a model that has refused a call is asked by nobody before the time it names", async () => {
  const model = new Model();
  await model.script({ status: 429, headers: { "retry-after-ms": "2000", "x-ratelimit-limit-requests": "600" } });
  const first = await asker.begin({ steps: [say(model)] });
  await untilRefused(model);
  const others = await Promise.all([1, 2, 3].map(() => admin.begin({ steps: [say(model)] })));
  const ends = await Promise.all([first, ...others].map((run) => run.end()));
  expect(ends.map(({ status }) => status)).toEqual(["completed", "completed", "completed", "completed"]);
  expect(await model.calls()).toHaveLength(5);
  expect(await apart(model)).toBeGreaterThanOrEqual(2_000);
});

test("a tenant's quotas are set, listed and removed", async () => {
  const model = "openai/listed";
  expect(await put({ model, tokens: 1_000 })).toMatchObject({
    status: 200,
    body: { model, requests: null, tokens: 1_000, windowSeconds: 60 },
  });
  expect((await asker.get<Page<JsonObject>>("/api/v2/model-quotas")).body.data.map((quota) => quota["model"])).toContain(model);
  expect((await put({ model })).status).toBe(422);
  expect((await put({ model: "openai/", requests: 1 })).status).toBe(422);
  const viewer = await admin.withKey({ principal: "vic", kind: "person", roles: ["viewer"] });
  expect((await viewer.request("PUT", "/api/v2/model-quotas", { body: { model, requests: 1 } })).status).toBe(403);
  expect((await asker.request("DELETE", `/api/v2/model-quotas?model=${model}`)).status).toBe(204);
  expect((await asker.request("DELETE", `/api/v2/model-quotas?model=${model}`)).status).toBe(404);
});
