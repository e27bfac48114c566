import { afterEach, describe, expect, test } from "@jest/globals";
import { admin, eventually, host, Place, type Definition, type Run } from "./client.ts";
import { ask, begun } from "./going-on.ts";

// What is killed here is found by its process on Linux only.
const onLinux = process.platform === "linux" ? describe : describe.skip;

const soon = { heartbeat: "2s", retry: { maxAttempts: 5, initialInterval: "20ms", maxInterval: "100ms" } };
const once = { retry: { maxAttempts: 1 } };

const pay = (place: Place, tool: string, more: object = {}, args: object = {}) => ({
  id: "pay",
  type: "tool",
  tool,
  arguments: { url: place.url, ...args },
  ...more,
});

const begin = (...steps: object[]): Promise<Run> => admin.begin({ steps });
const countOf = async (place: Place): Promise<number> => (await place.calls()).length;

/** It has happened outside; its answer comes after everybody has stopped waiting. */
const silent = { delayMs: 60_000 };

onLinux("a worker killed after an effect and before its acknowledgement", () => {
  afterEach(async () => host.heal());

  const killed = async (tool: string, more: object = {}): Promise<{ run: Run; place: Place }> => {
    const place = new Place();
    await place.script(silent);
    const run = await begin(pay(place, tool, { ...soon, ...more }));
    await place.calls(1);
    await host.kill("worker");
    await host.start("worker");
    return { run, place };
  };

  test("leaves it to a tool that can ask the outside", async () => {
    const { run, place } = await killed("test.payAsked");
    expect(await run.end()).toMatchObject({ status: "completed", output: { n: 1 } });
    expect(await countOf(place)).toBe(1);
  });

  test("leaves it to a person, whatever `onError` says", async () => {
    const { run, place } = await killed("test.pay", { onError: "continue", catch: [{ steps: [{ id: "c", type: "set", values: 0 }] }] });
    const { data } = await run.until("step.parked", "pay");
    expect(data).toMatchObject({ error: { type: "effect_unknown", effectKey: `${run.id}:pay`, arguments: { url: place.url } } });
    expect(await run.attend("pay", "take", { result: { n: 7 } })).toMatchObject({ status: 202 });
    expect(await run.end()).toMatchObject({ status: "completed", output: { n: 7 } });
    expect(await countOf(place)).toBe(1);
  });

  test("lets a tool that honours keys do it again, under the same key", async () => {
    const { run, place } = await killed("test.payByKey");
    expect(await run.end()).toMatchObject({ status: "completed", output: { n: 2 } });
    expect((await place.calls()).map(({ headers }) => headers["idempotency-key"])).toEqual([`${run.id}:pay`, `${run.id}:pay`]);
  });
});

describe("an effect of which nobody knows whether it has happened", () => {
  /** A worker that stands still for a second has asked for nothing by then: it is tried once more. */
  const asked = async (tool = "test.pay", more: object = {}, tries = 3): Promise<{ run: Run; place: Place }> => {
    const place = new Place();
    await place.script(silent);
    const run = await begin(pay(place, tool, { timeout: "1s", ...once, ...more }));
    const isParked = (await run.untilAny("step.parked", "run.failed")).type === "step.parked";
    if ((isParked && (await countOf(place)) === 1) || tries === 1) return { run, place };
    await run.terminate();
    return asked(tool, more, tries - 1);
  };

  test("is asked of a person also after the last attempt", async () => {
    const { run, place } = await asked();
    await run.until("run.needs_attention");
    expect(await run.read()).toMatchObject({
      status: "needs_attention",
      waitingFor: [{ path: "pay", for: expect.stringContaining("take") }],
    });
    expect(await countOf(place)).toBe(1);
  });

  test("is done once more when they say that it has not happened", async () => {
    const { run, place } = await asked();
    await run.attend("pay", "retry");
    expect(await run.end()).toMatchObject({ status: "completed", output: { n: 2 } });
    expect(await countOf(place)).toBe(2);
  });

  test("is asked again when that attempt gives no answer either", async () => {
    const { run, place } = await asked();
    await place.script(silent);
    await run.attend("pay", "retry");
    await place.calls(2);
    const parked = async () => (await run.events()).filter(({ type }) => type === "step.parked").length;
    await eventually(parked, (times) => times === 2);
    await run.attend("pay", "take", { result: "paid" });
    expect(await run.end()).toMatchObject({ status: "completed", output: "paid" });
    expect(await countOf(place)).toBe(2);
  });

  test("fails when they let it fail, and a retry of the run asks again", async () => {
    const { run, place } = await asked();
    await run.attend("pay", "fail");
    expect(await run.end()).toMatchObject({ status: "failed", error: { type: "effect_unknown" } });
    const again = await begun(run, "retry");
    await again.until("step.parked", "pay");
    await again.attend("pay", "take", { result: 1 });
    expect(await again.end()).toMatchObject({ status: "completed", output: 1 });
    expect(await countOf(place)).toBe(1);
  });

  test("is asked of a person when the tool cannot say it either", async () => {
    const { run } = await asked("test.payForgetful");
    await run.attend("pay", "take", { result: 1 });
    expect(await run.end()).toMatchObject({ status: "completed" });
  });

  test("what they say it gave is held against the step's schema", async () => {
    const { run } = await asked("test.pay", { outputSchema: { type: "number" } });
    await run.attend("pay", "take", { result: "much" });
    expect(await run.end()).toMatchObject({ status: "failed", error: { type: "schema" } });
  });

  test("cannot be said of a step that has simply failed", async () => {
    const run = await begin({ id: "t", type: "tool", tool: "test.breaks", arguments: {}, ...once, onError: "park" });
    await run.until("step.parked", "t");
    expect(await run.attend("t", "take")).toMatchObject({ status: 409, body: { code: "step_not_parked" } });
  });

  test("is undone when the run fails, should it have happened", async () => {
    const undone = new Place();
    const compensate = [{ id: "undo", type: "http", method: "POST", url: undone.url }];
    const { run } = await asked("test.pay", { compensate });
    await run.attend("pay", "fail");
    expect(await run.end()).toMatchObject({ status: "failed" });
    expect(await countOf(undone)).toBe(1);
  });
});

test("of `http` steps what may have happened is undone, with the answer where there is one; what was refused is not", async () => {
  const call = (id: string, place: Place, more: object = {}) => ({
    id,
    type: "http",
    method: "PUT",
    url: place.url,
    retry: { maxAttempts: 2, initialInterval: "20ms" },
    ...more,
  });
  const [cut, refused, odd, undone] = [new Place(), new Place(), new Place(), new Place()];
  await cut.script({ status: 502 }, { status: 409 });
  await refused.script({ status: 429 }, { status: 409 });
  const undo = (body: unknown) => ({ onError: "continue", compensate: [call("undo", undone, { body })] });
  const outputSchema = { type: "object", required: ["never"], properties: { n: { type: "number" }, never: {} } };
  const run = await begin(
    call("cut", cut, undo({ of: "cut", gave: "${output}" })),
    call("refused", refused, undo({ of: "refused" })),
    call("odd", odd, { ...undo({ of: "odd", gave: "${output.body.n}" }), outputSchema }),
    { id: "no", type: "raise", error: { type: "odd" } },
  );
  expect(await run.end()).toMatchObject({ status: "failed", error: { type: "odd" } });
  const bodies = (await undone.calls()).map(({ body }) => JSON.parse(body) as unknown);
  expect(bodies).toEqual([
    { of: "odd", gave: 1 },
    { of: "cut", gave: null },
  ]);
});

describe("a tool that says itself that it failed", () => {
  test("is tried again, with the same key", async () => {
    const place = new Place();
    const run = await begin(pay(place, "test.pay", { retry: { maxAttempts: 3, initialInterval: "10ms" } }, { fails: "no money" }));
    expect(await run.end()).toMatchObject({ status: "failed", error: { type: "tool" } });
    expect(new Set((await place.calls()).map(({ headers }) => headers["idempotency-key"]))).toEqual(new Set([`${run.id}:pay`]));
    expect(await countOf(place)).toBe(3);
  });
});

describe("a tool that throws an Error after its call went out", () => {
  const retry = { maxAttempts: 3, initialInterval: "10ms" };
  const breaks = { breaks: "fetch failed" };
  const broken = async (tool: string, more: object = { retry }): Promise<{ run: Run; place: Place }> => {
    const place = new Place();
    return { place, run: await begin(pay(place, tool, more, breaks)) };
  };

  test.each([
    ["with attempts left", { retry }],
    ["in its last attempt", once],
  ])("is asked what it has done: %s", async (_, more) => {
    const { run, place } = await broken("test.payAsked", more);
    expect(await run.end()).toMatchObject({ status: "completed", output: { n: 1 } });
    expect(await countOf(place)).toBe(1);
  });

  test("and cannot be asked, leaves it to a person", async () => {
    const { run, place } = await broken("test.pay");
    expect((await run.until("step.parked", "pay")).data).toMatchObject({ error: { type: "effect_unknown" } });
    await run.attend("pay", "take", { result: { n: 7 } });
    expect(await run.end()).toMatchObject({ status: "completed", output: { n: 7 } });
    expect(await countOf(place)).toBe(1);
  });

  test("whose answer is no JSON is asked, too", async () => {
    const place = new Place();
    await place.script({ status: 201, body: "" });
    expect(await (await begin(pay(place, "test.payAsked", { retry }))).end()).toMatchObject({ status: "completed" });
    expect(await countOf(place)).toBe(1);
  });

  test("and honours keys, is called again under the same key", async () => {
    const { run, place } = await broken("test.payByKey");
    expect(await run.end()).toMatchObject({ status: "failed", error: { type: "tool" } });
    expect((await place.calls()).map(({ headers }) => headers["idempotency-key"])).toEqual([1, 2, 3].map(() => `${run.id}:pay`));
  });

  test("says nothing when no connection was made: it has failed", async () => {
    const url = "http://127.0.0.1:20009";
    const run = await begin({ id: "pay", type: "tool", tool: "test.pay", arguments: { url }, retry });
    expect(await run.end()).toMatchObject({ status: "failed", error: { type: "tool" } });
  });
});

test("an answer whose content asks for another attempt is asked for again", async () => {
  const place = new Place();
  const retry = { maxAttempts: 5, initialInterval: "10ms", while: "${output.n < 3}" };
  expect(await (await begin(pay(place, "test.pay", { retry }))).end()).toMatchObject({ status: "completed", output: { n: 3 } });
  expect(await countOf(place)).toBe(3);
});

describe("a fork", () => {
  const paid = async (more: Partial<Definition> = {}, tool = "test.pay"): Promise<{ run: Run; place: Place }> => {
    const place = new Place();
    const step = pay(place, tool, {}, { amount: "${vars.amount}" });
    const run = await admin.begin({
      vars: { amount: 5 },
      steps: [step, { id: "then", type: "set", values: "${steps.pay.output.n}" }],
      ...more,
    });
    expect(await run.end()).toMatchObject({ status: "completed", output: 1 });
    return { run, place };
  };

  test("repeats none of its origin's effects", async () => {
    const { run, place } = await paid();
    const fork = await begun(run, "fork", { from: "pay" });
    expect(await fork.end()).toMatchObject({ status: "completed", output: 1 });
    expect((await fork.until("step.completed", "pay")).data).toMatchObject({ reusedFrom: run.id });
    const second = await begun(fork, "fork", { from: "pay" });
    expect(await second.end()).toMatchObject({ status: "completed", output: 1 });
    expect(await countOf(place)).toBe(1);
  });

  test("repeats no `http` step of its origin's that changes something", async () => {
    const [made, read] = [new Place(), new Place()];
    const run = await begin(
      { id: "read", type: "http", url: read.url },
      { id: "make", type: "http", method: "POST", url: made.url, body: { amount: 5 } },
    );
    const { output } = await run.end();
    const fork = await begun(run, "fork", { from: "read" });
    expect(await fork.end()).toMatchObject({ status: "completed", output });
    expect((await fork.until("step.completed", "make")).data).toMatchObject({ reusedFrom: run.id });
    expect([await countOf(made), await countOf(read)]).toEqual([1, 2]);
    expect((await (await begun(run, "fork", { from: "read", reexecuteEffects: true })).end()).status).toBe("completed");
    expect(await countOf(made)).toBe(2);
  });

  test("repeats them when it is told to", async () => {
    const { run, place } = await paid();
    const fork = await begun(run, "fork", { from: "pay", reexecuteEffects: true });
    expect(await fork.end()).toMatchObject({ status: "completed", output: 2 });
    expect((await place.calls()).map(({ headers }) => headers["idempotency-key"])).toEqual([`${run.id}:pay`, `${fork.id}:pay`]);
  });

  test("with other arguments does another effect", async () => {
    const { run, place } = await paid();
    const fork = await begun(run, "fork", { from: "pay", vars: { amount: 6 } });
    expect(await fork.end()).toMatchObject({ status: "completed", output: 2 });
    expect(await countOf(place)).toBe(2);
  });

  test("repeats none of those in its sub-workflows", async () => {
    const place = new Place();
    const child = await admin.publish({ steps: [pay(place, "test.pay")] });
    const run = await begin({ id: "call", type: "workflow", workflow: child });
    await run.end();
    const fork = await begun(run, "fork", { from: "call" });
    expect(await fork.end()).toMatchObject({ status: "completed", output: { n: 1 } });
    expect(await countOf(place)).toBe(1);
  });

  test("does again what was undone, and undoes only its own", async () => {
    const [place, undone] = [new Place(), new Place()];
    const steps = [
      pay(place, "test.pay", { compensate: [{ ...pay(undone, "test.pay"), id: "refund" }] }),
      { id: "fails", type: "tool", tool: "test.breaks", arguments: {}, ...once },
    ];
    const run = await begin(...steps);
    expect(await run.end()).toMatchObject({ status: "failed" });
    const fork = await begun(run, "fork", { from: "pay" });
    expect(await fork.end()).toMatchObject({ status: "failed" });
    expect([await countOf(place), await countOf(undone)]).toEqual([2, 2]);
  });

  test("does not undo what its origin has done", async () => {
    const [place, undone] = [new Place(), new Place()];
    const compensate = [{ id: "undo", type: "http", method: "POST", url: undone.url }];
    const fails = { id: "fails", type: "raise", error: "no", if: "${vars.bad}" };
    const run = await admin.begin({ vars: { bad: false }, steps: [pay(place, "test.pay", { compensate }), fails] });
    expect(await run.end()).toMatchObject({ status: "completed" });
    const fork = await begun(run, "fork", { from: "pay", vars: { bad: true } });
    expect(await fork.end()).toMatchObject({ status: "failed" });
    expect([await countOf(place), await countOf(undone)]).toEqual([1, 0]);
  });

  test("takes `reexecuteEffects` only as a flag", async () => {
    const { run } = await paid();
    expect(await ask(run, "fork", { reexecuteEffects: "yes" })).toMatchObject({ status: 422 });
  });
});

describe("an execution that was reset", () => {
  const question = { id: "ask", type: "approval", title: "?", needs: ["pay"] };
  const answered = async (run: Run): Promise<unknown> => {
    await admin.decide(await run.approval("ask"), { decision: "approve" });
    return (await run.end()).output;
  };

  test.each(["test.pay", "test.payByKey", "test.payAsked"])("finds what it has done in the ledger (%s)", async (tool) => {
    const place = new Place();
    const run = await admin.begin({ steps: [pay(place, tool), question], output: "${steps.pay.output}" });
    await run.approval("ask");
    await host.settle("default", run.id);
    await host.reset("default", run.id);
    await host.settle("default", run.id);
    expect(await answered(run)).toMatchObject({ n: 1 });
    expect(await countOf(place)).toBe(1);
  });
});

describe("a run that goes on from another, with `run.id` among its tool's arguments", () => {
  test("asks for what that one had begun when it was terminated, instead of paying again", async () => {
    const place = new Place();
    await place.script(silent);
    const run = await begin(pay(place, "test.pay", {}, { url: `${place.url}#\${run.id}` }));
    await place.calls(1);
    await run.terminate();
    await run.end();
    const again = await begun(run, "retry");
    await again.until("step.parked", "pay");
    await again.attend("pay", "take", { result: 1 });
    expect(await again.end()).toMatchObject({ status: "completed", output: 1 });
    expect(await countOf(place)).toBe(1);
  });

  test("does not repeat what that one has done", async () => {
    const place = new Place();
    const run = await begin(pay(place, "test.pay", {}, { url: `${place.url}#\${run.id}-\${run.startedAt}` }));
    await run.end();
    const fork = await begun(run, "fork", { from: "pay" });
    expect(await fork.end()).toMatchObject({ status: "completed", output: { n: 1 } });
    expect(await countOf(place)).toBe(1);
  });
});

test("a result that nothing can be made of is not asked for again", async () => {
  const place = new Place();
  await place.script({ status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify({ $tenutoRef: "x" }) });
  const run = await begin(pay(place, "test.pay", once));
  expect(await run.end()).toMatchObject({ status: "failed", error: { type: "reserved_key" } });
  expect(await (await begun(run, "retry")).end()).toMatchObject({ status: "failed", error: { type: "reserved_key" } });
  expect(await countOf(place)).toBe(1);
});
