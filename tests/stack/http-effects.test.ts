import { afterEach, describe, expect, test } from "@jest/globals";
import { admin, host, Place, type Run } from "./client.ts";

// What is killed here is found by its process on Linux only.
const onLinux = process.platform === "linux" ? describe : describe.skip;

const soon = { heartbeat: "2s", retry: { maxAttempts: 5, initialInterval: "20ms", maxInterval: "100ms" } };
const once = { retry: { maxAttempts: 1 } };

const begin = (...steps: object[]): Promise<Run> => admin.begin({ steps });
const countOf = async (place: Place): Promise<number> => (await place.calls()).length;

/** It has happened outside; its answer comes after everybody has stopped waiting. */
const silent = { delayMs: 60_000 };

onLinux("a worker killed between a POST and its answer", () => {
  afterEach(async () => host.heal());

  test.each([
    [
      "an `http` step that is not `idempotent`",
      ({ url }: Place) => ({ type: "http", method: "POST", url, idempotent: false }),
      { status: 201, headers: {}, body: "made" },
    ],
    ["`http.request`", ({ url }: Place) => ({ type: "tool", tool: "http.request", arguments: { url } }), { status: 201, ok: true }],
  ])("of %s leaves it to a person", async (_, step, result) => {
    const place = new Place();
    await place.script(silent);
    const run = await begin({ id: "pay", ...soon, ...step(place) });
    await place.calls(1);
    await host.kill("worker");
    await host.start("worker");
    const { data } = await run.until("step.parked", "pay");
    expect(data).toMatchObject({ error: { type: "effect_unknown", effectKey: `${run.id}:pay` } });
    await run.attend("pay", "take", { result });
    expect(await run.end()).toMatchObject({ status: "completed", output: result });
    expect(await countOf(place)).toBe(1);
  });

  test("of an `http` step sends it again, under the same key", async () => {
    const place = new Place();
    await place.script(silent);
    const run = await begin({ id: "pay", type: "http", method: "POST", url: place.url, ...soon });
    await place.calls(1);
    await host.kill("worker");
    await host.start("worker");
    expect(await run.end()).toMatchObject({ status: "completed" });
    expect((await place.calls()).map(({ headers }) => headers["idempotency-key"])).toEqual([`${run.id}:pay`, `${run.id}:pay`]);
  });
});

test("a POST that breaks off in its last attempt is asked of a person, and undone should it have happened", async () => {
  const [place, undone] = [new Place(), new Place()];
  await place.script({ status: 502 });
  const compensate = [{ id: "undo", type: "http", method: "DELETE", url: undone.url }];
  const run = await begin({ id: "pay", type: "http", method: "POST", url: place.url, idempotent: false, ...once, compensate });
  await run.until("step.parked", "pay");
  await run.attend("pay", "fail");
  expect(await run.end()).toMatchObject({ status: "failed", error: { type: "effect_unknown" } });
  expect([await countOf(place), await countOf(undone)]).toEqual([1, 1]);
});
