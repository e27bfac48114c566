import { afterEach, describe, expect, test } from "@jest/globals";
import { admin, host, Place, uniqueName, type Answer, type Definition, type Run, type RunBody } from "./client.ts";

const onLinux = process.platform === "linux" ? describe : describe.skip;

/** A step that calls the place while it holds the lock. */
const locked = (place: Place, key: string, more: object = {}): object => ({
  id: "work",
  type: "http",
  url: place.url,
  lock: { key },
  ...more,
});

const holding = async (place: Place, key: string, more?: object): Promise<Run> => {
  const run = await admin.begin({ steps: [locked(place, key, more)] });
  await place.calls(1);
  return run;
};

/** Holds it in a call that is not answered while a test lasts. */
const calling = async (key: string): Promise<Run> => {
  const place = new Place();
  await place.script({ delayMs: 60_000 });
  return holding(place, key);
};

/** Holds it until it is sent `go`. */
const keeping = async (key: string, more: object = {}): Promise<Run> => {
  const run = await admin.begin({ steps: [{ id: "held", type: "sequence", lock: { key, ...more }, steps: [untilGo] }] });
  await run.until("listen.started");
  return run;
};

const untilGo = { id: "go", type: "listen", one: { event: "go" } };

const waitsFor = async (run: Run, what: string): Promise<void> => {
  await run.until("run.waiting");
  expect((await run.read()).waitingFor).toEqual([{ path: "work", for: what }]);
};

const eventually = async <T>(read: () => Promise<T>, isThere: (value: T) => boolean): Promise<T> => {
  const patience = Date.now() + 90_000;
  for (;;) {
    const value = await read();
    if (isThere(value)) return value;
    if (Date.now() > patience) throw new Error(`Not in time: ${JSON.stringify(value)}`);
    await new Promise((later) => setTimeout(later, 50));
  }
};

const isStatus = (run: Run, status: string) =>
  eventually(
    () => run.read(),
    (body) => body.status === status,
  );

afterEach(async () => host.heal());

describe("a step with a lock", () => {
  test("runs alone, and those that wait run in the order of asking", async () => {
    const key = uniqueName("key");
    const place = new Place();
    const first = await keeping(key);
    const others: Run[] = [];
    for (const n of [1, 2, 3]) {
      const run = await admin.begin({ steps: [locked(place, key, { method: "POST", body: n })] });
      await waitsFor(run, `lock ${key}`);
      others.push(run);
    }
    expect(await place.calls()).toEqual([]);
    await first.signal("go");
    await Promise.all([first, ...others].map((run) => run.end()));
    expect((await place.calls()).map(({ body }) => body)).toEqual(["1", "2", "3"]);
  });

  test("beside `limit - 1` others of its key", async () => {
    const key = uniqueName("key");
    const place = new Place();
    const [first, second] = [await keeping(key, { limit: 2 }), await keeping(key, { limit: 2 })];
    const third = await admin.begin({ steps: [locked(place, key, { lock: { key, limit: 2 } })] });
    await waitsFor(third, `lock ${key}`);
    expect(await place.calls()).toEqual([]);
    await second.signal("go");
    expect((await third.end()).status).toBe("completed");
    await first.signal("go");
    expect((await first.end()).status).toBe("completed");
  });

  test("keys of any text do not meet, those of another tenant neither", async () => {
    const key = uniqueName("a b/ü:_");
    const held = await calling(key);
    const other = await admin.withKey({ principal: "o", kind: "service", roles: ["admin"], tenant: "locks-other" });
    const free = { steps: [{ id: "a", type: "set", values: 1, lock: undefined }] };
    const sequence = (of: string): Definition => ({ steps: [{ id: "s", type: "sequence", lock: { key: of }, steps: free.steps }] });
    expect((await admin.finish(sequence(key.replace(" ", "_20")))).status).toBe("completed");
    const there = await other.begin(sequence(key));
    expect((await there.end()).status).toBe("completed");
    await held.terminate();
  });

  test("a scope holds it through all its steps and gives it back whatever its end", async () => {
    const key = uniqueName("key");
    const raise = { id: "r", type: "raise", error: { type: "odd", status: 418, detail: "no" } };
    const failing = await admin.finish({ steps: [{ id: "s", type: "sequence", lock: { key }, steps: [raise] }] });
    const next = await admin.finish({
      steps: [{ id: "s", type: "sequence", lock: { key }, steps: [{ id: "a", type: "set", values: 1 }] }],
    });
    expect([failing.status, next.status]).toEqual(["failed", "completed"]);
  });

  test("costs its run at most 14 history events when it is free", async () => {
    const place = new Place();
    const plain = { id: "work", type: "http", url: place.url };
    const sizes = [];
    for (const step of [plain, locked(place, uniqueName("key"))]) {
      const run = await admin.begin({ steps: [step] });
      sizes.push(((await host.history("default", run.id)) as { events: unknown[] }).events.length);
    }
    expect(sizes[1]! - sizes[0]!).toBeLessThanOrEqual(14);
  });

  test("each item of a foreach asks for itself", async () => {
    const place = new Place();
    const key = uniqueName("key");
    const step = { id: "call", type: "http", url: place.url, lock: { key: `${key}` } };
    const end = await admin.finish({ steps: [{ id: "each", type: "foreach", items: [1, 2, 3, 4, 5], steps: [step] }] });
    expect([end.status, (await place.calls()).length]).toEqual(["completed", 5]);
  });

  test("a step inside a holder of the same key fails and says so", async () => {
    const inner = { id: "inner", type: "sequence", lock: { key: "${vars.key}" }, steps: [{ id: "a", type: "set", values: 1 }] };
    const outer = { id: "outer", type: "sequence", lock: { key: "${input.key}" }, steps: [inner] };
    const key = uniqueName("key");
    const end = await admin.finish({ vars: { key }, steps: [outer] }, { key });
    expect(end.error).toMatchObject({ code: "lock", instance: "outer.inner" });
  });
});

/** Three in the order of asking; `after` is told by whose turn comes. */
async function line(hold: (key: string) => Promise<Run>): Promise<{ holder: Run; quitter: Run; last: Run; after: Place }> {
  const key = uniqueName("key");
  const after = new Place();
  const holder = await hold(key);
  const waiting = async (body: string): Promise<Run> => {
    const run = await admin.begin({ steps: [locked(after, key, { method: "POST", body })] });
    await waitsFor(run, `lock ${key}`);
    return run;
  };
  const quitter = await waiting("quitter");
  return { holder, quitter, last: await waiting("last"), after };
}

describe("a lock comes free", () => {
  test("when its holder is cancelled; who is cancelled waiting leaves the line", async () => {
    const { holder, quitter, last, after } = await line(calling);
    await quitter.cancel();
    expect((await quitter.end()).status).toBe("canceled");
    await holder.cancel();
    expect([(await holder.end()).status, (await last.end()).status]).toEqual(["canceled", "completed"]);
    expect((await after.calls()).map(({ body }) => body)).toEqual(["last"]);
  });

  test("when its holder is terminated", async () => {
    const key = uniqueName("key");
    const after = new Place();
    const holder = await calling(key);
    const next = await admin.begin({ steps: [locked(after, key)] });
    await waitsFor(next, `lock ${key}`);
    await holder.terminate();
    expect((await next.end()).status).toBe("completed");
  });

  test("when who is next in line was terminated meanwhile", async () => {
    const { holder, quitter, last, after } = await line(keeping);
    await quitter.terminate();
    await holder.signal("go");
    expect([(await holder.end()).status, (await last.end()).status]).toEqual(["completed", "completed"]);
    expect((await after.calls()).map(({ body }) => body)).toEqual(["last"]);
  });
});

describe("a run that goes on in new executions", () => {
  test("keeps its lock and its place in line", async () => {
    const place = new Place();
    const call = (id: string): object => ({ id, type: "http", method: "POST", url: place.url });
    const pause = { id: "pause", type: "wait", duration: "1s" };
    const both = { id: "both", type: "sequence", lock: { key: uniqueName("key") }, steps: [call("first"), pause, call("second")] };
    const workflow = await admin.publish({ steps: [call("before"), both] });
    const runs = await Promise.all([1, 2, 3].map(() => host.startContinuing(workflow, {}, 1)));
    expect(await Promise.all(runs.map(async (id) => (await admin.run(id).end()).status))).toEqual(["completed", "completed", "completed"]);
    const callers = (await place.calls()).filter(({ headers }) => !String(headers["idempotency-key"]).endsWith(":before"));
    const turns = callers.map(({ headers }) => headers["x-run-id"]).filter((caller, index, all) => caller !== all[index - 1]);
    expect([turns.length, callers.length]).toEqual([3, 6]);
    // Temporal's lists are up to date a moment later.
    for (const id of runs)
      await eventually(
        () => host.executions("default", id),
        (count) => count > 2,
      );
  });
});

test("a lock that continues as new keeps who holds it and who waits", async () => {
  const key = uniqueName("key");
  const after = new Place();
  const holder = await keeping(key);
  const waiting = await admin.begin({ steps: [locked(after, key)] });
  await waitsFor(waiting, `lock ${key}`);
  expect(await host.wearLock("default", key)).toBeGreaterThan(1);
  expect(await after.calls()).toEqual([]);
  await holder.signal("go");
  expect([(await holder.end()).status, (await waiting.end()).status]).toEqual(["completed", "completed"]);
});

onLinux("a worker killed by kill -9", () => {
  const patient = { idempotent: true, heartbeat: "4s", retry: { maxAttempts: 20, initialInterval: "20ms", maxInterval: "100ms" } };

  test("while a lock is held and while one waits: both complete, one after the other", async () => {
    const key = uniqueName("key");
    const place = new Place();
    await place.script({ delayMs: 20_000 });
    const holder = await holding(place, key, { method: "POST", body: "holder", ...patient });
    const waiting = await admin.begin({ steps: [locked(place, key, { method: "POST", body: "waiting", ...patient })] });
    await waitsFor(waiting, `lock ${key}`);
    await host.kill("worker");
    await host.start("worker");
    expect([(await holder.end()).status, (await waiting.end()).status]).toEqual(["completed", "completed"]);
    // The holder's call was made again by the new worker; the other's came after it.
    expect((await place.calls()).map(({ body }) => body)).toEqual(["holder", "holder", "waiting"]);
  });

  test("while everybody asks: each gets its turn, and nobody comes between the steps of another", async () => {
    const place = new Place();
    await place.script(...Array.from({ length: 14 }, () => ({ delayMs: 100 })));
    const call = (id: string): object => ({ id, type: "http", method: "POST", url: place.url, ...patient });
    const workflow = await admin.publish({
      steps: [{ id: "both", type: "sequence", lock: { key: uniqueName("key") }, steps: [call("first"), call("second")] }],
    });
    const runs = await Promise.all(Array.from({ length: 6 }, () => admin.start(workflow)));
    await place.calls(2);
    await host.kill("worker");
    await host.start("worker");
    expect((await Promise.all(runs.map((run) => run.end()))).map(({ status }) => status)).toEqual(runs.map(() => "completed"));
    const callers = (await place.calls()).map(({ headers }) => headers["x-run-id"]);
    const turns = callers.filter((caller, index) => caller !== callers[index - 1]);
    expect(new Set(turns)).toEqual(new Set(runs.map(({ id }) => id)));
    expect(turns.length).toBe(runs.length);
  });
});

describe("`concurrency` of a definition", () => {
  /** Runs that call, and end when they are sent `go`. */
  const limited = async (place: Place, concurrency: object): Promise<string> =>
    admin.publish({
      concurrency,
      steps: [{ id: "call", type: "http", method: "POST", url: place.url, body: "${input.n}" }, untilGo],
      output: "${steps.call.output.status}",
    });

  test("`queue`: the next run is queued until the one before has ended", async () => {
    const place = new Place();
    const workflow = await limited(place, { key: "${input.customer}" });
    const customer = uniqueName("customer");
    const first = await admin.start(workflow, { customer, n: 1 });
    await place.calls(1);
    const second = await admin.start(workflow, { customer, n: 2 });
    await second.until("run.queued");
    expect(await second.read()).toMatchObject({ status: "queued", waitingFor: [{ for: `concurrency key ${customer}` }] });
    await second.signal("go");
    expect(await place.calls()).toHaveLength(1);
    await first.signal("go");
    expect([(await first.end()).status, (await second.end()).status]).toEqual(["completed", "completed"]);
    const log = (await second.events()).map(({ type }) => type);
    expect(log.filter((type) => type.startsWith("run."))).toEqual(["run.started", "run.queued", "run.running", "run.completed"]);
  });

  test("runs of other keys are not in its way", async () => {
    const place = new Place();
    const workflow = await limited(place, { key: "${input.customer}" });
    const first = await admin.start(workflow, { customer: uniqueName(), n: 1 });
    await place.calls(1);
    const second = await admin.start(workflow, { customer: uniqueName(), n: 2 });
    await second.signal("go");
    expect((await second.end()).status).toBe("completed");
    await first.terminate();
  });

  test("a queued run can be cancelled", async () => {
    const place = new Place();
    const workflow = await limited(place, {});
    const first = await admin.start(workflow, { n: 1 });
    await place.calls(1);
    const second = await admin.start(workflow, { n: 2 });
    await second.until("run.queued");
    await second.cancel();
    expect((await second.end()).status).toBe("canceled");
    await first.cancel();
    await first.end();
    expect((await place.calls()).length).toBe(1);
  });

  test("`reject`: one more is 429, and nothing was started", async () => {
    const place = new Place();
    const workflow = await limited(place, { limit: 1, onLimit: "reject" });
    const first = await admin.start(workflow, { n: 1 });
    await place.calls(1);
    const start = (key: string): Promise<Answer> => admin.post("/api/v2/runs", { workflow, input: { n: 2 } }, key);
    const tries = async (): Promise<{ key: string; answer: Answer }> => {
      const key = uniqueName("key");
      return { key, answer: await start(key) };
    };
    // A lock that does not answer within a second is not waited for: then the run is started, and refused by the lock itself.
    const { key, answer } = await eventually(tries, (tried) => tried.answer.status !== 202);
    expect(answer).toMatchObject({ status: 429, body: { code: "concurrency" } });
    await first.signal("go");
    await first.end();
    // Nothing was done under the key, so that it does the work now.
    const later = await eventually(
      () => start(key),
      ({ status }) => status === 202,
    );
    const run = admin.run(later.body["id"] as string);
    await run.signal("go");
    expect((await run.end()).status).toBe("completed");
    expect(await place.calls()).toHaveLength(2);
  });

  test("`reject`: of many at once exactly the limit runs, the others fail by `concurrency`", async () => {
    const place = new Place();
    const workflow = await limited(place, { limit: 2, onLimit: "reject" });
    const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => admin.post("/api/v2/runs", { workflow, input: { n } })));
    const started = answers.filter(({ status }) => status === 202).map(({ body }) => admin.run(body["id"] as string));
    const read = (): Promise<RunBody[]> => Promise.all(started.map((run) => run.read()));
    const seen = await eventually(read, (runs) => runs.filter(({ endedAt }) => endedAt === null).length <= 2);
    await Promise.all(seen.filter(({ endedAt }) => endedAt === null).map(({ id }) => admin.run(id).signal("go")));
    const ends = await Promise.all(started.map((run) => run.end()));
    const refused = ends.filter(({ status }) => status === "failed");
    expect(refused.map(({ error }) => error?.code)).toEqual(refused.map(() => "concurrency"));
    expect([ends.filter(({ status }) => status === "completed").length, (await place.calls()).length]).toEqual([2, 2]);
  });

  test("`cancelOldest`: the newest takes the place of the oldest", async () => {
    const place = new Place();
    const workflow = await limited(place, { onLimit: "cancelOldest" });
    const oldest = await admin.start(workflow, { n: 1 });
    await place.calls(1);
    const newest = await admin.start(workflow, { n: 2 });
    await newest.signal("go");
    expect([(await oldest.end()).status, (await newest.end()).status]).toEqual(["canceled", "completed"]);
  });

  test("a terminated run gives its place up", async () => {
    const place = new Place();
    const workflow = await limited(place, {});
    const first = await admin.start(workflow, { n: 1 });
    await place.calls(1);
    const second = await admin.start(workflow, { n: 2 });
    await second.until("run.queued");
    await second.signal("go");
    await first.terminate();
    expect((await isStatus(second, "completed")).output).toBe(200);
  });
});
