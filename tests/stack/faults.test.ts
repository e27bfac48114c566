import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "@jest/globals";
import { limits } from "../../contracts/limits.ts";
import { admin, host, Model, Place, type Answer, type ApprovalBody, type EventBody, type Page, type Run, type RunBody } from "./client.ts";

// What is killed here is found by its process on Linux only.
const onLinux = process.platform === "linux" ? describe : describe.skip;
const set = (id: string, values: unknown) => ({ id, type: "set", values });

// A worker that is gone is noticed by its silence; a killed one's run goes on when the server takes its tasks back.
const patient = { heartbeat: "4s", retry: { maxAttempts: 20, initialInterval: "20ms", maxInterval: "100ms" } };

afterEach(async () => host.heal());

describe("a worker killed by kill -9", () => {
  test("a waiting run survives", async () => {
    const run = await admin.begin({ steps: [{ id: "ask", type: "approval", title: "?" }], output: "${steps.ask.output.approved}" });
    const id = await run.approval("ask");
    await host.settle("default", run.id);
    await host.kill("worker");
    await host.start("worker");
    expect([(await decideAtLast(id)).status, (await run.end()).output]).toEqual([200, true]);
  });

  // As it is when a worker dies between the record of a question and the end of its task: the task begins anew.
  test("a decision that comes with the task that asks is taken", async () => {
    const workflow = await admin.publish({ steps: [{ id: "ask", type: "approval", title: "?" }], output: "${steps.ask.output.approved}" });
    await host.kill("worker");
    const run = await admin.start(workflow);
    const by = { name: "ada", kind: "person" as const, roles: [] };
    const decided = host.decide("default", run.id, { path: "ask", decision: "approve", by });
    await host.start("worker");
    await expect(decided).resolves.toMatchObject({ status: "approved" });
  });

  test("beside another worker: the run goes on there", async () => {
    const places = [new Place(), new Place()];
    await places[0]!.script({ delayMs: 20_000 });
    await host.start("worker");
    const run = await admin.begin({ steps: places.map((place, n) => ({ id: `c${n}`, type: "http", url: place.url, ...patient })) });
    await places[0]!.calls(1);
    await host.kill("worker");
    expect(await run.end()).toMatchObject({ status: "completed" });
  });

  test("runs started while no worker is there run when one comes", async () => {
    const workflow = await admin.publish({ steps: [set("a", "${input}")] });
    await host.kill("worker");
    const runs = await Promise.all([1, 2, 3].map((n) => admin.start(workflow, n)));
    await host.start("worker");
    expect((await Promise.all(runs.map((run) => run.end()))).map(({ output }) => output)).toEqual([1, 2, 3]);
  });

  test("a run that no worker has touched can be read", async () => {
    const workflow = await admin.publish({ steps: [set("a", 1)] });
    await host.kill("worker");
    const run = await admin.start(workflow);
    expect(await run.read()).toMatchObject({ id: run.id, workflow, status: "running" });
  });

  test("an event to a run that no worker can answer is refused as unavailable", async () => {
    const run = await admin.begin({ steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    await run.until("listen.started");
    await host.kill("worker");
    expect(await admin.post(`${run.path}/signals`, { event: "go" })).toMatchObject({ status: 503, body: { code: "unavailable" } });
  });

  test("more requests than may wait for answers are refused at once, and are taken when there is room again", async () => {
    const workflow = await admin.publish({ steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    const runs = await Promise.all(Array.from({ length: limits.updatesUnderWayMax + 5 }, () => admin.start(workflow)));
    await Promise.all(runs.map((run) => run.until("run.waiting")));
    await host.kill("worker");
    const answers: { run: Run; answer: Answer }[] = [];
    const send = async (run: Run) => {
      answers.push({ run, answer: await admin.post(`${run.path}/signals`, { event: "go", id: run.id }) });
    };
    await Promise.all(runs.map(send));
    // None was answered by its run. Those that found room waited as long as an answer may take, the others heard before them.
    expect(answers.filter(({ answer }) => answer.status !== 503)).toEqual([]);
    const isFull = ({ answer }: { answer: Answer }): boolean =>
      JSON.stringify(answer.body).includes("wait for their runs' answers already");
    const refused = answers.slice(0, 5);
    expect(answers.map(isFull)).toEqual(answers.map((_, n) => n < refused.length));
    expect(
      refused.map(({ answer }) => [answer.headers.get("content-type"), answer.headers.get("retry-after"), answer.body["code"]]),
    ).toEqual(refused.map(() => ["application/problem+json; charset=utf-8", "1", "unavailable"]));
    await host.start("worker");
    // Nothing was begun for them.
    expect(new Set(await Promise.all(refused.map(async ({ run }) => (await run.read()).status)))).toEqual(new Set(["waiting"]));
    await Promise.all(refused.map(({ run }) => run.signal("go", null, run.id)));
    expect(new Set(await Promise.all(refused.map(async ({ run }) => (await run.end()).status)))).toEqual(new Set(["completed"]));
  });
});

describe("a worker that is asked to end", () => {
  test("ends its call first: nothing is called twice", async () => {
    const place = new Place();
    await place.script({ delayMs: 1_000 });
    const run = await admin.begin({ steps: [{ id: "c", type: "http", url: place.url }] });
    await place.calls(1);
    await host.end("worker");
    await host.start("worker");
    expect([(await run.end()).status, (await place.calls()).length]).toEqual(["completed", 1]);
  });
});

onLinux("Temporal killed by kill -9 and started again", () => {
  test("a run in the middle of its calls completes, and calls nothing twice that was done", async () => {
    const place = new Place();
    const items = {
      id: "f",
      type: "foreach",
      items: "${range(12)}",
      concurrency: 1,
      steps: [{ id: "c", type: "http", url: place.url, ...patient }],
    };
    const run = await admin.begin({ steps: [items] });
    await place.calls(4);
    await host.kill("temporal");
    await host.start("temporal");
    await ended(run);
    expect(new Set((await place.calls()).map(({ headers }) => headers["idempotency-key"])).size).toBe(12);
  });

  test("a waiting run still waits", async () => {
    const run = await admin.begin({ steps: [{ id: "l", type: "listen", one: { event: "go" } }], output: "${steps.l.output.data}" });
    await run.until("run.waiting");
    await host.kill("temporal");
    await host.start("temporal");
    await run.signal("go", 1);
    expect((await ended(run)).output).toBe(1);
  });

  test("away: a start is answered 503", async () => {
    const workflow = await admin.publish({ steps: [set("a", 1)] });
    await host.kill("temporal");
    expect(await admin.post("/api/v2/runs", { workflow })).toMatchObject({ status: 503, body: { code: "unavailable" } });
  });
});

describe("an API killed by kill -9", () => {
  test("between two starts with one key: one run", async () => {
    const [workflow, key] = [await admin.publish({ steps: [set("a", 1)] }), randomUUID()];
    const first = await admin.start(workflow, {}, key);
    await host.kill("api");
    await host.start("api");
    expect((await admin.start(workflow, {}, key)).id).toBe(first.id);
  });

  test("in the middle of many starts with one key: one run", async () => {
    const [workflow, key] = [await admin.publish({ steps: [set("a", 1)] }), randomUUID()];
    const starts = Array.from({ length: 30 }, () => admin.start(workflow, {}, key).catch(() => undefined));
    await Promise.race(starts);
    await host.kill("api");
    await Promise.all(starts);
    await host.start("api");
    await (await admin.start(workflow, {}, key)).end();
    expect((await admin.get<Page<RunBody>>(`/api/v2/runs?workflow=${workflow}`)).body.data).toHaveLength(1);
  });

  test("a run does not notice", async () => {
    const place = new Place();
    const run = await admin.begin({
      steps: [{ id: "f", type: "foreach", items: "${range(10)}", concurrency: 1, steps: [{ id: "c", type: "http", url: place.url }] }],
    });
    await place.calls(2);
    await host.kill("api");
    await place.calls(10);
    await host.start("api");
    expect(await run.end()).toMatchObject({ status: "completed" });
  });

  test("a stream goes on after its last number", async () => {
    const run = await admin.begin({ steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    const seen = await untilType(run, "run.waiting", []);
    await host.kill("api");
    await host.start("api");
    await run.signal("go");
    expect((await untilType(run, "run.completed", seen)).map(({ seq }) => seq)).toEqual((await run.events()).map(({ seq }) => seq));
  });
});

onLinux("Redis killed by kill -9", () => {
  test("runs go on", async () => {
    await host.kill("redis");
    expect(await admin.finish({ steps: [{ id: "t", type: "tool", tool: "test.double", arguments: { n: 1 } }] })).toMatchObject({
      status: "completed",
    });
  });

  test("a stream still tells what happens", async () => {
    const run = await admin.begin({ steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    const events = run.stream();
    const seen: EventBody[] = [(await events.next()).value as EventBody];
    await host.kill("redis");
    await run.signal("go");
    for await (const event of events) seen.push(event);
    expect(seen).toEqual(await run.events());
  });

  test("a stream opened without it tells what happens", async () => {
    await host.kill("redis");
    const run = await admin.begin({ steps: [{ id: "l", type: "listen", one: { event: "go" } }] });
    await run.until("listen.started");
    await run.signal("go");
    expect(await run.until("run.completed")).toMatchObject({ type: "run.completed" });
  });
});

onLinux("Postgres killed by kill -9 and started again", () => {
  test("in the middle of a run: it completes and no model is paid twice", async () => {
    const models = Array.from({ length: 6 }, () => new Model());
    await models[2]!.script({ text: "slow", delayMs: 1_500 });
    const steps = models.map((model, n) => ({ id: `say${n}`, type: "llm", model: model.wanted, prompt: "Hi" }));
    const run = await admin.begin({ steps, output: "${steps.say2.output}" });
    await models[2]!.calls(1);
    await host.kill("postgres");
    await host.start("postgres");
    const { status, output } = await ended(run);
    const calls = await Promise.all(models.map((model) => model.calls()));
    expect({ status, output, calls: calls.map(({ length }) => length) }).toEqual({
      status: "completed",
      output: "slow",
      calls: [1, 1, 1, 1, 1, 1],
    });
  });

  test("away while a model answers: its answer is not lost", async () => {
    const model = new Model();
    await model.script({ text: "dear", delayMs: 500 });
    const run = await admin.begin({ steps: [{ id: "say", type: "llm", model: model.wanted, prompt: "Hi" }] });
    await model.calls(1);
    await host.kill("postgres");
    await host.modelAnswered(model.name, 1);
    await host.start("postgres");
    const { output } = await ended(run);
    expect([output, (await model.calls()).length]).toEqual(["dear", 1]);
  });

  test("away: requests are answered 503, not 500", async () => {
    await host.kill("postgres");
    expect(await admin.get("/api/v2/runs")).toMatchObject({ status: 503, body: { code: "unavailable" } });
  });

  test("away: /readyz says so", async () => {
    await host.kill("postgres");
    expect(await admin.get("/readyz")).toMatchObject({ status: 503, body: { postgres: "down" } });
  });
});

/** Until the server has noticed the worker's death, an answer may take longer than the API waits for it. */
async function decideAtLast(approval: string): Promise<Answer<ApprovalBody>> {
  for (;;) {
    const answer = await admin.decide(approval, { decision: "approve" });
    if (answer.status !== 503) return answer;
  }
}

/** Also while the API still says that Postgres is away. */
async function ended(run: Run): Promise<RunBody> {
  for (;;) {
    const { status, body } = await admin.get<RunBody>(`${run.path}?wait=60`);
    if (status === 200 && body.endedAt !== null) return body;
  }
}

async function untilType(run: Run, type: string, before: EventBody[]): Promise<EventBody[]> {
  const seen = [...before];
  for await (const event of run.stream(seen.at(-1)?.seq ?? 0)) {
    seen.push(event);
    if (event.type === type) break;
  }
  return seen;
}
