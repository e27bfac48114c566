import { randomUUID } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { admin, host, Place, type EventBody, type Page, type Run, type RunBody, type StepBody } from "./client.ts";

const set = (id: string, values: unknown) => ({ id, type: "set", values });
const listen = (id: string, event = id) => ({ id, type: "listen", one: { event } });

describe("starting a run", () => {
  test("answers 202 with the run's links", async () => {
    const workflow = await admin.publish({ steps: [set("a", 1)] });
    const answer = await admin.post<RunBody>("/api/v2/runs", { workflow });
    expect(answer).toMatchObject({
      status: 202,
      body: { id: expect.stringMatching(/^r_/), links: { self: `/api/v2/runs/${answer.body.id}` } },
    });
  });

  test("takes the highest release", async () => {
    const workflow = await admin.publish({ steps: [set("a", "old")] });
    for (const version of ["1.10.0", "1.9.0", "2.0.0-rc.1"])
      await admin.post("/api/v2/workflows", { name: workflow, version, steps: [set("a", version)] });
    expect((await (await admin.start(workflow)).end()).output).toBe("1.10.0");
  });

  test("takes the version that is named", async () => {
    const workflow = await admin.publish({ steps: [set("a", "old")] });
    await admin.post("/api/v2/workflows", { name: workflow, version: "2.0.0", steps: [set("a", "new")] });
    const { body } = await admin.post<RunBody>("/api/v2/runs", { workflow, version: "1.0.0" });
    expect((await admin.run(body.id).end()).output).toBe("old");
  });

  test("an unknown workflow answers 404", async () => {
    expect(await admin.post("/api/v2/runs", { workflow: "there-is-none" })).toMatchObject({ status: 404, body: { code: "not_found" } });
  });

  test("an input that does not fit answers 422 with a pointer", async () => {
    const workflow = await admin.publish({ input: { type: "object", properties: { n: { type: "number" } } }, steps: [set("a", 1)] });
    const answer = await admin.post("/api/v2/runs", { workflow, input: { n: "many" } });
    expect(answer).toMatchObject({ status: 422, body: { code: "input_invalid", errors: [{ pointer: "/input/n" }] } });
  });

  test("an input that passes itself off as a stored value answers 422", async () => {
    const workflow = await admin.publish({ steps: [set("a", 1)] });
    const answer = await admin.post("/api/v2/runs", { workflow, input: { x: { $tenutoRef: "0".repeat(64), bytes: 1 } } });
    expect(answer).toMatchObject({ status: 422, body: { code: "reserved_key" } });
  });

  test("a fast run's answer holds its output", async () => {
    const workflow = await admin.publish({ steps: [set("a", 1)] });
    const runs = await Promise.all(Array.from({ length: 40 }, () => admin.start(workflow)));
    const ends = await Promise.all(runs.map((run) => run.end()));
    expect(ends.map(({ output }) => output)).toEqual(runs.map(() => 1));
  });
});

describe("Idempotency-Key of a start", () => {
  test("the same request starts one run", async () => {
    const [workflow, key] = [await admin.publish({ steps: [set("a", 1)] }), randomUUID()];
    const first = await admin.start(workflow, { n: 1 }, key);
    await first.end();
    expect((await admin.start(workflow, { n: 1 }, key)).id).toBe(first.id);
  });

  test("once Temporal has forgotten the run, the same request finds it recorded and another one is refused", async () => {
    const [workflow, key] = [await admin.publish({ steps: [set("a", "${input.text}")] }), randomUUID()];
    // Too large to stand in the run itself.
    const input = { text: "x".repeat(20_000) };
    const first = await admin.start(workflow, input, key);
    await first.end();
    await host.forget("default", first.id);
    const again = (body: object) => admin.post<RunBody>("/api/v2/runs", body, key);
    expect(await again({ workflow, input })).toMatchObject({ status: 202, body: { id: first.id, status: "completed" } });
    await expect(host.historySize("default", first.id)).rejects.toThrow(/not found/i);
    expect(await again({ workflow, input: {} })).toMatchObject({ status: 409, body: { code: "idempotency_mismatch" } });
  });

  test("another request with the key answers 409", async () => {
    const [workflow, key] = [await admin.publish({ steps: [set("a", 1)] }), randomUUID()];
    await admin.start(workflow, { n: 1 }, key);
    const answer = await admin.post("/api/v2/runs", { workflow, input: { n: 2 } }, key);
    expect(answer).toMatchObject({ status: 409, body: { code: "idempotency_mismatch" } });
  });

  test("100 starts at once with one key start one run", async () => {
    const [workflow, key] = [await admin.publish({ steps: [set("a", 1)] }), randomUUID()];
    const runs = await Promise.all(Array.from({ length: 100 }, () => admin.start(workflow, {}, key)));
    expect(new Set(runs.map(({ id }) => id)).size).toBe(1);
    await runs[0]!.end();
    const { body } = await admin.get<Page<RunBody>>(`/api/v2/runs?workflow=${workflow}`);
    expect(body.data).toHaveLength(1);
  });

  test("100 starts at once with one key get one answer", async () => {
    const [workflow, key] = [await admin.publish({ steps: [set("a", 1)] }), randomUUID()];
    const answers = await Promise.all(Array.from({ length: 100 }, () => admin.post("/api/v2/runs", { workflow }, key)));
    expect(new Set(answers.map(({ status, body }) => `${status} ${JSON.stringify(body)}`)).size).toBe(1);
  });
});

describe("reading a run", () => {
  test("the list filters by status and workflow", async () => {
    const workflow = await admin.publish({ steps: [set("a", "${input.n / input.n}")] });
    const good = await admin.start(workflow, { n: 1 });
    const bad = await admin.start(workflow, { n: 0 });
    await Promise.all([good.end(), bad.end()]);
    const { body } = await admin.get<Page<RunBody>>(`/api/v2/runs?workflow=${workflow}&status=failed`);
    expect(body.data.map(({ id }) => id)).toEqual([bad.id]);
  });

  test("pages of the list join without gap or overlap", async () => {
    const workflow = await admin.publish({ steps: [set("a", 1)] });
    const runs = await Promise.all(Array.from({ length: 7 }, () => admin.start(workflow)));
    await Promise.all(runs.map((run) => run.end()));
    const seen: string[] = [];
    for (let next: string | null = ""; next !== null;) {
      const { body }: { body: Page<RunBody> } = await admin.get(
        `/api/v2/runs?workflow=${workflow}&limit=3${next === "" ? "" : `&cursor=${encodeURIComponent(next)}`}`,
      );
      seen.push(...body.data.map(({ id }) => id));
      next = body.page.hasMore ? body.page.next : null;
    }
    expect(seen.toSorted()).toEqual(runs.map(({ id }) => id).toSorted());
  });

  test("a step's result is there while the run goes on", async () => {
    const run = await admin.begin({ steps: [{ id: "first", type: "tool", tool: "test.double", arguments: { n: 2 } }, listen("later")] });
    expect(await run.step("first", 60)).toMatchObject({ status: "completed", output: { n: 4 } });
  });

  test("a step that does not exist answers 404", async () => {
    const run = await admin.begin({ steps: [set("a", 1)] });
    await run.end();
    expect(await admin.get(`${run.path}/steps/b`)).toMatchObject({ status: 404 });
  });

  test("the steps stand in the order of their first event", async () => {
    const run = await admin.begin({ steps: [set("c", 1), set("a", 1), { id: "s", type: "sequence", steps: [set("b", 1)] }] });
    await run.end();
    const { body } = await admin.get<Page<StepBody>>(`${run.path}/steps`);
    expect(body.data.map(({ path }) => path)).toEqual(["c", "a", "s", "s.b"]);
  });

  test("an unknown run answers 404", async () => {
    expect(await admin.get("/api/v2/runs/r_00000000000000000000000000")).toMatchObject({ status: 404 });
  });
});

describe("the log of a run", () => {
  const busy = {
    steps: [
      {
        id: "f",
        type: "foreach",
        items: "${range(20)}",
        concurrency: 5,
        steps: [{ id: "t", type: "tool", tool: "test.double", arguments: { n: "${item}" } }],
      },
    ],
  };

  test("is numbered 1..n without gap", async () => {
    const run = await admin.begin(busy);
    await run.end();
    expect(await numbers(run)).toEqual(upTo(await lastSeq(run)));
  });

  test("of each of 30 runs at once is numbered 1..n", async () => {
    const workflow = await admin.publish(busy);
    const runs = await Promise.all(Array.from({ length: 30 }, () => admin.start(workflow)));
    await Promise.all(runs.map((run) => run.end()));
    const logs = await Promise.all(runs.map(numbers));
    expect(logs.filter((log) => log.some((seq, index) => seq !== index + 1))).toEqual([]);
  });

  test("begins with the start and ends with the end", async () => {
    const run = await admin.begin(busy);
    await run.end();
    const types = (await run.events()).map(({ type }) => type);
    expect([types[0], types.at(-1)]).toEqual(["run.started", "run.completed"]);
  });

  test("tells a step's start before its end", async () => {
    const run = await admin.begin(busy);
    await run.end();
    const log = await run.events();
    const seqOf = (type: string, step: string) => log.find((event) => event.type === type && event.step === step)?.seq ?? -1;
    const early = upTo(20).filter((n) => seqOf("step.completed", `f[${n - 1}].t`) <= seqOf("step.started", `f[${n - 1}].t`));
    expect(early).toEqual([]);
  });

  test("as a stream is the same as in pages", async () => {
    const run = await admin.begin(busy);
    const streamed: EventBody[] = [];
    for await (const event of run.stream()) streamed.push(event);
    expect(streamed).toEqual(await run.events());
  });

  test("as a stream that breaks off 20 times is 1..n without gap or duplicate", async () => {
    const run = await admin.begin({ ...busy, steps: [...busy.steps, listen("last")] });
    const seen: number[] = [];
    for (let connection = 1; connection <= 20; connection += 1) {
      for await (const event of run.stream(seen.at(-1) ?? 0)) {
        seen.push(event.seq);
        if (event.seq >= connection * 2) break;
      }
    }
    await run.signal("last");
    for await (const event of run.stream(seen.at(-1) ?? 0)) seen.push(event.seq);
    expect(seen).toEqual(upTo(await lastSeq(run)));
  });

  test("has nothing more for who has seen the end", async () => {
    const run = await admin.begin({ steps: [set("a", 1)] });
    await run.end();
    const headers = { accept: "text/event-stream", "last-event-id": String(await lastSeq(run)) };
    expect((await admin.fetch("GET", `${run.path}/events`, { headers })).status).toBe(204);
  });
});

describe("pause and resume", () => {
  const gated = async (place: Place) => {
    const run = await admin.begin({ steps: [listen("gate"), { id: "call", type: "http", url: place.url }] });
    await run.until("listen.started");
    return run;
  };

  test("a paused run shows as paused", async () => {
    const run = await gated(new Place());
    await run.pause();
    expect(await run.read()).toMatchObject({ status: "paused" });
  });

  test("an event that comes while paused is taken in", async () => {
    const run = await gated(new Place());
    await run.pause();
    expect(await run.signal("gate")).toMatchObject({ status: 202 });
  });

  test("no step starts while paused", async () => {
    const place = new Place();
    const run = await gated(place);
    await run.pause();
    await run.signal("gate");
    await host.settle("default", run.id);
    expect(await place.calls()).toEqual([]);
  });

  test("the log tells what ends while paused", async () => {
    const run = await gated(new Place());
    await run.pause();
    await run.signal("gate");
    expect(await run.until("step.completed", "gate")).toMatchObject({ step: "gate" });
  });

  test("a resumed run goes on where it stood", async () => {
    const place = new Place();
    const run = await gated(place);
    await run.pause();
    await run.signal("gate");
    await run.resume();
    expect(await run.end()).toMatchObject({ status: "completed", output: { status: 200 } });
  });

  test("a paused run can be cancelled", async () => {
    const run = await gated(new Place());
    await run.pause();
    await run.cancel();
    expect(await run.end()).toMatchObject({ status: "canceled" });
  });
});

describe("cancel and terminate", () => {
  test("a cancelled run begins no further call", async () => {
    const place = new Place();
    const items = { id: "f", type: "foreach", items: "${range(200)}", concurrency: 2, steps: [{ id: "c", type: "http", url: place.url }] };
    const run = await admin.begin({ steps: [items] });
    await place.calls(4);
    await run.cancel();
    await run.end();
    const before = (await place.calls()).length;
    await host.settle("default", run.id);
    expect((await place.calls()).length).toBe(before);
  });

  test("a run that is cancelled in the middle of a call ends as canceled", async () => {
    const place = new Place();
    await place.script({ delayMs: 60_000 });
    const run = await admin.begin({ steps: [{ id: "c", type: "http", url: place.url }] });
    await place.calls(1);
    await run.cancel();
    expect(await run.end()).toMatchObject({ status: "canceled" });
  });

  test("a terminated run shows as terminated", async () => {
    const run = await admin.begin({ steps: [listen("never")] });
    await run.until("listen.started");
    await run.terminate();
    expect(await run.end()).toMatchObject({ status: "terminated" });
  });

  test("a terminated run's children are cancelled", async () => {
    const child = await admin.publish({ steps: [listen("never")] });
    const run = await admin.begin({ steps: [{ id: "c", type: "workflow", workflow: child }] });
    await admin.run(`${run.id}.c`).until("listen.started");
    await run.terminate();
    expect(await admin.run(`${run.id}.c`).end()).toMatchObject({ status: "canceled" });
  });

  test.each(["pause", "resume", "cancel", "terminate", "signals"])("an ended run answers %s with 409", async (verb) => {
    const run = await admin.begin({ steps: [set("a", 1)] });
    await run.end();
    const answer = await admin.post(`${run.path}/${verb}`, verb === "signals" ? { event: "go" } : {});
    expect(answer).toMatchObject({ status: 409, body: { code: "run_ended" } });
  });

  test.each(["pause", "resume", "cancel", "terminate", "signals"])("an unknown run answers %s with 404", async (verb) => {
    const answer = await admin.post(`/api/v2/runs/r_00000000000000000000000000/${verb}`, verb === "signals" ? { event: "go" } : {});
    expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
  });
});

describe("the mailbox", () => {
  test("the same signal under one id is answered twice and taken once", async () => {
    const run = await admin.begin({ steps: [listen("first", "go"), listen("second", "go")], output: "${steps.second.output.data}" });
    for (const _ of ["first", "again"]) expect((await run.signal("go", 1, "same")).status).toBe(202);
    await run.signal("go", 2);
    expect(await run.end()).toMatchObject({ status: "completed", output: 2 });
  });
});

const upTo = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1);
const numbers = async (run: Run): Promise<number[]> => (await run.events()).map(({ seq }) => seq);
const lastSeq = async (run: Run): Promise<number> => (await numbers(run)).at(-1) ?? 0;
