import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { ask, type Caller } from "../../activities/quota-line.ts";
import { QuotaLines } from "../../activities/quota-lines.ts";
import type { JsonObject } from "../../contracts/json.ts";
import { say } from "./asking.ts";
import { admin, facts, host, Model, uniqueName, type Answer, type Client, type Page, type Run } from "./client.ts";

const tenant = uniqueName("asker");
let asker: Client;

const put = (body: JsonObject): Promise<Answer> => asker.request("PUT", "/api/v2/model-quotas", { body });

/** Models that the tenant may ask once within so many seconds. */
const once = { first: 2, single: 1, double: 1, agents: 1, canceled: 3_600, orphaned: 4 };
const models = Object.fromEntries(Object.keys(once).map((name) => [name, new Model()])) as Record<keyof typeof once, Model>;

const twice = (model: Model) => [say(model), { ...say(model), id: "again" }];

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
    const model = models.first;
    const run = await asker.begin({ steps: twice(model) });
    const wait = await run.until("wait.started");
    expect(wait).toMatchObject({ step: "again", data: { type: "llm", for: `the quota of ${model.wanted}`, until: expect.any(String) } });
    const waiting = await run.until("run.waiting");
    expect(waiting.data["for"]).toEqual([{ path: "again", for: `the quota of ${model.wanted}` }]);
    expect(await run.step("again")).toMatchObject({ status: "waiting" });
    expect(await host.details(tenant, run.id)).toContain("waits for the quota of");
    expect(await run.end()).toMatchObject({ status: "completed" });
    expect(await model.calls()).toHaveLength(2);
    expect(await apart(model)).toBeGreaterThanOrEqual(2_000);
    const types = (await run.events()).filter(({ step }) => step === "again").map(({ type }) => type);
    expect(types).toEqual(["wait.started", "step.started", "step.completed"]);
  });

  test("costs the history nothing while there is room, and a call and a timer for a wait", async () => {
    const both = async (limited: Model, steps: (model: Model) => JsonObject[]) => {
      const [free, held] = await Promise.all([new Model(), limited].map((model) => asker.begin({ steps: steps(model) })));
      await Promise.all([free!.end(), held!.end()]);
      return moreEvents(held!, free!);
    };
    expect(await both(models.single, (model) => [say(model)])).toEqual([]);
    expect(await both(models.double, twice)).toEqual(eventsOfWait);
  });

  test("makes an agent's turns wait, too", async () => {
    const model = models.agents;
    await model.script({ toolCalls: [{ id: "c", name: "text_lines", arguments: { text: "a" } }] }, { text: "done" });
    const agent = { id: "work", type: "agent", model: model.wanted, prompt: "Work.", tools: ["text.lines"] };
    expect(await asker.finish({ steps: [agent] })).toMatchObject({ status: "completed", output: "done" });
    expect(await apart(model)).toBeGreaterThanOrEqual(1_000);
  });

  test("does not keep a run that waits from being cancelled", async () => {
    const run = await asker.begin({ steps: twice(models.canceled) });
    await run.until("wait.started");
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
    expect(await apart(model)).toBeGreaterThanOrEqual(4_000);
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
  const waits = await Promise.all(
    ids.map((id, index) => workers[index % 2]!.update(provider, (line, moment) => ask(line, caller(id), moment))),
  );
  for (const each of redis) each.disconnect();
  const atOnce = waits.filter((ms) => ms === 0).length;
  // What is made up for after a while without calls; the others stand one behind the other.
  expect(atOnce).toBeGreaterThan(0);
  expect(atOnce).toBeLessThanOrEqual(8);
  const turns = waits.filter((ms) => ms > 0).toSorted((a, b) => a - b);
  expect(turns.at(-1)! - turns[0]!).toBeGreaterThan((turns.length - 2) * 600);
});

test("a model that has refused a call is asked by nobody before the time it names", async () => {
  const model = new Model();
  await model.script({ status: 429, headers: { "retry-after-ms": "2000", "x-ratelimit-limit-requests": "600" } });
  const first = await asker.begin({ steps: [say(model)] });
  await host.modelAnswered(model.name, 1);
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
