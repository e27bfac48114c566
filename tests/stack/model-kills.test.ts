import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "@jest/globals";
import { Random } from "../chaos/random.ts";
import { callsOf, risk, say } from "./asking.ts";
import { admin, host, Model } from "./client.ts";

const runs = 10;
const kills = 4;
const patient = { heartbeat: "2s", retry: { maxAttempts: 20, initialInterval: "20ms", maxInterval: "100ms" } };
const seed = Number(process.env["MODEL_KILLS_SEED"] ?? 4_711);

afterAll(() => host.heal());

/**
 * Each run needs three answers: two of a model that never fits, one of its fallback. The worker is killed again and again
 * while they are asked for. What was asked for beyond three is what was lost, call by call: nothing that was kept is paid again.
 */
test("whenever the worker is killed, no answer that was kept is asked for again", async () => {
  const random = new Random(seed);
  const pairs = Array.from({ length: runs }, () => ({ poor: new Model(), good: new Model() }));
  const slow = (json: unknown) => ({ json, delayMs: random.upTo(400) });
  const [{ poor: held }] = pairs as [(typeof pairs)[number]];
  await held.script({ json: { risk: "high" }, delayMs: 60_000 });
  for (const { poor, good } of pairs) {
    await poor.script(...Array.from({ length: 20 }, () => slow({ risk: "high" })));
    await good.script(...Array.from({ length: 20 }, () => slow({ risk: 0.5 })));
  }
  const begun = await Promise.all(
    pairs.map(({ poor, good }) =>
      admin.begin({
        steps: [say(poor, { fallbacks: [good.wanted], outputSchema: risk, repairs: 1, ...patient })],
      }),
    ),
  );
  // Whenever the others are killed: this call is under way when the worker dies for the first time.
  await held.calls(1);
  for (let kill = 0; kill < kills; kill++) {
    await sleep(random.upTo(900));
    await host.kill("worker");
    await host.start("worker");
  }
  const ended = await Promise.all(begun.map((run) => run.end()));
  expect(ended.map(({ output }) => output)).toEqual(pairs.map(() => ({ risk: 0.5 })));
  const books = await Promise.all(
    pairs.map(async ({ poor, good }, index) => {
      const statuses = (await callsOf(begun[index]!.id)).map(({ status }) => status);
      const requests = (await poor.calls()).length + (await good.calls()).length;
      return {
        kept: statuses.filter((status) => status !== "lost"),
        lost: statuses.filter((status) => status === "lost").length,
        requests,
      };
    }),
  );
  for (const { kept, lost, requests } of books) {
    expect(kept).toEqual(["unfit", "unfit", "answered"]);
    // A call that was told and not made is lost, too.
    expect(requests).toBeGreaterThanOrEqual(3);
    expect(requests).toBeLessThanOrEqual(3 + lost);
  }
  // Otherwise this test has shown nothing.
  expect(books.reduce((sum, { lost }) => sum + lost, 0)).toBeGreaterThan(0);
}, 300_000);
