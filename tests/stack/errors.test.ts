import { describe, expect, test } from "@jest/globals";
import { admin, Place } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const raise = (id: string, type = "odd") => ({ id, type: "raise", error: { type, status: 418, title: "Odd", detail: "odd it is" } });
const once = { maxAttempts: 1 };

describe("try", () => {
  const attempt = (more: object) => ({ id: "t", type: "try", steps: [raise("r")], ...more });

  test("a handler's output stands for the failed steps'", async () => {
    const run = await admin.finish({ steps: [attempt({ catch: [{ steps: [set("a", "${error.type}")] }] })] });
    expect(run).toMatchObject({ status: "completed", output: "odd" });
  });

  test("the first handler whose type and condition fit runs", async () => {
    const handlers = [
      { errors: ["http"], steps: [set("a", "type")] },
      { when: "${error.status == 500}", steps: [set("a", "when")] },
      { errors: ["odd"], as: "oops", when: "${oops.status == 418}", steps: [set("a", "third: ${oops.detail}")] },
    ];
    const run = await admin.finish({ steps: [attempt({ catch: handlers })] });
    expect(run.output).toBe("third: odd it is");
  });

  test("an error that no handler takes goes on", async () => {
    const run = await admin.finish({ steps: [attempt({ catch: [{ errors: ["http"], steps: [set("a", 1)] }] })] });
    expect(run.error).toMatchObject({ type: "odd" });
  });

  test("finally runs after a success", async () => {
    const run = await admin.begin({ steps: [{ id: "t", type: "try", steps: [set("a", 1)], finally: [set("f", 2)] }] });
    await run.end();
    expect(await run.step("t.finally.f")).toMatchObject({ status: "completed" });
  });

  test("finally does not change the output", async () => {
    const run = await admin.finish({ steps: [{ id: "t", type: "try", steps: [set("a", 1)], finally: [set("f", 2)] }] });
    expect(run.output).toBe(1);
  });

  test("finally runs when the error goes on", async () => {
    const run = await admin.begin({ steps: [attempt({ finally: [set("f", 2)] })] });
    await run.end();
    expect(await run.step("t.finally.f")).toMatchObject({ status: "completed" });
  });

  test("finally runs when the run is cancelled", async () => {
    const place = new Place();
    const steps = [{ id: "never", type: "listen", one: { event: "never" } }];
    const run = await admin.begin({ steps: [{ id: "t", type: "try", steps, finally: [{ id: "tidy", type: "http", url: place.url }] }] });
    await run.until("listen.started");
    await run.cancel();
    expect([(await run.end()).status, (await place.calls(1)).length]).toEqual(["canceled", 1]);
  });

  test("raise without error passes the caught one on", async () => {
    const run = await admin.finish({ steps: [attempt({ catch: [{ steps: [{ id: "again", type: "raise" }] }] })] });
    expect(run.error).toMatchObject({ type: "odd", status: 418 });
  });

  test("an error inside a handler is not taken by its neighbours", async () => {
    const handlers = [
      { errors: ["odd"], steps: [raise("worse", "worse")] },
      { errors: ["worse"], steps: [set("a", 1)] },
    ];
    const run = await admin.finish({ steps: [attempt({ catch: handlers })] });
    expect(run.error).toMatchObject({ type: "worse" });
  });
});

describe("the envelope", () => {
  test("its catch takes what no step took", async () => {
    const run = await admin.finish({ steps: [raise("r")], catch: [{ errors: ["odd"], steps: [set("note", "${error.detail}")] }] });
    expect(run).toMatchObject({ status: "completed", output: "odd it is" });
  });

  test("its finally runs after a failure", async () => {
    const run = await admin.begin({ steps: [raise("r")], finally: [set("bye", 1)] });
    await run.end();
    expect(await run.step("finally.bye")).toMatchObject({ status: "completed" });
  });

  test("an output that does not fit outputSchema fails the run", async () => {
    const run = await admin.finish({ steps: [set("a", "${input.a}")], outputSchema: { type: "number" } }, { a: "text" });
    expect(run.error).toMatchObject({ type: "schema" });
  });
});

describe("raise and end", () => {
  test("a raised error is the run's error", async () => {
    const run = await admin.finish({ steps: [raise("r")] });
    expect(run).toMatchObject({
      status: "failed",
      error: { type: "odd", status: 418, title: "Odd", detail: "odd it is", instance: "r", code: "raised" },
    });
  });

  test.each(["completed", "failed", "canceled"])("end with status %s ends the run so", async (status) => {
    const run = await admin.finish({ steps: [{ id: "stop", type: "end", status, output: { at: 1 } }, set("never", 1)] });
    expect(run).toMatchObject({ status, output: { at: 1 } });
  });

  test("end inside a fan-out cancels what else runs", async () => {
    const branches = { a: [{ id: "never", type: "listen", one: { event: "never" } }], b: [{ id: "stop", type: "end", output: 1 }] };
    const run = await admin.finish({ steps: [{ id: "p", type: "parallel", branches }] });
    expect(run).toMatchObject({ status: "completed", output: 1 });
  });
});

describe("errors of a step", () => {
  test("an expression that fails names the step", async () => {
    const run = await admin.finish({ steps: [set("a", "${input.n / 0}")] }, { n: 1 });
    expect(run.error).toMatchObject({ type: "expression", instance: "a" });
  });

  test("a step's own catch takes its error", async () => {
    const run = await admin.finish(
      { steps: [{ ...set("a", "${input.n / 0}"), catch: [{ errors: ["expression"], steps: [set("b", "mended")] }] }] },
      { n: 1 },
    );
    expect(run.output).toBe("mended");
  });

  test("a set output that does not fit outputSchema fails as schema", async () => {
    const run = await admin.finish({ steps: [{ ...set("a", "${input.n}"), outputSchema: { type: "string" } }] }, { n: 1 });
    expect(run.error).toMatchObject({ type: "schema", instance: "a" });
  });
});

describe("onError continue", () => {
  test("the run goes on and ends as completed_with_errors", async () => {
    const place = new Place();
    await place.script({ status: 500 });
    const run = await admin.finish({
      steps: [{ id: "c", type: "http", url: place.url, retry: once, onError: "continue" }, set("after", "${steps.c.status}")],
    });
    expect(run).toMatchObject({ status: "completed_with_errors", output: "failed" });
  });

  test("the run tells the errors that were let pass", async () => {
    const run = await admin.begin({
      steps: [{ id: "t", type: "tool", tool: "test.breaks", arguments: {}, retry: once, onError: "continue" }],
    });
    await run.end();
    expect((await run.events()).at(-1)).toMatchObject({
      type: "run.completed_with_errors",
      data: { errors: [{ type: "tool", instance: "t" }] },
    });
  });

  test("the run's error is one problem or null, as its schema says", async () => {
    const run = await admin.finish({
      steps: [{ id: "t", type: "tool", tool: "test.breaks", arguments: {}, retry: once, onError: "continue" }],
    });
    expect(Array.isArray(run.error)).toBe(false);
  });
});

describe("onError park", () => {
  const parked = async () => {
    const place = new Place();
    await place.script({ status: 400 });
    const steps = [{ id: "c", type: "http", url: place.url, onError: "park" }, set("after", "${steps.c.status}")];
    const run = await admin.begin({ steps });
    await run.until("step.parked", "c");
    return { run, place };
  };

  test("the run needs attention", async () => {
    const { run } = await parked();
    await run.until("run.needs_attention");
    expect(await run.read()).toMatchObject({ status: "needs_attention" });
  });

  test("retry does the step again", async () => {
    const { run } = await parked();
    await run.attend("c", "retry");
    expect(await run.end()).toMatchObject({ status: "completed", output: "completed" });
  });

  test("retry sends the same Idempotency-Key", async () => {
    const { run, place } = await parked();
    await run.attend("c", "retry");
    const keys = (await place.calls(2)).map(({ headers }) => headers["idempotency-key"]);
    expect(keys[0]).toBe(keys[1]);
  });

  test("skip lets the step count as skipped", async () => {
    const { run } = await parked();
    await run.attend("c", "skip");
    expect(await run.end()).toMatchObject({ status: "completed", output: "skipped" });
  });

  test("fail ends the run with the step's error", async () => {
    const { run } = await parked();
    await run.attend("c", "fail");
    expect(await run.end()).toMatchObject({ status: "failed", error: { type: "http", status: 400 } });
  });

  test("a step that does not need attention answers 409", async () => {
    const { run } = await parked();
    expect((await run.attend("after", "retry")).body).toMatchObject({ status: 409, code: "step_not_parked" });
  });

  test("a run that needs attention is waiting for a person", async () => {
    const { run } = await parked();
    await run.until("run.needs_attention");
    expect((await run.events()).find(({ type }) => type === "run.needs_attention")).toMatchObject({ data: { steps: ["c"] } });
  });

  test("a raised error never parks", async () => {
    const run = await admin.finish({ defaults: { onError: "park" }, steps: [raise("r")] });
    expect(run.status).toBe("failed");
  });
});
